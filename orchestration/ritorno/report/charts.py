"""Vega-Lite specifications by Altair: pure functions from column names to a chart without data and colours.

Colours are tokens (`@blue`), the browser puts in the theme's; rows come by the name `rows`. Dates are drawn in local
time because the browser is handed local midnights: a day must not become the day before west of Greenwich.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import altair as alt

from ritorno.report.figures import Column, Dataset, Kind, Spec
from ritorno.report.theme import CATEGORY

ROWS = alt.NamedData("rows")
HEAT = ["@heat_low", "@heat_mid", "@heat_high"]
TURN = 0.6
"""Share of the colour scale from which a cell's text takes the other colour: there both have a contrast of 4.5."""
SHORT = 220
TALL = 300

_FORMATS: dict[Kind, str] = {"int": ",d", "number": ",.2f", "percent": ".1%", "money": "$,.2f"}
_AXIS_FORMATS: dict[Kind, str] = {"int": "~s", "number": "~s", "percent": ".0%", "money": "$~s"}
_TYPES: dict[Kind, Literal["quantitative", "temporal", "nominal"]] = {
    "int": "quantitative",
    "number": "quantitative",
    "percent": "quantitative",
    "money": "quantitative",
    "date": "temporal",
    "month": "temporal",
}


def spec(chart: alt.TopLevelMixin, height: int = SHORT) -> Spec:
    """A chart as Vega-Lite that fills its frame's width."""
    content: dict[str, Any] = chart.to_dict(validate=False)
    for part in ("$schema", "config", "datasets"):
        content.pop(part, None)
    content |= {"width": "container", "height": height, "autosize": {"type": "fit", "contains": "padding"}}
    return content


def stepped(chart: alt.TopLevelMixin, step: int) -> Spec:
    """A chart as Vega-Lite, as high as its names need."""
    return dict(spec(chart)) | {"height": {"step": step}, "autosize": {"type": "fit-x", "contains": "padding"}}


def label(kind: Kind) -> str:
    """How an axis writes a number: each tick with the prefix it needs, not all with that of the largest."""
    return f"datum.value === 0 ? '0' : format(datum.value, '{_AXIS_FORMATS[kind]}')"


def _whole(column: Column) -> dict[str, Any]:
    """Counts have no halves."""
    return {"tickMinStep": 1} if column.kind == "int" else {}


def tooltip(dataset: Dataset, names: Sequence[str]) -> list[alt.Tooltip]:
    """What a pointer shows of a row: the same headings and formats as the table."""
    return [_tooltip(dataset.column(name)) for name in names]


def _tooltip(column: Column) -> alt.Tooltip:
    kind = _TYPES.get(column.kind, "nominal")
    if kind == "temporal":
        return alt.Tooltip(
            column.name, type=kind, title=column.label, format="%B %Y" if column.kind == "month" else "%Y-%m-%d"
        )
    if kind == "quantitative":
        return alt.Tooltip(column.name, type=kind, title=column.label, format=_FORMATS[column.kind])
    return alt.Tooltip(column.name, type="nominal", title=column.label)


def time(column: Column, *, title: str | None = None) -> alt.X:
    """A time axis."""
    return alt.X(
        column.name,
        type="temporal",
        title=title,
        axis=alt.Axis(
            format="%b %Y" if column.kind == "month" else "%d %b", grid=False, labelOverlap=True, tickCount=6
        ),
    )


def amount(column: Column, *, title: str | None = "", stack: bool | None = None, zero: bool = True) -> alt.Y:
    """A vertical axis of counts, shares or money."""
    return alt.Y(
        column.name,
        type="quantitative",
        title=column.label if title == "" else title,
        axis=alt.Axis(labelExpr=label(column.kind), tickCount=5, **_whole(column)),
        stack=stack,
        scale=alt.Scale(zero=zero),
    )


def hue(
    column: str, title: str | None, domain: Sequence[str] | None = None, tokens: Sequence[str] | None = None
) -> alt.Color:
    """Colour by category, in the theme's order, or by name where a value has a colour of its own."""
    if domain is None:
        scale = alt.Scale(range=[f"@{token}" for token in CATEGORY])
    else:
        scale = alt.Scale(domain=list(domain), range=[f"@{token}" for token in tokens or CATEGORY[: len(domain)]])
    return alt.Color(column, type="nominal", title=title, scale=scale, sort=list(domain) if domain else None)


def lines(
    dataset: Dataset,
    x: str,
    y: str,
    series: str | None,
    *,
    tooltips: Sequence[str],
    x_title: str | None = None,
    domain: Sequence[str] | None = None,
    tokens: Sequence[str] | None = None,
    zero: bool = True,
    height: int = SHORT,
) -> Spec:
    """Lines over time or over a number of periods."""
    column = dataset.column(x)
    across = time(column, title=x_title) if _TYPES.get(column.kind) == "temporal" else steps(column, x_title)
    base = alt.Chart(ROWS).encode(x=across, y=amount(dataset.column(y), zero=zero), tooltip=tooltip(dataset, tooltips))
    colour: Any = hue(series, None, domain, tokens) if series else alt.value("@blue")
    line = base.mark_line(interpolate="linear", strokeWidth=2).encode(color=colour)
    points = base.mark_point(filled=True, size=28, opacity=1).encode(color=colour)
    return spec(line + points, height)


def steps(column: Column, title: str | None = None) -> alt.X:
    """A horizontal axis of whole numbers."""
    return alt.X(
        column.name,
        type="quantitative",
        title=title if title is not None else column.label,
        axis=alt.Axis(format="d", tickMinStep=1, grid=False),
        scale=alt.Scale(nice=False),
    )


def bars(
    dataset: Dataset,
    x: str,
    y: str,
    *,
    tooltips: Sequence[str],
    series: str | None = None,
    domain: Sequence[str] | None = None,
    tokens: Sequence[str] | None = None,
    token: str = "blue",
    x_title: str | None = None,
    height: int = SHORT,
    width: Literal["time", "name"] = "time",
) -> Spec:
    """Upright bars, stacked by series if there is one; negative values go down."""
    column = dataset.column(x)
    if width == "time":
        across = alt.X(
            column.name,
            type="ordinal",
            title=x_title,
            timeUnit="yearmonth" if column.kind == "month" else "yearmonthdate",
            axis=alt.Axis(
                format="%b %y" if column.kind == "month" else "%d %b", labelAngle=0, labelOverlap=True, grid=False
            ),
        )
    else:
        across = alt.X(
            column.name,
            type="ordinal",
            title=x_title if x_title is not None else column.label,
            sort=None,
            axis=alt.Axis(labelAngle=0, labelOverlap=True, grid=False),
        )
    chart = alt.Chart(ROWS).mark_bar(cornerRadius=1)
    colour: Any = hue(series, None, domain, tokens) if series else alt.value(f"@{token}")
    encoded: dict[str, Any] = {
        "x": across,
        "y": amount(dataset.column(y)),
        "color": colour,
        "tooltip": tooltip(dataset, tooltips),
    }
    if series and domain:
        encoded["order"] = alt.Order("order:Q")
        order = f"indexof({list(domain)!r}, datum['{series}'])"
        return spec(chart.transform_calculate(order=order).encode(**encoded), height)
    return spec(chart.encode(**encoded), height)


def lying_bars(
    dataset: Dataset,
    y: str,
    x: str,
    *,
    tooltips: Sequence[str],
    series: str | None = None,
    domain: Sequence[str] | None = None,
    tokens: Sequence[str] | None = None,
    token: str = "blue",
    step: int = 26,
) -> Spec:
    """Lying bars, one a name, in the rows' order."""
    across = alt.X(
        x,
        type="quantitative",
        title=dataset.column(x).label,
        stack="zero",
        axis=alt.Axis(labelExpr=label(dataset.column(x).kind), tickCount=5, **_whole(dataset.column(x))),
    )
    down = alt.Y(y, type="nominal", title=None, sort=None, axis=alt.Axis(labelLimit=170, grid=False, domain=False))
    colour: Any = hue(series, None, domain, tokens) if series else alt.value(f"@{token}")
    chart = (
        alt.Chart(ROWS)
        .mark_bar(cornerRadius=1)
        .encode(x=across, y=down, color=colour, tooltip=tooltip(dataset, tooltips))
    )
    return stepped(chart, step)


def heat_map(
    dataset: Dataset,
    x: str,
    y: str,
    colour: str,
    text: str,
    *,
    tooltips: Sequence[str],
    x_title: str | None,
    y_title: str | None,
    top: float | None = None,
    unfinished: str | None = None,
    step: int = 26,
    text_format: str = ",d",
    diverging: bool = False,
    x_sort: Sequence[Any] | None = None,
    y_sort: Sequence[Any] | Literal["descending"] | None = None,
    font_size: int = 11,
) -> Spec:
    """Cells with a colour and a number. Cells that are not over yet are hatched, and say so when pointed at."""
    base = alt.Chart(ROWS).encode(
        x=alt.X(
            x,
            type="ordinal",
            title=x_title,
            sort=list(x_sort) if x_sort else None,
            axis=alt.Axis(
                orient="bottom" if x_sort else "top",  # lines of a name grow downwards
                labelAngle=0,
                grid=False,
                ticks=False,
                domain=False,
                labelOverlap=False,
                labelExpr="split(datum.label, ' ')",  # a word a line: "registered at risk" is wider than its column
            ),
        ),
        y=alt.Y(
            y,
            type="ordinal",
            title=y_title,
            sort=y_sort if isinstance(y_sort, str) else (list(y_sort) if y_sort else None),
            axis=alt.Axis(grid=False, ticks=False, domain=False, labelLimit=170),
        ),
        tooltip=tooltip(dataset, tooltips),
    )
    scale = alt.Scale(
        range=HEAT, interpolate="rgb", domainMin=0, domainMax=top if top is not None else alt.Undefined, clamp=True
    )
    kind = dataset.column(colour).kind
    fill = alt.Color(
        colour,
        type="quantitative",
        title=dataset.column(colour).label,
        scale=scale,
        legend=alt.Legend(
            format=_AXIS_FORMATS[kind],
            orient="bottom",
            direction="horizontal",
            gradientLength=180,
            gradientThickness=10,
            tickCount=3,
        ),
    )
    layers: list[alt.Chart] = []
    finished = f"datum['{unfinished}'] === true" if unfinished else "true"
    layers.append(base.transform_filter(finished).mark_rect(stroke="@card", strokeWidth=1.5).encode(color=fill))
    if unfinished:
        hatched = base.transform_filter(f"datum['{unfinished}'] !== true")
        layers.append(hatched.mark_rect(fill="url(#unfinished)", stroke="@grid", strokeWidth=1))
    if text:
        # The text turns at the middle of the colour scale; the scale's own top is only known where the data is.
        height_of = f"datum['{colour}'] / {top}" if top is not None else "datum.share_of_top"
        texts = (
            base.transform_joinaggregate(highest=f"max({colour})").transform_calculate(
                share_of_top=f"datum['{colour}'] / datum.highest"
            )
            if top is None
            else base
        )
        layers.append(
            texts.transform_filter(f"isValid(datum['{text}'])")
            .mark_text(fontSize=font_size)
            .encode(
                text=alt.Text(text, type="quantitative", format=text_format),
                color=alt.condition(
                    f"{height_of} > {TURN} && {finished}", alt.value("@heat_text_high"), alt.value("@heat_text")
                ),
            )
        )
    return stepped(alt.layer(*layers), step)


def band(
    dataset: Dataset, x: str, y: str, low: str, high: str, series: str, *, tooltips: Sequence[str], x_title: str
) -> Spec:
    """Step curves with their confidence bands."""
    base = alt.Chart(ROWS).encode(x=steps(dataset.column(x), x_title), color=hue(series, None))
    area = base.mark_area(interpolate="step-after", opacity=0.18).encode(
        y=amount(dataset.column(low), title=dataset.column(y).label), y2=alt.Y2(high)
    )
    line = base.mark_line(interpolate="step-after", strokeWidth=2).encode(
        y=amount(dataset.column(y)), tooltip=tooltip(dataset, tooltips)
    )
    return spec(area + line, TALL)

"""From published marts to HTML: queries run, pages filled. Text in, text out, but for `write`."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from ritorno.report import numbers
from ritorno.report.figures import Column, Dataset, Figure, Filter, KeyNumber, Page, Row
from ritorno.report.marts import Marts, open_marts
from ritorno.report.pages import PAGES
from ritorno.report.theme import CATEGORY, DARK, LIGHT, css

FOLDER = "report"
ASSETS = Path(__file__).with_name("assets")
ACRONYMS = frozenset({"mrr", "nrr", "grr", "nps", "clv", "aov", "rfm", "auc"})
DIGITS = 9
"""Digits after the point of ratios in the pages; amounts have two, rounded once, as everywhere else."""


@dataclass(frozen=True)
class Loaded:
    """A dataset's rows, or in words why there are none."""

    rows: Sequence[Row]
    problem: str = ""


def write(folder: Path, tell: Callable[[str], None] = lambda text: None) -> Path:
    """Draw the report of the run in `folder` into folder/report; returns its first page.

    Args:
        folder: a run folder with marts.duckdb.
        tell: hears of figures that could not be drawn.
    """
    target = folder / FOLDER
    fresh = folder / f".{FOLDER}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    (fresh / "assets").mkdir(parents=True)
    vega = _write_assets(fresh / "assets", folder)
    with open_marts(folder) as marts:
        for name, html in pages(marts, vega, tell):
            (fresh / name).write_text(html, encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
    return target / "index.html"


def _write_assets(assets: Path, folder: Path) -> str:
    """Scripts and the sheet, beside the pages and shared by them; returns the name of the Vega bundle."""
    colours = (
        f":root {{ color-scheme: light; {css(LIGHT)} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ color-scheme: dark; {css(DARK)} }} }}\n"
        f":root[data-theme=light] {{ color-scheme: light; {css(LIGHT)} }}\n"
        f":root[data-theme=dark] {{ color-scheme: dark; {css(DARK)} }}\n"
    )
    sheet = (ASSETS / "report.css").read_text(encoding="utf-8")
    (assets / "report.css").write_text(colours + sheet, encoding="utf-8")
    for name in ("report.js", "theme.js"):
        shutil.copyfile(ASSETS / name, assets / name)
    name = f"vega-{version('vl-convert-python')}.js"
    # Bundling takes 3 s; an earlier run of this home has the same bytes.
    known = next((path for path in sorted(folder.parent.glob(f"*/{FOLDER}/assets/{name}"))), None)
    if known is not None:
        shutil.copyfile(known, assets / name)
    else:
        (assets / name).write_text(_vega(), encoding="utf-8")
    return name


@cache
def _vega() -> str:
    """Vega, Vega-Lite and vega-embed as one script: what Altair's release goes with, from PyPI, no CDN."""
    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return script


def pages(marts: Marts, vega: str, tell: Callable[[str], None] = lambda text: None) -> Iterator[tuple[str, str]]:
    """File name and HTML of every page."""
    template = Environment(
        loader=PackageLoader("ritorno.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    ).get_template("page.html.jinja")
    made = [make(marts) for make in PAGES]
    about = {
        "as_of": marts.as_of.isoformat(),
        "published_at": f"{marts.published_at:%Y-%m-%d %H:%M}",
        "run_id": marts.run_id,
        "currency": marts.currency,
    }
    listed = [{"key": page.key, "title": page.title, "file": file_name(page)} for page in made]
    for page in made:
        loaded = {dataset.key: load(marts, dataset) for dataset in page.datasets}
        for key, dataset in loaded.items():
            if dataset.problem.startswith("Not drawn"):
                tell(f"report, page {page.key}, {key}: {dataset.problem}")
        html = template.render(
            page=_filled(page, marts, loaded),
            pages=listed,
            about=about,
            vega=vega,
            files={page.key: file_name(page) for page in made},
            titles={page.key: page.title for page in made},
        )
        yield file_name(page), html


def file_name(page: Page) -> str:
    """Where a page lies."""
    return f"{page.key}.html"


def load(marts: Marts, dataset: Dataset) -> Loaded:
    """A dataset's rows. One that can't be had leaves words in its place: a chart is no reason to hold back marts."""
    missing = marts.missing(dataset.marts)
    if missing:
        return Loaded([], f"Not there yet: this run has no mart {' and no mart '.join(missing)}.")
    try:
        rows = marts.rows(dataset.sql)
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        return Loaded(
            [],
            f"Not drawn: {' or '.join(dataset.marts)} has other columns than this chart knows ({reason}).",
        )
    return Loaded(dataset.derive(rows) if dataset.derive and rows else rows)


def _filled(page: Page, marts: Marts, loaded: Mapping[str, Loaded]) -> dict[str, Any]:
    datasets = {dataset.key: dataset for dataset in page.datasets}
    filters = {
        item.key: _filter(item, datasets[item.dataset], loaded[item.dataset])
        for item in page.filters
        if loaded[item.dataset].rows
    }
    placed = _placed(page)
    data = {
        "key": page.key,
        "as_of": marts.as_of.isoformat(),
        "symbol": numbers.symbol(marts.currency),
        "palettes": {"light": LIGHT, "dark": DARK},
        "category": CATEGORY,
        "filters": {item.key: item.column for item in page.filters},
        "datasets": {key: encode(datasets[key].columns, found.rows) for key, found in loaded.items()},
        "figures": {
            figure.key: {
                "key": figure.key,
                "title": figure.title,
                "dataset": figure.dataset,
                "spec": figure.spec,
                "shown": figure.shown,
                "filters": figure.filters,
                "where": figure.where,
            }
            for figure in page.figures()
            if not _problem(figure, loaded[figure.dataset])
        },
    }
    return {
        "key": page.key,
        "title": page.title,
        "question": page.question,
        "attention": page.attention,
        "numbers": [_number(number, marts) for number in page.numbers],
        "meanings": [(number.label, prose(number.definition)) for number in page.numbers if number.definition],
        "filters": [filters[key] for key, place in placed.items() if place == page.key and key in filters],
        "sections": [
            {
                "title": section.title,
                "text": section.text,
                "filters": [filters[key] for key, place in placed.items() if place == section.title and key in filters],
                "figures": [
                    _figure(figure, datasets[figure.dataset], loaded, marts)
                    | {
                        "filters": [
                            filters[key] for key in figure.filters if placed[key] == figure.key and key in filters
                        ]
                    }
                    for figure in section.figures
                ],
            }
            for section in page.sections
        ],
        "data": as_script(data),
    }


def _placed(page: Page) -> dict[str, str]:
    """Where each filter stands: at the one figure it changes, else at the one section, else at the page's top."""
    places = {}
    for item in page.filters:
        figures = [figure.key for figure in page.figures() if item.key in figure.filters]
        sections = [
            section.title for section in page.sections if any(item.key in figure.filters for figure in section.figures)
        ]
        places[item.key] = figures[0] if len(figures) == 1 else sections[0] if len(sections) == 1 else page.key
    return places


def _problem(figure: Figure, loaded: Loaded) -> str:
    return loaded.problem or ("" if loaded.rows else figure.empty)


def _figure(figure: Figure, dataset: Dataset, loaded: Mapping[str, Loaded], marts: Marts) -> dict[str, Any]:
    labels = {column.name: column.label for column in dataset.columns}
    meanings = [(name.split(".")[1], marts.definition(name)) for name in figure.definitions]
    return {
        "key": figure.key,
        "title": figure.title,
        "problem": _problem(figure, loaded[figure.dataset]),
        "has_chart": figure.spec is not None,
        "min_width": figure.min_width,
        "wide": figure.wide,
        "empty": figure.empty,
        "note": prose(figure.note),
        "definitions": [(labels.get(name, heading(name)), prose(text)) for name, text in meanings if text],
    }


def heading(column: str) -> str:
    """A column's name as a heading: `grr_ex_pause` is "GRR ex pause"."""
    words = [word.upper() if word in ACRONYMS else word for word in column.split("_")]
    return " ".join([words[0][0].upper() + words[0][1:], *words[1:]])


def _filter(item: Filter, dataset: Dataset, loaded: Loaded) -> dict[str, Any]:
    """The filter's options, `group: value` under its group, in the rows' order."""
    place = [column.name for column in dataset.columns].index(item.column)
    options = list(dict.fromkeys(str(plain(row[place])) for row in loaded.rows))
    groups: dict[str, list[tuple[str, str]]] = {}
    for option in options:
        group, _, rest = option.rpartition(": ")
        groups.setdefault(group, []).append((option, item.labels.get(option, rest)))
    chosen = item.chosen if item.chosen in options else (options[0] if options else None)
    return {"key": item.key, "label": item.label, "groups": list(groups.items()), "chosen": chosen}


def _number(number: KeyNumber, marts: Marts) -> dict[str, Any]:
    tone = ""
    if number.change and number.good:
        tone = "good" if (number.change > 0) == (number.good == "up") else "bad"
    return {
        "key": number.key,
        "label": number.label,
        "shown": numbers.compact(number.value, number.kind, marts.currency),
        "change": "" if number.change is None else numbers.change(number.change, number.change_kind),
        "tone": tone,
        "compared": number.compared,
        "spark": spark(number.spark),
    }


def spark(values: Sequence[float | None], width: float = 160, height: float = 34, pad: float = 3) -> str:
    """A line through `values` as an SVG path; gaps stay gaps, fewer than two values are no line."""
    known = [float(value) for value in values if value is not None]
    if len(known) < 2:
        return ""
    low, span = min(known), (max(known) - min(known)) or 1.0
    step = width / (len(values) - 1)
    parts, pen = [], "M"
    for place, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        parts.append(f"{pen}{place * step:.1f} {height - pad - (float(value) - low) / span * (height - 2 * pad):.1f}")
        pen = "L"
    return " ".join(parts)


def encode(columns: Sequence[Column], rows: Sequence[Row]) -> dict[str, Any]:
    """Rows by column, texts by dictionary: a third of the bytes of rows as objects."""
    described, values = [], []
    for place, column in enumerate(columns):
        cells = [plain(cents(row[place]) if column.kind == "money" else row[place]) for row in rows]
        about: dict[str, Any] = {"name": column.name, "label": column.label, "kind": column.kind}
        if column.kind == "text":
            known = {text: code for code, text in enumerate(dict.fromkeys(cell for cell in cells if cell is not None))}
            about["values"] = list(known)
            cells = [None if cell is None else known[cell] for cell in cells]
        described.append(about)
        values.append(cells)
    return {"columns": described, "values": values}


def cents(value: Any) -> Any:  # noqa: ANN401
    """An amount to the cent, halves away from zero."""
    if not isinstance(value, float) or math.isnan(value) or math.isinf(value):
        return value
    return Decimal(repr(value)).quantize(Decimal("0.01"), ROUND_HALF_UP)


def plain(value: Any) -> Any:  # noqa: ANN401  a cell of any type
    """A cell as JSON can hold it."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float):
        return None if math.isnan(value) or math.isinf(value) else round(value, DIGITS)
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return value.isoformat() if isinstance(value, date) else value


def as_script(data: Any) -> Markup:  # noqa: ANN401
    """JSON that may stand in a script element: no `<` of a product's name can end it."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def prose(text: str) -> Markup:
    """A description's Markdown as far as ours goes: code and paragraphs run together."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(" ".join(text.split())))))

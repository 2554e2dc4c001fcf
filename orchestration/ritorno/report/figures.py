"""What a report is made of, as plain values: datasets, figures, key numbers, pages. Nothing here reads or writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["text", "int", "number", "percent", "money", "date", "month", "yes_no"]
"""How a value is shown, alike in Python (key numbers) and in the browser (tables, tooltips, axes)."""

Row = tuple[Any, ...]
Spec = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """A column of a dataset: its name in SQL and in the chart, its heading, and how its values are shown."""

    name: str
    label: str
    kind: Kind = "text"


@dataclass(frozen=True)
class Dataset:
    """Rows that one or more figures of a page show.

    Attributes:
        key: its name on the page.
        marts: the marts that the query reads; if one isn't published the figures say so.
        sql: a query on the published marts, columns as in `columns`; `$as_of` is the day.
        columns: what the query gives, in its order.
        derive: a pure function over the rows, for layout that SQL is the wrong tool for.
    """

    key: str
    marts: tuple[str, ...]
    sql: str
    columns: tuple[Column, ...]
    derive: Callable[[Sequence[Row]], Sequence[Row]] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all its columns."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """The column of that name."""
        return next(column for column in self.columns if column.name == name)


@dataclass(frozen=True)
class Filter:
    """A choice on a page: figures that name it show only the rows whose `column` has the chosen value.

    Its options are the values that the dataset has, in the dataset's order; values like `group: value` are grouped.
    """

    key: str
    label: str
    dataset: str
    column: str
    chosen: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Figure:
    """A chart with its title, definition and numbers.

    Attributes:
        key: its id on the page, and the name of its CSV file.
        title: says what it shows.
        dataset: the rows it shows.
        spec: Vega-Lite without data and colours; None shows the numbers only.
        shown: columns of the table and the CSV.
        definitions: columns `mart.column` whose descriptions are the footnote.
        note: what else one must know to read it.
        filters: the page's filters that apply.
        where: a column that must be true for a row to be shown in this figure.
        min_width: below this many pixels the chart scrolls inside its own frame.
        wide: takes the page's whole width.
        empty: what to say if there are no rows.
    """

    key: str
    title: str
    dataset: str
    spec: Spec | None
    shown: tuple[str, ...]
    definitions: tuple[str, ...] = ()
    note: str = ""
    filters: tuple[str, ...] = ()
    where: str | None = None
    min_width: int = 0
    wide: bool = False
    empty: str = "Nothing to show up to this day."


@dataclass(frozen=True)
class KeyNumber:
    """A number on a card, with what it was before.

    Attributes:
        key: its id on the page.
        label: what it is.
        value: None shows a dash.
        kind: how it is shown.
        change: relative (flows, levels) or in points (ratios); None shows nothing.
        change_kind: `percent` for a relative change, `points` for a difference of ratios, `difference` for a count.
        compared: with what.
        good: the direction that is good news, if any.
        spark: its past, oldest first.
        definition: what it means.
    """

    key: str
    label: str
    value: Any
    kind: Kind
    change: float | None = None
    change_kind: Literal["percent", "points", "difference"] = "percent"
    compared: str = ""
    good: Literal["up", "down"] | None = None
    spark: tuple[float | None, ...] = ()
    definition: str = ""


@dataclass(frozen=True)
class Attention:
    """Something that wants a person today, and the page, or figure, that tells more."""

    level: Literal["alarm", "warning", "notice"]
    text: str
    page: str
    figure: str = ""


@dataclass(frozen=True)
class Section:
    """Figures under a heading."""

    title: str
    figures: tuple[Figure, ...]
    text: str = ""


@dataclass(frozen=True)
class Page:
    """A page of the report, before its queries ran."""

    key: str
    title: str
    question: str
    sections: tuple[Section, ...]
    datasets: tuple[Dataset, ...]
    filters: tuple[Filter, ...] = ()
    numbers: tuple[KeyNumber, ...] = ()
    attention: tuple[Attention, ...] | None = None

    def figures(self) -> list[Figure]:
        """All its figures, in order."""
        return [figure for section in self.sections for figure in section.figures]

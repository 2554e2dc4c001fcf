"""Whether two copies of the marts say the same, value by value, and where they don't, without telling who is who."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from ritorno import sql

RUN_COLUMNS = frozenset({"published_run_id", "run_id", "checked_at", "measured_at", "published_at"})
"""What names a run, not what it found."""
FITTED = 1e-6
"""Relative: sums of floats come in any order, and optimisers stop at the same place but for the last digits."""
_SHOWN_TYPES = ("DATE", "INTEGER", "BIGINT", "BOOLEAN")
_SHOWN_NAMES = ("_key", "_type", "cut", "state", "movement", "metric_x", "metric_y", "model", "check_name")
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Difference:
    """How one mart differs.

    Attributes:
        mart: which.
        rows: rows of the first copy that the second hasn't.
        other_rows: rows of the second that the first hasn't.
        columns: those whose values differ; empty if rows are missing only.
        samples: keys, dates and numbers of a few rows, no text that may be personal.
    """

    mart: str
    rows: int
    other_rows: int
    columns: tuple[str, ...] = ()
    samples: tuple[str, ...] = ()

    def __str__(self) -> str:
        """A line for people."""
        where = f" in {', '.join(self.columns)}" if self.columns else ""
        shown = f"; such as {'; '.join(self.samples)}" if self.samples else ""
        return f"{self.mart}: {self.rows:,} rows here and {self.other_rows:,} there{where}{shown}"


def differences(
    con: duckdb.DuckDBPyConnection, marts: Iterable[str], left: str, right: str, samples: int = 3
) -> list[Difference]:
    """Compare tables of the same names in two schemas of a connection (`database.schema`)."""
    found = (_difference(con, mart, f"{left}.{sql.name(mart)}", f"{right}.{sql.name(mart)}", samples) for mart in marts)
    return [difference for difference in found if difference is not None]


def _difference(con: duckdb.DuckDBPyConnection, mart: str, left: str, right: str, samples: int) -> Difference | None:
    described, other = _columns(con, left), _columns(con, right)
    if described != other:
        names = sorted({name for name, _ in set(described) ^ set(other)}) or ["their order"]
        return Difference(mart, 0, 0, tuple(names), ("the columns differ",))
    names = [name for name, _ in described]
    listed = ", ".join(sql.name(name) for name in names)
    # rows that are the same to the last bit are settled here; the rest is few, or is told in counts anyway
    ours, theirs = (
        con.execute(f"select {listed} from {one} except all select {listed} from {another}").fetchall()
        for one, another in ((left, right), (right, left))
    )
    floats = [index for index, (_, kind) in enumerate(described) if kind in ("DOUBLE", "FLOAT")]
    ours, theirs = _apart(ours, theirs, floats)
    if not ours and not theirs:
        return None
    shown = [
        index for index, (name, kind) in enumerate(described) if kind in _SHOWN_TYPES or name.endswith(_SHOWN_NAMES)
    ]
    keys = [index for index in shown if names[index].endswith("_key")] or shown
    return Difference(
        mart,
        len(ours),
        len(theirs),
        tuple(name for index, name in enumerate(names) if _differs(ours, theirs, keys, index)),
        tuple(
            ", ".join(f"{names[index]} {row[index]}" for index in shown[:4] if row[index] is not None)
            for row in sorted([*ours, *theirs], key=repr)[:samples]
        ),
    )


def _columns(con: duckdb.DuckDBPyConnection, relation: str) -> list[tuple[str, str]]:
    described = con.execute(f"describe {relation}").fetchall()
    return [(name, kind) for name, kind, *_ in described if name not in RUN_COLUMNS]


def _apart(ours: Sequence[Row], theirs: Sequence[Row], floats: Sequence[int]) -> tuple[list[Row], list[Row]]:
    """The rows of each side that have no row on the other side with equal values, and floats as good as equal."""
    waiting: dict[Row, list[Row]] = defaultdict(list)
    for row in sorted(theirs, key=lambda one: _numbers(one, floats)):
        waiting[_exact(row, floats)].append(row)
    left = []
    for row in sorted(ours, key=lambda one: _numbers(one, floats)):
        candidates = waiting[_exact(row, floats)]
        match = next((other for other in candidates if all(_same(row[i], other[i]) for i in floats)), None)
        if match is None:
            left.append(row)
        else:
            candidates.remove(match)
    return left, [row for rows in waiting.values() for row in rows]


def _exact(row: Row, floats: Sequence[int]) -> Row:
    return tuple(repr(value) for index, value in enumerate(row) if index not in floats)


def _numbers(row: Row, floats: Sequence[int]) -> tuple[float, ...]:
    return tuple(-math.inf if row[index] is None or math.isnan(row[index]) else row[index] for index in floats)


def _same(a: float | None, b: float | None) -> bool:
    if a is None or b is None:
        return a is b
    return math.isclose(a, b, rel_tol=FITTED, abs_tol=1e-9) or (math.isnan(a) and math.isnan(b))


def _differs(ours: Sequence[Row], theirs: Sequence[Row], keys: Sequence[int], column: int) -> bool:
    """Whether the values of a column differ where the keys are the same; a missing row says nothing about a column."""
    sides = []
    for rows in (ours, theirs):
        sides.append({tuple(repr(row[key]) for key in keys): Counter[str]() for row in rows})
        for row in rows:
            sides[-1][tuple(repr(row[key]) for key in keys)][repr(row[column])] += 1
    return any(values != sides[1][key] for key, values in sides[0].items() if key in sides[1])

"""Whether two copies of the marts say the same, value by value."""

from __future__ import annotations

import math
from typing import Any

import duckdb

RUN_COLUMNS = frozenset({"published_run_id", "run_id", "checked_at", "measured_at", "published_at"})
"""What names a run, not what it found."""
FITTED = 1e-6
"""Relative: optimisers stop at the same place but for the last digits, whichever order rows come in."""


def marts_of(path: str) -> dict[str, tuple[list[str], list[tuple[Any, ...]]]]:
    """Columns and rows of every mart in a published file, without what names the run."""
    with duckdb.connect(path, read_only=True) as con:
        tables = con.execute("select table_name from duckdb_tables() where schema_name = 'marts'").fetchall()
        found = {}
        for name in sorted({row[0] for row in tables} - {"published_run"}):
            columns = [
                row[0] for row in con.execute(f'describe marts."{name}"').fetchall() if row[0] not in RUN_COLUMNS
            ]
            listed = ", ".join(f'"{column}"' for column in columns)
            found[name] = (columns, con.execute(f'select {listed} from marts."{name}"').fetchall())
    return found


def differences(left: str, right: str, most: int = 5) -> dict[str, list[str]]:
    """By mart, the first differences in words; empty where both say the same."""
    ours, theirs = marts_of(left), marts_of(right)
    found: dict[str, list[str]] = {}
    if set(ours) != set(theirs):
        found["marts"] = [f"only in one: {sorted(set(ours) ^ set(theirs))}"]
    for name in sorted(set(ours) & set(theirs)):
        (columns, rows), (their_columns, their_rows) = ours[name], theirs[name]
        if columns != their_columns:
            found[name] = [f"columns {columns} against {their_columns}"]
        elif len(rows) != len(their_rows):
            found[name] = [f"{len(rows)} rows against {len(their_rows)}"]
        else:
            told = [
                f"{column}: {a!r} against {b!r} in {one[:4]!r}"
                for one, other in zip(sorted(rows, key=_order), sorted(their_rows, key=_order), strict=True)
                for column, a, b in zip(columns, one, other, strict=True)
                if not _same(a, b)
            ]
            if told:
                found[name] = [f"{len(told)} values differ", *told[:most]]
    return found


def _order(row: tuple[Any, ...]) -> tuple[list[str], list[str]]:
    exact = [repr(value) for value in row if not isinstance(value, float)]
    return exact, [f"{value:.6g}" for value in row if isinstance(value, float)]


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=FITTED, abs_tol=1e-9) or (math.isnan(a) and math.isnan(b))
    return bool(a == b)

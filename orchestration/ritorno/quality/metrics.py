"""Figures of a table that drift is judged by, measured in one query each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import duckdb

from ritorno.quality.drift import DriftRule, Figure
from ritorno.quality.expectations import Suite


def quoted(name: str) -> str:
    """A DuckDB identifier."""
    return '"' + name.replace('"', '""') + '"'


def relation(suite: Suite, columns: list[str]) -> str:
    """The table as a query, with the suite's own column expressions in place of (or beside) the table's columns.

    Args:
        suite: whose table.
        columns: the table's columns.
    """
    plain = [quoted(name) for name in columns if name not in suite.columns]
    read = [f"{expression} as {quoted(name)}" for name, expression in suite.columns.items()]
    return f"select {', '.join([*plain, *read])} from {quoted(suite.stage)}.{quoted(suite.table)}"


def measure(con: duckdb.DuckDBPyConnection, source: str, rule: DriftRule, as_of: date) -> Figure:
    """This run's figure.

    Args:
        con: the warehouse.
        source: the table as a query.
        rule: what to measure.
        as_of: the run's date, the end of recent_rows_per_day's window.
    """
    if rule.metric == "distribution":
        return _shares(con, source, rule)
    expression = _EXPRESSIONS[rule.metric](quoted(rule.column or ""), rule, as_of)
    row = con.execute(f"select cast({expression} as double) from ({source}) as t").fetchone()
    return None if row is None or row[0] is None else float(row[0])


def _recent(column: str, rule: DriftRule, as_of: date) -> str:
    end = f"date '{as_of.isoformat()}'"
    day = f"cast({column} as date)"
    return f"count(*) filter (where {day} > {end} - {rule.window_days} and {day} <= {end}) / {rule.window_days}.0"


_EXPRESSIONS: dict[str, Callable[[str, DriftRule, date], str]] = {
    "rows": lambda column, rule, as_of: "count(*)",
    "recent_rows_per_day": _recent,
    "null_rate": lambda column, rule, as_of: f"count(*) filter (where {column} is null) / nullif(count(*), 0)",
    "min": lambda column, rule, as_of: f"min({column})",
    "max": lambda column, rule, as_of: f"max({column})",
    "mean": lambda column, rule, as_of: f"avg({column})",
}


def _shares(con: duckdb.DuckDBPyConnection, source: str, rule: DriftRule) -> Figure:
    column = quoted(rule.column or "")
    rows = con.execute(
        f"select coalesce(cast({column} as varchar), '(null)'), count(*) from ({source}) as t group by 1"
    ).fetchall()
    total = sum(count for _, count in rows)
    return {value: count / total for value, count in rows} if total else None

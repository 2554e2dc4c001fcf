"""The step `survival`: how long each subject of a curve was watched in; which groups differ, and their means, out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from ritorno.step_context import StepContext
from ritorno.survival.compare import Counts, LogRank, log_rank, restricted_mean

INPUTS = ("int_survival__durations",)
OUTPUTS = ("survival.comparisons",)

ALL = "all"
"""The row of a curve's groups together; a curve without groups has this one only."""

_COLUMNS: Mapping[str, str] = {
    "curve": "varchar",
    "cut_value": "varchar",
    "subjects": "bigint",
    "events": "bigint",
    "expected_events": "double",
    "chi2": "double",
    "df": "bigint",
    "p_value": "double",
    "horizon_days": "bigint",
    "restricted_mean_days": "double",
    "restricted_mean_std_error": "double",
}


def ensure(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Create the output table, empty, where it is missing."""
    warehouse.execute("create schema if not exists survival")
    columns = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
    warehouse.execute(f"create table if not exists survival.comparisons ({columns})")


def run(context: StepContext) -> dict[str, Any]:
    """Compare the groups of every curve, and replace survival.comparisons."""
    warehouse = context.warehouse
    horizon = int(context.policy["survival_horizon_days"])
    curves = warehouse.execute("select distinct curve from intermediate.int_survival__durations order by 1").fetchall()
    rows = [row for (curve,) in curves for row in _compare(warehouse, str(curve), horizon)]
    found = pa.Table.from_pylist(rows, schema=_SCHEMA)
    warehouse.register("_compared", found)
    warehouse.execute("delete from survival.comparisons")
    warehouse.execute("insert into survival.comparisons by name from _compared")
    warehouse.unregister("_compared")
    return {"curves": len(curves), "groups": len(rows)}


_ARROW = {"varchar": pa.string(), "double": pa.float64(), "bigint": pa.int64()}
_SCHEMA = pa.schema([(name, _ARROW[kind]) for name, kind in _COLUMNS.items()])


def _compare(warehouse: duckdb.DuckDBPyConnection, curve: str, horizon: int) -> Iterator[dict[str, Any]]:
    names, counts = _counts(warehouse, curve)
    pooled = Counts(counts.days, counts.events.sum(axis=0)[None], counts.censored.sum(axis=0)[None])
    grouped = names != [ALL]
    yield _row(curve, ALL, pooled, 0, log_rank(counts) if grouped else None, horizon)
    if not grouped:
        return
    for group, name in enumerate(names):
        test = log_rank(counts.against_the_others(group))
        yield _row(curve, name, counts, group, test, horizon) | {"expected_events": float(test.expected[0])}


def _counts(warehouse: duckdb.DuckDBPyConnection, curve: str) -> tuple[list[str], Counts]:
    """The curve's groups in order of name, and how many of each ended on each day; sums are SQL's."""
    found = warehouse.execute(
        """
        select cut_value, t_days, count(*) filter (is_event) as events, count(*) filter (not is_event) as censored
        from intermediate.int_survival__durations
        where curve = ?
        group by cut_value, t_days
        order by cut_value, t_days
        """,
        [curve],
    ).fetchnumpy()
    names, group = np.unique(np.asarray(found["cut_value"]).astype(str), return_inverse=True)
    days, day = np.unique(np.asarray(found["t_days"]).astype(float), return_inverse=True)
    events, censored = np.zeros((2, names.size, days.size))
    events[group, day] = np.asarray(found["events"])
    censored[group, day] = np.asarray(found["censored"])
    return [str(name) for name in names], Counts(days, events, censored)


def _row(curve: str, name: str, counts: Counts, group: int, test: LogRank | None, horizon: int) -> dict[str, Any]:
    events, censored = counts.events[group], counts.censored[group]
    mean = restricted_mean(counts.days, events, censored, horizon)
    return {
        "curve": curve,
        "cut_value": name,
        "subjects": int(events.sum() + censored.sum()),
        "events": int(events.sum()),
        "expected_events": None,
        "chi2": test.chi2 if test else None,
        "df": test.df if test else None,
        "p_value": test.p_value if test else None,
        "horizon_days": horizon,
        "restricted_mean_days": mean.days,
        "restricted_mean_std_error": mean.std_error,
    }

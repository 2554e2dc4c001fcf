"""The step `experiment_records`: who was put in which arm of a segment's experiment, out of the state store.

The audience engine records an arm when somebody is first eligible, and it never changes; arms, shares and end date
stand in the segment's `config.meta.segment.experiment`. Both become tables that SQL unites with the campaigns' own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import duckdb
import pyarrow as pa

from ritorno.home import Home
from ritorno.state import open_state
from ritorno.step_context import StepContext

INPUTS = ("int_canonical__campaign_assignments",)
"""Not read: the state store is no model, and a step needs a place in the refresh. It runs where identity does."""

_TABLES: Mapping[str, Mapping[str, str]] = {
    "assignments": {"experiment": "varchar", "customer_key": "varchar", "arm": "varchar", "assigned_at": "timestamp"},
    "definitions": {
        "experiment": "varchar",
        "segment": "varchar",
        "metric": "varchar",
        "end_date": "date",
        "arm": "varchar",
        "planned_share": "double",
    },
}
_ARROW = {"varchar": pa.string(), "double": pa.float64(), "date": pa.date32(), "timestamp": pa.timestamp("us")}

OUTPUTS = tuple(f"experiments.{name}" for name in _TABLES)


def ensure(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Create the output tables, empty, where they are missing."""
    warehouse.execute("create schema if not exists experiments")
    for name, columns in _TABLES.items():
        typed = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        warehouse.execute(f"create table if not exists experiments.{name} ({typed})")


def run(context: StepContext) -> dict[str, Any]:
    """Copy the recorded assignments and what the segments say of their experiments."""
    recorded = _recorded(context.home)
    defined = list(definitions(context.manifest))
    _replace(context.warehouse, "assignments", recorded)
    _replace(context.warehouse, "definitions", pa.Table.from_pylist(defined, schema=_schema("definitions")))
    return {"assignments": recorded.num_rows, "experiments": len({row["experiment"] for row in defined})}


def definitions(manifest: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One row per experiment and arm; an experiment on several segments is one (they are held to agree)."""
    seen: set[str] = set()
    for node in sorted(manifest.get("nodes", {}).values(), key=lambda node: str(node["name"])):
        meta = (node.get("config") or {}).get("meta") or {}
        experiment = (meta.get("segment") or {}).get("experiment")
        if not experiment or experiment["key"] in seen:
            continue
        seen.add(experiment["key"])
        end = experiment.get("end_date")
        for arm, share in experiment["arms"].items():
            yield {
                "experiment": str(experiment["key"]),
                "segment": str(node["name"]),
                "metric": experiment.get("metric"),
                "end_date": date.fromisoformat(str(end)[:10]) if end else None,
                "arm": str(arm),
                "planned_share": float(share),
            }


def _schema(name: str) -> pa.Schema:
    return pa.schema([(column, _ARROW[kind]) for column, kind in _TABLES[name].items()])


def _recorded(home: Home) -> pa.Table:
    """The state store's table; none before anything was sent for the first time."""
    if not home.state.exists():
        return _schema("assignments").empty_table()
    with open_state(home, read_only=True) as state:
        there = state.execute(
            "select 1 from information_schema.tables where table_schema = 'publish' and table_name = 'assignment'"
        ).fetchone()
        if there is None:
            return _schema("assignments").empty_table()
        found: pa.Table = state.execute(
            "select experiment, customer_key, arm, assigned_at from publish.assignment order by all"
        ).to_arrow_table()
        return found


def _replace(warehouse: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> None:
    columns = ", ".join(f"cast({column} as {kind}) as {column}" for column, kind in _TABLES[name].items())
    warehouse.execute("create schema if not exists experiments")
    warehouse.register("experiment_records", rows)
    try:
        warehouse.execute(f"create or replace table experiments.{name} as select {columns} from experiment_records")
    finally:
        warehouse.unregister("experiment_records")

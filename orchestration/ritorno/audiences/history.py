"""The Python step `audience_history`: counts of earlier sends, from the publish state into tables that dbt reads.

Aggregates only, no keys and no addresses. A build sees the runs of days before its own, so that a repeat of a day
builds the same marts whether it was sent in between or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb

from ritorno.state import open_state
from ritorno.step_context import StepContext

SCHEMA = "audience_history"
_TABLES: Mapping[str, tuple[str, str]] = {
    "runs": (
        "run_id varchar, audience varchar, segment varchar, status varchar, as_of date, build_run_id varchar, "
        "definition_hash varchar, digest varchar, approved boolean, only_forced boolean, started_at timestamp, "
        "finished_at timestamp, acknowledged_at timestamp, reason varchar, members bigint, wanted bigint, "
        "baseline bigint, to_erase bigint, to_remove bigint, to_update bigint, to_add bigint, acknowledged bigint, "
        "refused bigint, unknown bigint, not_sent bigint",
        "publish.run",
    ),
    "exclusions": (
        "run_id varchar, audience varchar, position integer, reason varchar, detail varchar, customers bigint",
        "publish.exclusion",
    ),
    "drift": (
        "run_id varchar, audience varchar, kind varchar, members bigint, read_at timestamp, fields varchar",
        "publish.drift",
    ),
}
OUTPUTS = tuple(f"{SCHEMA}.{name}" for name in _TABLES)


def ensure(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Create the output tables, empty, where they are missing."""
    warehouse.execute(f"create schema if not exists {SCHEMA}")
    for name, (columns, _) in _TABLES.items():
        warehouse.execute(f"create table if not exists {SCHEMA}.{name} ({columns})")


def run(context: StepContext) -> dict[str, Any]:
    """Copy what earlier days' runs came to; plans that were only looked at are none."""
    ensure(context.warehouse)
    figures: dict[str, Any] = {}
    for name, rows in _read(context).items():
        # Anew: a warehouse that an older version built lacks the columns that came since.
        context.warehouse.execute(f"create or replace table {SCHEMA}.{name} ({_TABLES[name][0]})")
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            context.warehouse.executemany(f"insert into {SCHEMA}.{name} values ({marks})", rows)
        figures[name] = len(rows)
    return figures


def _read(context: StepContext) -> dict[str, list[Any]]:
    nothing: dict[str, list[Any]] = {name: [] for name in _TABLES}
    if not context.home.state.exists():
        return nothing
    with open_state(context.home, read_only=True) as con:
        known = con.execute("select 1 from duckdb_tables() where schema_name = 'publish' and table_name = 'run'")
        if known.fetchone() is None:
            return nothing
        sent = "select run_id from publish.run where as_of < ? and status not in ('planned', 'superseded', 'sending')"
        # A state that nothing was sent from since an update isn't migrated yet, and is only read here.
        there = set(con.execute("select table_name, column_name from duckdb_columns() where schema_name = 'publish'")
                    .fetchall())  # fmt: skip

        def shown(table: str, columns: str) -> str:
            name = table.removeprefix("publish.")
            wanted = [column.split()[0] for column in columns.split(", ")]
            return ", ".join(column if (name, column) in there else f"null as {column}" for column in wanted)

        return {
            name: con.execute(
                f"select {shown(table, columns)} from {table} where run_id in ({sent}) order by all", [context.as_of]
            ).fetchall()
            for name, (columns, table) in _TABLES.items()
        }

"""dbt's snapshots as state: they outlive the warehouse, and only published runs add to them.

A snapshot is no function of raw data and as-of: it remembers what a table said on days that are gone. dbt keeps it in
the warehouse; here the state store's schema `snapshots` is where it lives. A run begins with the state's copy and puts
back what it made of it after publishing, in one transaction. So a run that a check stopped leaves nothing behind, a
warehouse can be deleted, and a run of a day before the last one changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from ritorno import sql
from ritorno.home import Home
from ritorno.state import open_state

SCHEMA = "snapshots"


def restore(home: Home) -> int:
    """Make the warehouse's snapshots what the state store has; returns their rows."""
    with _both(home) as con:
        con.begin()
        con.execute(f"create schema if not exists warehouse.{SCHEMA}")
        kept = _tables(con, home.state.stem)
        for name in _tables(con, "warehouse"):
            con.execute(f'drop table warehouse.{SCHEMA}."{name}"')
        rows = sum(_copy(con, name, home.state.stem, "warehouse") for name in kept)
        con.commit()
        return rows


def keep(home: Home) -> int:
    """Make the state store's snapshots what the warehouse has; returns their rows."""
    with _both(home) as con:
        con.begin()
        con.execute(f"create schema if not exists {SCHEMA}")
        rows = sum(_copy(con, name, "warehouse", home.state.stem) for name in _tables(con, "warehouse"))
        con.commit()
        return rows


@contextmanager
def _both(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """The state store with the warehouse beside it; nobody else of this run has the warehouse open now."""
    with open_state(home) as con:
        con.execute(f"attach {sql.text(str(home.warehouse))} as warehouse")
        yield con
        con.execute("detach warehouse")


def _tables(con: duckdb.DuckDBPyConnection, database: str) -> list[str]:
    found = con.execute(
        "select table_name from duckdb_tables() where database_name = ? and schema_name = ? order by table_name",
        [database, SCHEMA],
    ).fetchall()
    return [str(row[0]) for row in found]


def _copy(con: duckdb.DuckDBPyConnection, name: str, source: str, target: str) -> int:
    con.execute(f'create or replace table {target}.{SCHEMA}."{name}" as from {source}.{SCHEMA}."{name}"')
    return sql.count(con, f'{target}.{SCHEMA}."{name}"')

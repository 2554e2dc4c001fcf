"""Engines: where dbt's SQL runs. Embedded DuckDB by default, PostgreSQL when several people or machines share it.

Landing, the Python steps, checks and publishing work on the home's DuckDB file on every engine. Another engine gets
what they wrote before its SQL reads it, and gives back what they read: `Engine` is that traffic and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import duckdb

from ritorno import sql
from ritorno.errors import UnusableInput

Table = tuple[str, str]
"""Schema and name."""
NAMES = ("duckdb", "postgres", "spark")


class Engine(Protocol):
    """Where dbt's SQL runs, seen from the home's DuckDB file."""

    @property
    def name(self) -> str:
        """What `--engine` and dbt's target call it."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """What profiles.yml reads."""
        ...

    def send(self, warehouse: duckdb.DuckDBPyConnection, tables: Sequence[Table], scratch: Path) -> None:
        """Bring tables of the home's file to the engine, replacing what stands there."""
        ...

    def fetch(self, warehouse: duckdb.DuckDBPyConnection, tables: Sequence[Table], scratch: Path) -> None:
        """Bring tables of the engine to the home's file, replacing what stands there."""
        ...

    def count(self, warehouse: duckdb.DuckDBPyConnection, tables: Sequence[Table]) -> dict[Table, int]:
        """Rows of those of the tables that exist as tables: counting a view would run it."""
        ...

    def rows(self, warehouse: Path, statement: str) -> list[tuple[Any, ...]]:
        """What a statement of dbt's says, once dbt is done; `warehouse` is the home's file."""
        ...

    def publish(self, tables: Sequence[Table], run_id: str, as_of: date) -> None:
        """Show the marts to those who read them at the engine, all of one run at once."""
        ...


class Embedded:
    """The home's own DuckDB file: nothing to carry."""

    name = "duckdb"
    environment: Mapping[str, str] = {}

    def send(self, warehouse: duckdb.DuckDBPyConnection, tables: Sequence[Table], scratch: Path) -> None:
        """Nothing."""

    def fetch(self, warehouse: duckdb.DuckDBPyConnection, tables: Sequence[Table], scratch: Path) -> None:
        """Nothing."""

    def count(self, warehouse: duckdb.DuckDBPyConnection, tables: Sequence[Table]) -> dict[Table, int]:
        """See Engine."""
        existing = set(warehouse.execute("select schema_name, table_name from duckdb_tables()").fetchall())
        found = {}
        for schema, name in tables:
            if (schema, name) in existing:
                found[schema, name] = sql.count(warehouse, f"{sql.name(schema)}.{sql.name(name)}")
        return found

    def rows(self, warehouse: Path, statement: str) -> list[tuple[Any, ...]]:
        """See Engine."""
        with closing(duckdb.connect(str(warehouse), read_only=True)) as con:
            found: list[tuple[Any, ...]] = con.execute(statement).fetchall()
            return found

    def publish(self, tables: Sequence[Table], run_id: str, as_of: date) -> None:
        """Nothing: BI reads the published file."""


def make_engine(
    name: str = "", url: str = "", home: Path | None = None, policy: Mapping[str, Any] | None = None
) -> Engine:
    """The engine of a run: by name, else RITORNO_ENGINE, else embedded DuckDB. The policy says how tables stand there.

    Raises:
        UnusableInput: no such engine, or its address is missing.
    """
    chosen = name or os.environ.get("RITORNO_ENGINE", "") or "duckdb"
    if chosen == "duckdb":
        return Embedded()
    if chosen == "postgres":
        from ritorno.engines.postgres import Postgres, Server

        address = url or os.environ.get("RITORNO_POSTGRES_URL", "")
        if not address:
            raise UnusableInput(
                "--engine postgres needs an address: set RITORNO_POSTGRES_URL=postgresql://user:password@host:5432/db"
            )
        return Postgres(Server.from_url(address))
    if chosen == "spark":
        from ritorno.engines.spark import Spark
        from ritorno.engines.spark_layout import Layout

        return Spark(home, Layout.of(policy or {}))
    raise UnusableInput(f"--engine {chosen}: no such engine; there are {', '.join(NAMES)}")

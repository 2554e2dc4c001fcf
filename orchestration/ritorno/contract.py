"""The canonical contract: which raw tables exist, their columns, types and rules.

Read from the dbt source definitions (`models/staging/<system>/_<system>__sources.yml`), so that landing, staging and
the docs can't disagree about a column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from ritorno.documents import load_yaml
from ritorno.home import PROJECT_ROOT

RAW_SCHEMA = "raw"
BOOKKEEPING: Mapping[str, str] = {
    "_ritorno_file": "VARCHAR",
    "_ritorno_line": "BIGINT",
    "_ritorno_batch": "BIGINT",
}
"""Columns that landing adds to every raw table, with their DuckDB types."""


@dataclass(frozen=True)
class Column:
    """A declared column of a raw table."""

    name: str
    data_type: str
    description: str
    required: bool = False
    pii: bool = False


@dataclass(frozen=True)
class RawTable:
    """A declared raw table of a source system.

    Attributes:
        system: the source system, a folder in models/staging.
        name: the table's name as a user says it (a file's stem).
        identifier: its name in the schema `raw`.
        key: its natural key, empty where rows have none of their own.
        event_time: the column that decides whether a row exists as of a day.
        one_of: at least one of these columns must be there and filled (`table` names count as columns elsewhere).
        parent: (column, table) a row must relate to.
    """

    system: str
    name: str
    identifier: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    event_time: str | None = None
    one_of: tuple[str, ...] = ()
    parent: tuple[str, str] | None = None

    @property
    def column_names(self) -> tuple[str, ...]:
        """The declared columns' names, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def required(self) -> tuple[str, ...]:
        """Columns that a file must have."""
        return tuple(column.name for column in self.columns if column.required)

    @property
    def relation(self) -> str:
        """The quoted raw table."""
        return f'{RAW_SCHEMA}."{self.identifier}"'


def _column(spec: Mapping[str, Any]) -> Column:
    meta = spec.get("config", {}).get("meta", {})
    return Column(
        name=spec["name"],
        data_type=spec["data_type"],
        description=spec.get("description", ""),
        required=bool(meta.get("required", False)),
        pii=bool(meta.get("pii", False)),
    )


def _table(system: str, spec: Mapping[str, Any]) -> RawTable:
    meta = spec.get("config", {}).get("meta", {})
    parent = meta.get("parent")
    return RawTable(
        system=system,
        name=spec["name"],
        identifier=spec.get("identifier", spec["name"]),
        description=spec.get("description", ""),
        columns=tuple(_column(column) for column in spec["columns"]),
        key=tuple(meta.get("key", ())),
        event_time=meta.get("event_time"),
        one_of=tuple(meta.get("one_of", ())),
        parent=(parent["column"], parent["table"]) if parent else None,
    )


@cache
def systems(root: Path = PROJECT_ROOT) -> Mapping[str, Mapping[str, RawTable]]:
    """Every source system's raw tables, by system and table name."""
    found: dict[str, dict[str, RawTable]] = {}
    for path in sorted((root / "models" / "staging").glob("*/_*__sources.yml")):
        for source in load_yaml(path.read_text(encoding="utf-8"))["sources"]:
            tables = [_table(source["name"], spec) for spec in source["tables"]]
            found[source["name"]] = {table.name: table for table in tables}
    return found


def raw_tables(root: Path = PROJECT_ROOT) -> Sequence[RawTable]:
    """Every declared raw table of every system."""
    return [table for tables in systems(root).values() for table in tables.values()]


def ensure_raw_tables(con: duckdb.DuckDBPyConnection, root: Path = PROJECT_ROOT) -> None:
    """Create what is missing so that every declared table and column exists, whoever filled the rest.

    A table that a loader put there keeps its rows and types and gets the missing columns as null text.
    """
    con.execute(f"create schema if not exists {RAW_SCHEMA}")
    existing: dict[str, set[str]] = {}
    for name, column in con.execute(
        "select table_name, column_name from duckdb_columns() "
        "where schema_name = ? and database_name = current_database()",
        [RAW_SCHEMA],
    ).fetchall():
        existing.setdefault(name, set()).add(column.lower())
    for table in raw_tables(root):
        wanted = dict.fromkeys(table.column_names, "VARCHAR") | dict(BOOKKEEPING)
        if table.identifier not in existing:
            columns = ", ".join(f'"{name}" {kind}' for name, kind in wanted.items())
            con.execute(f"create table {table.relation} ({columns})")
            continue
        for name, kind in wanted.items():
            if name.lower() not in existing[table.identifier]:
                con.execute(f'alter table {table.relation} add column "{name}" {kind}')

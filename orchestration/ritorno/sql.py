"""Quoting and counting for the statements built in Python: names and paths come from files and people, not trusted."""

from __future__ import annotations

import os
from collections.abc import Iterable

import duckdb

MEMORY = "2.5GB"
"""As in profiles.yml. The process takes up to 1.3 GB more: Python, and what DuckDB doesn't count."""


def bound_memory(con: duckdb.DuckDBPyConnection) -> None:
    """Hold a connection's database to RITORNO_MEMORY; without a limit DuckDB takes four fifths of the machine."""
    con.execute(f"set memory_limit = {text(os.environ.get('RITORNO_MEMORY') or MEMORY)}")


def name(identifier: str) -> str:
    """An identifier, quoted."""
    return '"' + identifier.replace('"', '""') + '"'


def text(value: str) -> str:
    """A string literal."""
    return "'" + value.replace("'", "''") + "'"


def names(identifiers: Iterable[str]) -> str:
    """A list of quoted identifiers."""
    return ", ".join(name(identifier) for identifier in identifiers)


def count(con: duckdb.DuckDBPyConnection, relation: str) -> int:
    """Rows of a relation, given as SQL."""
    row = con.execute(f"select count(*) from {relation}").fetchone()
    return int(row[0]) if row else 0


def column_types(con: duckdb.DuckDBPyConnection, schema: str, table: str) -> dict[str, str]:
    """DuckDB's types by column of a table or view of the connection's database, in order; empty if there is none."""
    found = con.execute(
        "select column_name, data_type from duckdb_columns() "
        "where schema_name = ? and table_name = ? and database_name = current_database() order by column_index",
        [schema, table],
    ).fetchall()
    return dict(found)

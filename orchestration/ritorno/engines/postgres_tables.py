"""What tables are at PostgreSQL, in DuckDB's words and back, and their rows on the way by COPY through a file."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor  # noqa: N812  a class in small letters

from ritorno.engines import Table
from ritorno.errors import RitornoError
from ritorno.sql import name as quoted
from ritorno.sql import text

_TYPES = {
    "BOOLEAN": "boolean",
    "TINYINT": "smallint",
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "HUGEINT": "numeric(38, 0)",
    "UTINYINT": "smallint",
    "USMALLINT": "integer",
    "UINTEGER": "bigint",
    "UBIGINT": "numeric(20, 0)",
    "FLOAT": "double precision",
    "DOUBLE": "double precision",
    "VARCHAR": "text",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "BLOB": "bytea",
}
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
_NULL = "\\N"


def column_type(duckdb_type: str) -> str:
    """PostgreSQL's name of a DuckDB type; lists become JSON text."""
    if duckdb_type.endswith("[]") or duckdb_type.startswith(("STRUCT", "MAP")):
        return "text"
    decimal = _DECIMAL.fullmatch(duckdb_type)
    if decimal:
        return f"numeric({decimal[1]}, {decimal[2]})"
    if duckdb_type not in _TYPES:
        raise RitornoError(f"no PostgreSQL type for DuckDB's {duckdb_type}")
    return _TYPES[duckdb_type]


def duckdb_type(postgres_type: str) -> str:
    """DuckDB's name of a PostgreSQL type."""
    numeric = re.fullmatch(r"numeric\((\d+),(\d+)\)", postgres_type)
    if numeric:
        return f"decimal({numeric[1]}, {numeric[2]})"
    return {
        "text": "varchar",
        "character varying": "varchar",
        "timestamp without time zone": "timestamp",
        "timestamp with time zone": "timestamptz",
        "double precision": "double",
        "double": "double",
    }.get(postgres_type, postgres_type)


def shape(cursor: Cursor, schema: str, name: str) -> dict[str, str]:
    """PostgreSQL's types by column, in order; empty if there is no such table."""
    cursor.execute(
        "select attname, format_type(atttypid, atttypmod) from pg_attribute "
        "where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped order by attnum",
        [in_sql((schema, name))],
    )
    return dict(cursor.fetchall())


def in_sql(table: Table) -> str:
    """A table's name, quoted, for either side."""
    return f"{quoted(table[0])}.{quoted(table[1])}"


def copy_in(con: duckdb.DuckDBPyConnection, query: str, cursor: Cursor, table: str, scratch: Path) -> int:
    """Copy what a query in the home says into a table of the server (its quoted name); returns the rows."""
    with _scratch_file(scratch) as file:
        con.execute(f"copy ({query}) to {text(str(file))} (format csv, header false, nullstr '{_NULL}', force_quote *)")
        # a quoted null string is text to PostgreSQL, an unquoted one null; DuckDB never quotes a null
        with file.open("rb") as lines:
            cursor.copy_expert(
                sql.SQL("copy {} from stdin with (format csv, null {})").format(sql.SQL(table), sql.Literal(_NULL)),
                lines,
                size=1 << 20,
            )
    return int(cursor.rowcount)


def copy_out(cursor: Cursor, query: sql.Composable, con: duckdb.DuckDBPyConnection, table: str, scratch: Path) -> int:
    """Copy what a query at the server says into a table of the home (its quoted name); returns the rows."""
    with _scratch_file(scratch) as file:
        with file.open("wb") as out:
            cursor.copy_expert(
                sql.SQL("copy ({}) to stdout with (format csv, null {}, force_quote *)").format(
                    query, sql.Literal(_NULL)
                ),
                out,
                size=1 << 20,
            )
        con.execute(
            f"copy {table} from {text(str(file))} (format csv, header false, nullstr '{_NULL}', "
            "auto_detect false, allow_quoted_nulls false, "
            "delimiter ',', quote '\"', escape '\"', parallel false)"
        )
    return int(cursor.rowcount)


@contextmanager
def _scratch_file(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix="exchange-", suffix=".csv", dir=folder)
    os.close(handle)
    path = Path(name)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)

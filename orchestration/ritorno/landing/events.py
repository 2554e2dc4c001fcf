"""When the newest thing happened: for the hint that the data ends long before the as-of date."""

from __future__ import annotations

from datetime import date

import duckdb

from ritorno import sql

_CANONICAL = "int_canonical__"


def newest_order_date(con: duckdb.DuckDBPyConnection) -> date | None:
    """Date of the newest order: of the canonical orders if they were built, else of raw.orders as far as it reads."""
    if _exists(con, "intermediate", f"{_CANONICAL}orders"):
        found = newest_event_dates(con).get("orders")
        if found is not None:
            return found
    if not _exists(con, "raw", "orders"):
        return None
    row = con.execute(
        "select max(cast(try_cast(cast(ordered_at as varchar) as timestamptz) as timestamp))::date from raw.orders"
    ).fetchone()
    return row[0] if row else None


def newest_event_dates(con: duckdb.DuckDBPyConnection) -> dict[str, date]:
    """Date of the newest current row by canonical entity, for those that have an event time."""
    entities = con.execute(
        "select table_name from duckdb_columns() where schema_name = 'intermediate' and column_name = 'event_date' "
        "and starts_with(table_name, ?) and database_name = current_database() order by 1",
        [_CANONICAL],
    ).fetchall()
    newest: dict[str, date] = {}
    for (table,) in entities:
        row = con.execute(
            f"select max(event_date) from intermediate.{sql.name(table)} where row_status = 'current'"
        ).fetchone()
        if row and row[0] is not None:
            newest[table.removeprefix(_CANONICAL)] = row[0]
    return newest


def _exists(con: duckdb.DuckDBPyConnection, schema: str, table: str) -> bool:
    found = con.execute(
        "select 1 from information_schema.tables where table_schema = ? and table_name = ? "
        "and table_catalog = current_database()",
        [schema, table],
    ).fetchone()
    return found is not None

"""What comes back from PostgreSQL: only rows of keys whose rows changed since the table came last.

PostgreSQL never writes over a row: it writes another version, with the number of the transaction that does. So the
server adds up hashes of these numbers by a key, the customer's mostly, and the home keeps the sums beside the table,
written in the same transaction as its rows, with a hash of its own of what it then had.

Numbers say the same as rows do as long as the server goes on from the state that was fetched. That isn't so behind the
address of another server, or after a backup or a disk's snapshot was put back: the same numbers are given again then.
So each fetch leaves a token at the server, in the transaction that read the table. Who doesn't find it, in the very row
that was written then, or finds another table or other columns, fetches all of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import psycopg2.errors
from psycopg2 import sql
from psycopg2.extensions import connection as Connection  # noqa: N812  a class in small letters
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from ritorno.engines import Table, parts
from ritorno.engines.postgres_tables import copy_in, copy_out, duckdb_type, in_sql, shape
from ritorno.errors import RitornoError
from ritorno.landing.tables import transaction
from ritorno.sql import column_types
from ritorno.sql import name as quoted

SMALL = 10_000
"""Rows below which a table comes whole, and nothing is kept of it: to ask what changed would take as long."""
KEYS = ("customer_key", "subscription_key", "account_key", "order_key", "product_key", "order_id")
"""By the ending of what rows are told apart: the first of these that is a text of the table; a table without is one
part. Both sides know endings, and they are cheap (a hash of PostgreSQL's own is unknown here, md5 costs half as much as
all the rest there). However many keys, they have 100,000 of them, or a million where keys are hexadecimal."""
ENDING = 5
_TEXTS = ("text", "character varying")
_TOLD = "hash_record_extended(row(t.xmin), 0)"
"""What was written since has a number that no row had, and without such a row some are gone: sums and counts can't both
come out even. PostgreSQL 14 brought the function."""
_SINCE = 140000
_NUMBERS = 2**31
"""Transactions after which numbers begin to come again."""


@dataclass(frozen=True)
class _Source:
    """A table at the server, and where it goes.

    Attributes:
        columns: PostgreSQL's types.
        key: in either side's SQL, which part a row belongs to.
    """

    cursor: Cursor
    con: duckdb.DuckDBPyConnection
    table: Table
    columns: Mapping[str, str]
    key: str
    scratch: Path

    @property
    def name(self) -> str:
        return in_sql(self.table)

    @property
    def kept(self) -> str:
        """Where the home keeps the sums of the table that came last."""
        return f"fetched.{quoted('.'.join(self.table))}"

    def stands_here(self) -> str:
        """What the home has: its rows' number and hash, columns and types."""
        here = column_types(self.con, *self.table)
        selected = ", ".join(map(quoted, here))
        return parts.find(self.con, self.name, selected, [*here.items()], None).record() if here else ""

    def stands_there(self) -> str:
        """Which table the server has, with which columns: one made anew has another number, whatever its name."""
        self.cursor.execute(
            "select json_build_object('database', (select oid from pg_database where datname = current_database()), "
            "'table', attrelid::oid, 'told', %s, 'columns', "
            "json_agg(array[attname, attnum::text, format_type(atttypid, atttypmod)] order by attnum))::text "
            "from pg_attribute where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped group by attrelid",
            [f"{_TOLD} by {self.key}", self.name],
        )
        return str(self.cursor.fetchall()[0][0])


def pull(source: Connection, con: duckdb.DuckDBPyConnection, tables: Sequence[Table], scratch: Path) -> dict[str, int]:
    """Make tables (schema, name) of the DuckDB connection like those of the source; returns the rows brought by table.

    Each table is one transaction of the home's: whoever is killed has the one that was there before.
    """
    con.execute(
        "create schema if not exists fetched; create table if not exists fetched.records "
        "(schema_name varchar, table_name varchar, record varchar)"
    )
    with source.cursor() as cursor:
        # what is hashed is what is copied, whoever writes meanwhile; and nobody makes a table anew until it's here
        cursor.execute("set transaction isolation level repeatable read; set local work_mem = '64MB'")
        for table in tables:
            _hold(cursor, table)
        _prepare(cursor)
        pulled = {f"{schema}.{name}": _pull_table(cursor, con, (schema, name), scratch) for schema, name in tables}
    con.execute("drop table if exists temp.asked; drop table if exists temp.told; drop table if exists temp.changed")
    return pulled


def _hold(cursor: Cursor, table: Table) -> None:
    try:
        cursor.execute(f"lock table {in_sql(table)} in access share mode")
    except psycopg2.errors.UndefinedTable as error:
        raise RitornoError(f"PostgreSQL has no table {table[0]}.{table[1]}") from error


def _prepare(cursor: Cursor) -> None:
    cursor.execute("select to_regclass('ritorno.fetched') is null")
    if cursor.fetchall()[0][0]:
        cursor.execute(
            "select pg_advisory_xact_lock(hashtext('ritorno.fetched')); create schema if not exists ritorno; "
            "create table if not exists ritorno.fetched (token text primary key, table_name text)"
        )


def _pull_table(cursor: Cursor, con: duckdb.DuckDBPyConnection, table: Table, scratch: Path) -> int:
    columns = shape(cursor, *table)
    key = next((f"right(coalesce({quoted(key)}, ''), {ENDING})" for key in KEYS if columns.get(key) in _TEXTS), "''")
    source = _Source(cursor, con, table, columns, key, scratch)
    with transaction(con):
        con.execute(f"create schema if not exists {quoted(table[0])}")
        if not _is_known(source):
            rows = _bring_all(source)
            if rows < SMALL or cursor.connection.server_version < _SINCE:
                _forget(source)
                return rows
            _ask(source)
        else:
            _ask(source)
            changed, of = _compare(source)
            if not changed:
                return 0
            rows = _bring_all(source) if 2 * changed > of else _bring_changed(source)
        _remember(source)
        return rows


def _is_known(source: _Source) -> bool:
    """Whether the home has what came last, and the server goes on from there."""
    record = _record(source)
    if not record or record["there"] != source.stands_there():
        return False
    source.cursor.execute(
        "select 1 from ritorno.fetched "
        "where token = %(token)s and xmin::text::bigint = %(number)s %% (1::bigint << 32) "
        "and pg_snapshot_xmax(pg_current_snapshot())::text::bigint < %(number)s + %(numbers)s",
        {**record, "numbers": _NUMBERS},
    )
    return source.cursor.fetchone() is not None and record["here"] == source.stands_here()


def _record(source: _Source) -> dict[str, Any]:
    found = source.con.execute(
        "select record from fetched.records where schema_name = ? and table_name = ?", [*source.table]
    ).fetchone()
    return json.loads(found[0]) if found else {}


def _ask(source: _Source) -> None:
    """The server's rows and sums of hashes by key into a temporary table, by the hash of the key: not to keep keys."""
    source.con.execute("create or replace temp table asked (key varchar, rows bigint, told hugeint)")
    query = f"select {source.key}, count(*), sum({_TOLD}) from {source.name} as t group by 1"
    copy_out(source.cursor, sql.SQL(query), source.con, "asked", source.scratch)
    source.con.execute(
        "create or replace temp table told as select hash(key) as part, sum(rows)::bigint as rows, "
        "sum(told)::hugeint as told from asked group by part"
    )


def _compare(source: _Source) -> tuple[int, int]:
    """List the parts that are others now, in a temporary table; returns how many rows they had and have, and of all."""
    source.con.execute(
        f"""
        create or replace temp table changed as
        select part, greatest(coalesce(now.rows, 0), coalesce(before.rows, 0)) as rows
        from told as now full join {source.kept} as before using (part)
        where now.rows is distinct from before.rows or now.told is distinct from before.told
        """
    )
    found = source.con.execute(
        "select (select coalesce(sum(rows), 0) from changed), (select coalesce(sum(rows), 0) from told)"
    ).fetchone()
    assert found is not None
    return int(found[0]), int(found[1])


def _bring_all(source: _Source) -> int:
    columns = ", ".join(f"{quoted(column)} {duckdb_type(type_)}" for column, type_ in source.columns.items())
    source.con.execute(f"create or replace table {source.name} ({columns})")
    return copy_out(source.cursor, sql.SQL(f"select * from {source.name}"), source.con, source.name, source.scratch)


def _bring_changed(source: _Source) -> int:
    source.con.execute(f"delete from {source.name} where hash({source.key}) in (select part from changed)")
    source.cursor.execute("drop table if exists changed_keys; create temp table changed_keys (key text) on commit drop")
    keys = "select key from asked where hash(key) in (select part from changed)"
    copy_in(source.con, keys, source.cursor, "changed_keys", source.scratch)
    source.cursor.execute("analyze changed_keys")
    query = f"select t.* from {source.name} as t where {source.key} in (select key from changed_keys)"
    return copy_out(source.cursor, sql.SQL(query), source.con, source.name, source.scratch)


def _forget(source: _Source) -> None:
    record = _record(source)
    if record:
        source.cursor.execute("delete from ritorno.fetched where token = %s", [record["token"]])
        source.con.execute("delete from fetched.records where schema_name = ? and table_name = ?", [*source.table])
        source.con.execute(f"drop table if exists {source.kept}")


def _remember(source: _Source) -> None:
    _forget(source)
    token = str(uuid4())
    source.cursor.execute(
        "insert into ritorno.fetched values (%s, %s) returning pg_current_xact_id()::text::bigint",
        [token, source.name],
    )
    number = source.cursor.fetchall()[0][0]
    record = {"token": token, "number": number, "there": source.stands_there(), "here": source.stands_here()}
    source.con.execute(f"create or replace table {source.kept} as from told")
    source.con.execute("insert into fetched.records values (?, ?, ?)", [*source.table, json.dumps(record)])

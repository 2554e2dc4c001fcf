"""What comes back from PostgreSQL: only rows of keys whose rows changed since the table came last.

The server hashes its rows, in the binary form in which it would send them, and adds the hashes up by a key, the
customer's mostly. The home keeps those sums beside the table, written in the same transaction as its rows, and a hash
of its own of what it then had. So whatever was done at either side since (a table built anew, another server, a mart
that an erasure wrote over, one that the embedded engine built, an older version that knew nothing of this) shows in one
of the two. Nothing goes by names, times, transaction numbers or counters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
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
_TOLD = "hash_record_extended(row(record_send(t)), 0)"
"""Hash of a row of t: of its binary form. (That of the record itself takes no notice of a number's sign, folds eight
bytes into four, and adds up to the same when two rows exchange a value.) PostgreSQL 14 brought it."""
_SINCE = 140000


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

    def stands(self) -> parts.Parts:
        """What the home has."""
        here = column_types(self.con, *self.table)
        selected = f"{_TOLD} by {self.key} of {', '.join(map(quoted, here))}"
        columns = [(column, f"{type_} as {here.get(column)}") for column, type_ in self.columns.items()]
        return parts.find(self.con, self.name, selected, columns, None)


def pull(source: Connection, con: duckdb.DuckDBPyConnection, tables: Iterable[Table], scratch: Path) -> dict[str, int]:
    """Make tables (schema, name) of the DuckDB connection like those of the source; returns the rows brought by table.

    Each table is one transaction of the home's: whoever is killed has the one that was there before.
    """
    con.execute(
        "create schema if not exists fetched; create table if not exists fetched.records "
        "(schema_name varchar, table_name varchar, record varchar)"
    )
    with source.cursor() as cursor:
        # what is hashed is what is copied, whoever writes meanwhile
        cursor.execute("set transaction isolation level repeatable read; set local work_mem = '64MB'")
        pulled = {f"{schema}.{name}": _pull_table(cursor, con, (schema, name), scratch) for schema, name in tables}
    con.execute("drop table if exists temp.asked; drop table if exists temp.told; drop table if exists temp.changed")
    return pulled


def _pull_table(cursor: Cursor, con: duckdb.DuckDBPyConnection, table: Table, scratch: Path) -> int:
    columns = shape(cursor, *table)
    if not columns:
        raise RitornoError(f"PostgreSQL has no table {table[0]}.{table[1]}")
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
    """Whether the home has what came last, and knows the server's sums of it."""
    found = source.con.execute(
        "select record from fetched.records where schema_name = ? and table_name = ?", [*source.table]
    ).fetchone()
    return found is not None and bool(column_types(source.con, *source.table)) and not source.stands().changes(found[0])


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
    source.con.execute("delete from fetched.records where schema_name = ? and table_name = ?", [*source.table])
    source.con.execute(f"drop table if exists {source.kept}")


def _remember(source: _Source) -> None:
    _forget(source)
    source.con.execute(f"create table {source.kept} as from told")
    source.con.execute("insert into fetched.records values (?, ?, ?)", [*source.table, source.stands().record()])

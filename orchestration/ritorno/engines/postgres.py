"""Tables between the home's DuckDB file and a PostgreSQL database, by COPY.

Landing, the Python steps, checks and publishing work on the home's DuckDB file on every engine; dbt's SQL runs in
PostgreSQL. So what landing and the steps write is pushed, and what the steps read and what is published is pulled. Both
ways stream through a file of the home's scratch folder: memory stays bounded whatever the size.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import duckdb
import psycopg2
import psycopg2.errors
from psycopg2 import sql
from psycopg2.extensions import connection as Connection  # noqa: N812  a class in small letters
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from ritorno.engines import Table, parts
from ritorno.engines.postgres_fetch import pull
from ritorno.engines.postgres_tables import column_type, copy_in, in_sql, shape
from ritorno.errors import RitornoError, UnusableInput
from ritorno.sql import column_types

OPTIONS = "-c jit=off -c enable_nestloop=off -c enable_mergejoin=off -c work_mem=64MB"
"""Settings of the sessions that dbt's SQL runs in. Tables here have no index, so a nested loop over two of them is
chosen for an underestimate, and costs their product. Where one can't be helped its penalty drowns every other cost, and
then a merge join, which sorts both sides, is taken for as good as a hash join. Compiling hundreds of expressions costs
more than it saves."""
_WRITTEN_THERE = {"snapshots"}
"""Schemas whose tables dbt writes to: what was sent says nothing of what stands there."""
_PART = "(coalesce(t._ritorno_batch, 0) * 16777216 + coalesce(t._ritorno_line, 0) {divided} 131072)"
"""Which part a raw row belongs to, here and there: 131,072 lines of a landed file."""


@dataclass(frozen=True)
class Server:
    """A PostgreSQL database, from a URL like postgresql://user:password@host:5432/shop."""

    host: str
    port: int
    user: str
    password: str
    database: str

    @classmethod
    def from_url(cls, url: str) -> Server:
        """The server that a URL names.

        Raises:
            UnusableInput: the URL is no PostgreSQL URL, or lacks host, user or database. The URL is not repeated: it
                may hold a password.
        """
        parts = urlsplit(url)
        database = parts.path.lstrip("/")
        if parts.scheme not in ("postgres", "postgresql") or not (parts.hostname and parts.username and database):
            raise UnusableInput(
                "RITORNO_POSTGRES_URL (or --engine-url): want postgresql://user:password@host:5432/database"
            )
        return cls(
            parts.hostname,
            parts.port or 5432,
            unquote(parts.username),
            unquote(parts.password or ""),
            unquote(database),
        )

    @property
    def environment(self) -> Mapping[str, str]:
        """What profiles.yml reads."""
        return {
            "RITORNO_POSTGRES_HOST": self.host,
            "RITORNO_POSTGRES_PORT": str(self.port),
            "RITORNO_POSTGRES_USER": self.user,
            "RITORNO_POSTGRES_PASSWORD": self.password,
            "RITORNO_POSTGRES_DATABASE": self.database,
            "PGOPTIONS": f"-c timezone=UTC {os.environ.get('RITORNO_POSTGRES_OPTIONS') or OPTIONS}",
        }

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection in UTC; committed at the block's end, rolled back if it raises.

        Raises:
            RitornoError: nobody answers, or refuses.
            UnusableInput: the database can't hold every character.
        """
        try:
            con = psycopg2.connect(
                host=self.host,
                port=self.port,
                user=self.user,
                password=self.password,
                dbname=self.database,
                options="-c timezone=UTC",
                client_encoding="UTF8",
            )
        except psycopg2.OperationalError as error:
            raise RitornoError(f"PostgreSQL at {self.host}:{self.port} can't be used: {error}".strip()) from error
        try:
            self._refuse_narrow(con)
            yield con
            con.commit()
        except BaseException:
            con.rollback()
            raise
        finally:
            con.close()

    def _refuse_narrow(self, con: Connection) -> None:
        """A name in Greek must not stop a refresh in the middle."""
        encoding = con.get_parameter_status("server_encoding")
        if encoding != "UTF8":
            raise UnusableInput(
                f"PostgreSQL database {self.database} has encoding {encoding}: make one with "
                f"create database {self.database} encoding 'UTF8' template template0"
            )


def push(
    con: duckdb.DuckDBPyConnection,
    target: Connection,
    tables: Iterable[Table],
    scratch: Path,
) -> dict[str, int]:
    """Make tables (schema, name) of the target like those of the DuckDB connection; returns the rows sent by table.

    What was sent stands beside the tables, written in the same transaction, so both are there or neither; only parts
    whose rows are others are deleted and copied. A table that is made anew (its columns changed, or most of its rows)
    goes with everything that hangs on it (staging views), which dbt makes again.
    """
    with target.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(hashtext('ritorno.sent'))")
        cursor.execute(
            "create schema if not exists ritorno; create table if not exists ritorno.sent (schema_name text, "
            "table_name text, table_oid oid, record text, primary key (schema_name, table_name))"
        )
        return {f"{schema}.{name}": _push_table(con, cursor, (schema, name), scratch) for schema, name in tables}


def _push_table(con: duckdb.DuckDBPyConnection, cursor: Cursor, table: Table, scratch: Path) -> int:
    described = column_types(con, *table)
    columns = [(column, column_type(type_)) for column, type_ in described.items()]
    selected = ", ".join(
        f'cast(to_json("{column}") as varchar) as "{column}"' if "[]" in source else f'"{column}"'
        for column, source in described.items()
    )
    there = sql.Identifier(*table)
    in_parts = table[0] == "raw" and {described.get(name) for name in ("_ritorno_batch", "_ritorno_line")} == {"BIGINT"}
    part = _PART.format(divided="//") if in_parts else None
    found = parts.find(con, in_sql(table), selected, columns, part)
    changes = found.changes(_record(cursor, table))
    if not changes:
        return 0
    sent = sum(found.fingerprints[name][0] for name in changes.written)
    chosen = None
    if changes.anew or part is None or (changes.replaced and 2 * sent > found.rows):
        cursor.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(table[0])))
        cursor.execute(sql.SQL("drop table if exists {} cascade").format(there))
        listed = [sql.SQL("{} {}").format(sql.Identifier(column), sql.SQL(type_)) for column, type_ in columns]
        cursor.execute(sql.SQL("create table {} ({})").format(there, sql.SQL(", ").join(listed)))
    else:
        chosen = f"{part} in ({', '.join(changes.written or ['null'])})"
        gone = [int(name) for name in (*changes.replaced, *changes.removed)]
        if gone:
            cursor.execute(
                sql.SQL("delete from {} as t where {} = any (%s)").format(there, sql.SQL(_PART.format(divided="/"))),
                [gone],
            )
    query = f"select {selected} from {in_sql(table)} as t where {chosen or 'true'}"
    rows = copy_in(con, query, cursor, in_sql(table), scratch)
    if chosen is None or 20 * sent > found.rows:  # a day's rows tell the planner nothing new
        cursor.execute(sql.SQL("analyze {}").format(there))
    cursor.execute(
        "insert into ritorno.sent values (%(schema)s, %(name)s, to_regclass(%(there)s), %(record)s) "
        "on conflict (schema_name, table_name) do update set table_oid = excluded.table_oid, record = excluded.record",
        {"schema": table[0], "name": table[1], "there": in_sql(table), "record": found.record()},
    )
    return rows


def _record(cursor: Cursor, table: Table) -> str | None:
    """What was sent to a table that nobody made anew or writes to since."""
    if table[0] in _WRITTEN_THERE:
        return None
    cursor.execute(
        "select record from ritorno.sent where schema_name = %s and table_name = %s and table_oid = to_regclass(%s)",
        [*table, in_sql(table)],
    )
    row = cursor.fetchone()
    return str(row[0]) if row else None


@dataclass(frozen=True)
class Postgres:
    """The engine: dbt's SQL in a PostgreSQL database, the rest of the refresh in the home."""

    server: Server
    name: str = "postgres"

    @property
    def environment(self) -> Mapping[str, str]:
        """See Engine."""
        return {"RITORNO_ENGINE": self.name, **self.server.environment}

    def send(self, warehouse: duckdb.DuckDBPyConnection, tables: Sequence[Table], scratch: Path) -> None:
        """See Engine."""
        with self.server.connect() as con:
            push(warehouse, con, tables, scratch)

    def fetch(self, warehouse: duckdb.DuckDBPyConnection, tables: Sequence[Table], scratch: Path) -> None:
        """See Engine."""
        with self.server.connect() as con:
            pull(con, warehouse, tables, scratch)

    def count(self, warehouse: duckdb.DuckDBPyConnection, tables: Sequence[Table]) -> dict[Table, int]:
        """See Engine."""
        found = {}
        with self.server.connect() as con, con.cursor() as cursor:
            cursor.execute("select schemaname, tablename from pg_tables")
            existing = set(cursor.fetchall())
            for schema, name in tables:
                if (schema, name) in existing:
                    cursor.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(schema, name)))
                    row = cursor.fetchone()
                    found[schema, name] = int(row[0]) if row else 0
        return found

    def rows(self, warehouse: Path, statement: str) -> list[tuple[Any, ...]]:
        """See Engine."""
        with self.server.connect() as con, con.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    def publish(self, tables: Sequence[Table], run_id: str, as_of: date) -> None:
        """Put the run's marts into schema `published`: rows are exchanged in one transaction.

        A statement sees one snapshot, so however many marts it joins they are of one run, and neither a reader nor the
        exchange waits for the other. (Renaming schemas is cheaper, but the names in one statement are looked up one
        after the other: a join that met the switch mixed two runs.) The tables stay the same ones: grants and views
        that people put on them live on. Only a mart whose columns changed, or that is gone, takes its readers' lock.

        Raises:
            RitornoError: a view of somebody needs a column or a mart that is gone, or a reader held a changed mart
                longer than a minute; what was published stays.
        """
        names = [name for _, name in tables]
        with self.server.connect() as con, con.cursor() as cursor:
            cursor.execute("select pg_advisory_xact_lock(hashtext('ritorno.published'))")
            cursor.execute("create schema if not exists published; set local lock_timeout = '60s'")
            before = {name: shape(cursor, "published", name) for name in names}
            after = {name: {**shape(cursor, schema, name), **_MARKS} for schema, name in tables}
            # what takes a lock comes last, so that it's held for the shortest time
            for schema, name in sorted(tables, key=lambda table: before[table[1]] != after[table[1]]):
                with _explained(name):
                    _reshape(cursor, name, before[name], after[name])
                    _exchange(cursor, schema, name, [*after[name]], (run_id, as_of))
            for name in _published(cursor) - set(names):
                with _explained(name):
                    cursor.execute(sql.SQL("drop table {}").format(sql.Identifier("published", name)))
        self._vacuum(names)

    def _vacuum(self, names: Sequence[str]) -> None:
        """Free the room of the run before for the next one; outside of a transaction, as vacuum wants it."""
        with self.server.connect() as con:
            con.autocommit = True
            with con.cursor() as cursor:
                for name in names:
                    cursor.execute(
                        sql.SQL("vacuum (analyze, skip_locked) {}").format(sql.Identifier("published", name))
                    )


_MARKS = {"published_run_id": "text", "published_as_of": "date"}
"""Columns that every published mart carries beside its own, with their types."""


def _published(cursor: Cursor) -> set[str]:
    """The marts that stand in `published`: its tables that carry a run, not what people put beside them."""
    cursor.execute(
        "select table_name from information_schema.columns join information_schema.tables "
        "using (table_schema, table_name) where table_schema = 'published' and table_type = 'BASE TABLE' "
        "and column_name = 'published_run_id'"
    )
    return {name for (name,) in cursor.fetchall()}


def _reshape(cursor: Cursor, name: str, before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Make the published table, or give it the columns it lacks and take those that are gone or of another type."""
    table = sql.Identifier("published", name)

    def each(pattern: str, columns: Iterable[tuple[str, str]]) -> sql.Composed:
        return sql.SQL(", ").join(sql.SQL(pattern).format(sql.Identifier(c), sql.SQL(type_)) for c, type_ in columns)

    if not before:
        cursor.execute(sql.SQL("create table {} ({})").format(table, each("{} {}", after.items())))
        return
    gone = before.items() - after.items()
    if gone:
        dropped = sql.SQL(", ").join(sql.SQL("drop column {}").format(sql.Identifier(c)) for c, _ in sorted(gone))
        cursor.execute(sql.SQL("alter table {} {}").format(table, dropped))
    added = [(column, type_) for column, type_ in after.items() if before.get(column) != type_]
    if added:
        cursor.execute(sql.SQL("alter table {} {}").format(table, each("add column {} {}", added)))


def _exchange(cursor: Cursor, schema: str, name: str, columns: Sequence[str], run: tuple[str, date]) -> None:
    """Replace a published mart's rows; readers see the old ones until the transaction ends."""
    own = [sql.Identifier(column) for column in columns if column not in _MARKS]
    cursor.execute(sql.SQL("delete from {}").format(sql.Identifier("published", name)))
    cursor.execute(
        sql.SQL("insert into {} ({}) select {}, {}, {}::date from {}").format(
            sql.Identifier("published", name),
            sql.SQL(", ").join([*own, *map(sql.Identifier, _MARKS)]),
            sql.SQL(", ").join(own),
            sql.Literal(run[0]),
            sql.Literal(run[1].isoformat()),
            sql.Identifier(schema, name),
        )
    )


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Say whose view or query stands in the way of a mart whose columns changed."""
    try:
        yield
    except psycopg2.errors.DependentObjectsStillExist as error:
        raise RitornoError(
            f"published.{name} lost a column, or is gone, and something of yours needs it: "
            f"{(error.diag.message_detail or str(error)).strip()}. Change or drop that, then refresh again; "
            "the marts published before stay"
        ) from error
    except psycopg2.errors.LockNotAvailable as error:
        raise RitornoError(
            f"published.{name} has other columns now, and a transaction that reads it did not end within a minute: "
            "end it (pg_stat_activity shows whose it is), then refresh again; the marts published before stay"
        ) from error

"""A table in PostgreSQL 12 or later, one row per audience and member; a batch is one transaction.

    create table crm.audience_members (
        audience text, member_id text, fields jsonb, added_at timestamptz, updated_at timestamptz,
        primary key (audience, member_id))

With `columns` (field: type) each declared field is a column of its own instead of `fields`. The table is made if it
isn't there (`create: false`: never). Rows that a batch doesn't change keep their `updated_at`.

psycopg2 and not psycopg 3: dbt-postgres brings psycopg2, and one driver to patch is better than two.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ritorno.audiences.destinations.base import (
    Answer,
    Batch,
    Kind,
    Member,
    NotSent,
    Refusal,
    RefusedBatch,
    SendError,
    Unanswered,
    Value,
)
from ritorno.audiences.destinations.columns import TYPES, fitted
from ritorno.audiences.destinations.normalise import plain
from ritorno.audiences.destinations.settings import Settings, is_this_machine
from ritorno.audiences.destinations.values import UnsendableValue, as_json, as_text

if TYPE_CHECKING:
    import psycopg2.extensions

SQL_TYPES = {
    "text": "text",
    "integer": "bigint",
    "number": "double precision",
    "decimal": "numeric",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamptz",
}
OWN_COLUMNS = ("audience", "member_id", "added_at", "updated_at")

CERTAINLY_ROLLED_BACK = ("22", "23", "40", "42", "44", "P0")
"""SQLSTATE classes that a COMMIT can only end in by rolling back. Of others (shutdown, lost disk) nobody knows."""

REFUSED_FOR_GOOD = ("22", "23", "44", "P0")
"""Data, integrity, check option, raised by a trigger: the rows' fault. The rest is the table's or the server's."""


class Postgres:
    """See the module."""

    type: ClassVar[str] = "postgres"
    modes: ClassVar[frozenset[str]] = frozenset({"mirror", "upsert", "append"})
    keys: ClassVar[frozenset[str]] = frozenset({"email", "phone", "customer_key"})
    reads_fields: ClassVar[bool] = True

    def __init__(
        self, dsn: str, table: str, columns: Mapping[str, str], create: bool, max_batch: int, timeout: float
    ) -> None:
        self.max_batch = max_batch
        self._dsn = dsn
        self._table = table
        self._columns = dict(columns)
        self._create = create
        self._timeout = timeout
        self._open: psycopg2.extensions.connection | None = None

    @classmethod
    def from_settings(cls, settings: Mapping[str, object], environment: Mapping[str, str]) -> Self:
        """Settings: dsn_env, table, columns, create (true), max_batch (5,000), timeout_seconds (60)."""
        read = Settings(cls.type, settings, environment)
        dsn = _dsn(read, read.secret("dsn_env"))
        table = read.text("table")
        if not 1 <= len(table.split(".")) <= 2 or not all(part.strip() for part in table.split(".")):
            raise read.wrong("table", f"is {table!r}: give table or schema.table")
        columns = read.mapping("columns")
        for name, column in columns.items():
            if column not in TYPES:
                raise read.wrong("columns", f"gives {name} the type {column!r}: give one of {', '.join(TYPES)}")
            if name in OWN_COLUMNS:
                raise read.wrong("columns", f"names {name}, which the table has already: rename the field")
        create = read.flag("create", True)
        max_batch = read.integer("max_batch", 5_000, most=100_000)
        timeout = read.seconds("timeout_seconds", 60.0)
        read.done()
        return cls(dsn, table, columns, create, max_batch, timeout)

    def normalise(self, key: str, value: str) -> str | None:
        """Plain addresses and keys."""
        return plain(key, value)

    def send(self, batch: Batch) -> Answer:
        """One transaction. A lost connection before COMMIT is `NotSent`: the server never applies half of it."""
        refused: list[Refusal] = []
        rows: list[tuple[Any, ...]] = []
        for member in batch.members:
            try:
                rows.append((batch.audience, as_text(member.member_id), *self._values(member)))
            except UnsendableValue as error:
                refused.append(Refusal(member.member_id, str(error)))
        if batch.kind in (Kind.ERASE, Kind.REMOVE):
            self._transaction(lambda cursor: self._remove(cursor, batch.audience, [row[1] for row in rows]))
        elif rows:
            self._transaction(lambda cursor: self._merge(cursor, rows))
        return Answer(tuple(refused))

    def read_back(self, audience: str) -> Iterator[Member] | None:
        """Everybody in the table, by a server-side cursor: memory holds 10,000 of them."""
        return self._rows(audience)

    def close(self) -> None:
        """Close the connection."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _values(self, member: Member) -> tuple[Any, ...]:
        if not self._columns:
            fields = {}
            for name, value in member.fields.items():
                try:
                    fields[name] = as_json(value)
                except UnsendableValue as error:
                    raise UnsendableValue(f"field {name} {error}") from None
            return (json.dumps(fields, ensure_ascii=False, allow_nan=False),)
        unknown = sorted(set(member.fields) - set(self._columns))
        if unknown:
            raise UnsendableValue(f"field {unknown[0]} is not among the destination's columns")
        found = []
        for name, column in self._columns.items():
            try:
                found.append(fitted(member.fields.get(name), column))
            except UnsendableValue as error:
                raise UnsendableValue(f"field {name} {error}") from None
        return tuple(found)

    def _merge(self, cursor: psycopg2.extensions.cursor, rows: Sequence[tuple[Any, ...]]) -> None:
        from psycopg2 import sql
        from psycopg2.extras import execute_values

        names = self._field_columns()
        fields = [sql.Identifier(name) for name in names]
        update = [sql.SQL("{0} = excluded.{0}").format(field) for field in fields]
        # A field of null type (every value null) would be text to PostgreSQL, so each placeholder is cast.
        template = sql.SQL("({})").format(sql.SQL(", ").join(sql.SQL("%s::") + sql.SQL(kind) for kind in self._casts()))
        statement = sql.SQL(
            "insert into {table} as present (audience, member_id{fields}) values %s"
            " on conflict (audience, member_id) do update set {update}, updated_at = clock_timestamp()"
            " where ({old}) is distinct from ({new})"
        ).format(
            table=self._identifier(),
            fields=sql.SQL("").join(sql.SQL(", ") + field for field in fields),
            update=sql.SQL(", ").join(update),
            old=sql.SQL(", ").join(sql.SQL("present.") + field for field in fields),
            new=sql.SQL(", ").join(sql.SQL("excluded.") + field for field in fields),
        )
        execute_values(cursor, statement, rows, template=template, page_size=1_000)

    def _remove(self, cursor: psycopg2.extensions.cursor, audience: str, member_ids: list[str]) -> None:
        from psycopg2 import sql

        cursor.execute(
            sql.SQL("delete from {} where audience = %s and member_id = any(%s)").format(self._identifier()),
            (audience, member_ids),
        )

    def _rows(self, audience: str) -> Iterator[Member]:
        from psycopg2 import sql

        fields = self._field_columns()
        statement = sql.SQL("select member_id{} from {} where audience = %s order by member_id").format(
            sql.SQL("").join(sql.SQL(", ") + sql.Identifier(name) for name in fields), self._identifier()
        )
        connection = self._connection()
        name = f"ritorno_{uuid.uuid4().hex}"
        with _judged(committing=False, on_loss=self.close), connection, connection.cursor(name=name) as cursor:
            cursor.itersize = 10_000
            cursor.execute(statement, (audience,))
            for member_id, *values in cursor:
                if self._columns:
                    yield Member(member_id, {field: _read(one) for field, one in zip(fields, values, strict=True)})
                else:
                    yield Member(member_id, dict(values[0] or {}))

    def _transaction(self, work: Callable[[psycopg2.extensions.cursor], None]) -> None:
        connection = self._connection()
        with _judged(committing=False, on_loss=self.close):
            try:
                with connection.cursor() as cursor:
                    work(cursor)
            except BaseException:
                if not connection.closed:
                    connection.rollback()
                raise
        with _judged(committing=True, on_loss=self.close):
            connection.commit()

    def _connection(self) -> psycopg2.extensions.connection:
        import psycopg2

        if self._open is not None and not self._open.closed:
            return self._open
        milliseconds = int(self._timeout * 1000)
        with _judged(committing=False, on_loss=self.close):
            self._open = psycopg2.connect(
                self._dsn,
                connect_timeout=10,
                application_name="ritorno",
                options=f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds} -c timezone=UTC",
                keepalives_idle=30,
                tcp_user_timeout=milliseconds,
            )
        self._transaction(self._prepare)
        return self._open

    def _prepare(self, cursor: psycopg2.extensions.cursor) -> None:
        """Make the table if it may be made, and say what it lacks if it was there."""
        from psycopg2 import sql

        names = self._field_columns()
        if self._create:
            # Two runs that start at once: "if not exists" alone fails for the second one.
            cursor.execute("select pg_advisory_xact_lock(hashtext('ritorno audiences'))")
            cursor.execute("select to_regclass(%s) is null", (self._identifier().as_string(cursor),))
            absent = cursor.fetchone()
            if absent is not None and absent[0]:
                if "." in self._table:
                    schema = sql.Identifier(self._table.split(".")[0])
                    cursor.execute(sql.SQL("create schema if not exists {}").format(schema))
                fields = [
                    sql.SQL("{} " + kind + ", ").format(sql.Identifier(name))
                    for name, kind in zip(names, self._casts()[2:], strict=True)
                ]
                cursor.execute(
                    sql.SQL(
                        "create table {} (audience text not null, member_id text not null, {}"
                        "added_at timestamptz not null default clock_timestamp(),"
                        " updated_at timestamptz not null default clock_timestamp(), primary key (audience, member_id))"
                    ).format(self._identifier(), sql.SQL("").join(fields))
                )

    def _identifier(self) -> Any:  # noqa: ANN401  psycopg2's types are stubs only
        from psycopg2 import sql

        return sql.Identifier(*self._table.split("."))

    def _field_columns(self) -> list[str]:
        return list(self._columns) or ["fields"]

    def _casts(self) -> list[str]:
        return ["text", "text", *([SQL_TYPES[column] for column in self._columns.values()] or ["jsonb"])]


class _judged:  # noqa: N801  a context manager that reads as a verb
    """Turns psycopg2's errors into the truth about the batch. Their texts hold values, so none is repeated."""

    def __init__(self, committing: bool, on_loss: Callable[[], None]) -> None:
        self._committing = committing
        self._on_loss = on_loss

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        import psycopg2

        if not isinstance(error, psycopg2.Error):
            return
        state = error.pgcode or ""
        if not state or state[:2] in ("08", "57", "58", "XX"):
            self._on_loss()
        raise _truth(type(error).__name__, state, _place(error), self._committing) from None


def _truth(name: str, state: str, place: str, committing: bool) -> SendError:
    said = f"PostgreSQL: {name}{f' ({state})' if state else ''}{place}"
    if committing and state[:2] not in CERTAINLY_ROLLED_BACK:
        return Unanswered(f"{said} at COMMIT")
    if state[:2] in REFUSED_FOR_GOOD:
        return RefusedBatch(said)
    if state[:2] == "42":
        return NotSent(f"{said}: the table needs audience, member_id (unique together), the fields and updated_at")
    return NotSent(said)


def _place(error: Any) -> str:  # noqa: ANN401  psycopg2's types are stubs only
    """Names of things, never of values."""
    names = [error.diag.table_name, error.diag.column_name, error.diag.constraint_name]
    found = ".".join(name for name in names if name)
    return f" at {found}" if found else ""


def _read(value: Any) -> Value:  # noqa: ANN401  as the driver gives it
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return value if not isinstance(value, Decimal) or value.is_finite() else None


def _dsn(read: Settings, given: str) -> str:
    """The connection string; over a network it is encrypted unless it says otherwise itself."""
    import psycopg2
    from psycopg2.extensions import make_dsn, parse_dsn

    try:
        parts = parse_dsn(given)
    except psycopg2.Error:
        raise read.wrong(
            "dsn_env", "names a variable that holds no connection string: postgresql://user:password@host/database"
        ) from None
    host = parts.get("host", "")
    local = not host or host.startswith("/") or is_this_machine(host)
    return given if local or "sslmode" in parts else make_dsn(given, sslmode="require")

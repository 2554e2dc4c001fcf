"""A read-only SQLAlchemy dialect for DuckDB, just enough for Great Expectations to push its queries down.

Great Expectations has no DuckDB data source, and duckdb-engine 0.17 fails on every expectation: Great Expectations
reads the rows after the connection went back to the pool, when DuckDB has already dropped the result. So the cursor
here fetches at once (expectations return a handful of rows), columns come from `duckdb_columns()` instead
of PostgreSQL's catalogue, and nothing is pooled, so that no connection keeps the warehouse locked after a check.

Use: `register()` once, then `create_engine("ritorno_duckdb:////absolute/path/warehouse.duckdb")`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import duckdb
from sqlalchemy import pool, types
from sqlalchemy.dialects import registry
from sqlalchemy.engine import URL, default
from sqlalchemy.engine.interfaces import ReflectedColumn
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.types import TypeEngine

DIALECT = "ritorno_duckdb"
MOST_ROWS = 10_000
"""Rows of a result that are kept; the longest that an expectation has any use for is a list of distinct values."""

_TYPES: dict[str, type[TypeEngine[Any]]] = {
    "BIGINT": types.BigInteger,
    "HUGEINT": types.BigInteger,
    "UBIGINT": types.BigInteger,
    "INTEGER": types.Integer,
    "SMALLINT": types.SmallInteger,
    "TINYINT": types.SmallInteger,
    "BOOLEAN": types.Boolean,
    "DATE": types.Date,
    "TIME": types.Time,
    "DOUBLE": types.Double,
    "FLOAT": types.Float,
    "DECIMAL": types.Numeric,
    "TIMESTAMP": types.DateTime,
    "TIMESTAMP WITH TIME ZONE": types.DateTime,
    "VARCHAR": types.String,
}


def column_type(duckdb_type: str) -> TypeEngine[Any]:
    """SQLAlchemy's type for a DuckDB type name; an unknown one is text.

    Args:
        duckdb_type: as `duckdb_columns().data_type` spells it, for example `DECIMAL(18,2)`.
    """
    name, _, arguments = duckdb_type.upper().partition("(")
    kind = _TYPES.get(name.strip(), types.String)
    if kind is types.Numeric and arguments:
        precision, scale = (int(part) for part in arguments.rstrip(")").split(","))
        return types.Numeric(precision, scale)
    return kind()


class EagerCursor:
    """A DB-API cursor that holds its rows itself, so that they outlive the statement and the connection.

    It holds no more than `MOST_ROWS`. Great Expectations asks for a whole table where it only wants the names of its
    columns: with all rows held, the checks of 1 M orders took 45 s of CPU and several GB, and take 3 s now.
    """

    arraysize = 1

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._rows: deque[tuple[Any, ...]] = deque()
        self._has_more = False
        self.description: Sequence[Any] | None = None
        self.rowcount = -1

    def execute(self, statement: str, parameters: Sequence[Any] | None = None) -> EagerCursor:
        """Run one statement and keep its rows, the first `MOST_ROWS` at most."""
        result = self._connection.execute(statement, list(parameters or ()))
        self.description = result.description
        self._rows = deque(result.fetchmany(MOST_ROWS))
        self._has_more = len(self._rows) == MOST_ROWS and result.fetchone() is not None
        self.rowcount = -1 if self._has_more else len(self._rows)
        return self

    def executemany(self, statement: str, parameters: Sequence[Sequence[Any]]) -> EagerCursor:
        """Run one statement for each set of parameters; the last one's rows stay."""
        for row in parameters:
            self.execute(statement, row)
        return self

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row."""
        return next(iter(self.fetchmany(1)), None)

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """The next rows.

        Raises:
            duckdb.NotSupportedError: the result has more rows than a cursor holds.
        """
        count = size or self.arraysize
        if count > len(self._rows) and self._has_more:
            raise duckdb.NotSupportedError(
                f"it reads more than {MOST_ROWS:,} rows into Python: ask for a count, or write a dbt test"
            )
        return [self._rows.popleft() for _ in range(min(count, len(self._rows)))]

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows left; raises as `fetchmany`."""
        return self.fetchmany(len(self._rows) + 1)

    def close(self) -> None:
        """Forget the rows."""
        self._rows.clear()
        self._has_more = False


class ReadOnlyConnection:
    """A DB-API connection to a DuckDB file opened for reading only."""

    def __init__(self, path: str) -> None:
        # DuckDB would answer a missing file with "cannot open in read-only mode"; say which file.
        if not Path(path).is_file():
            raise FileNotFoundError(f"no warehouse at {path}")
        self._connection = duckdb.connect(path, read_only=True)
        self._connection.execute("set TimeZone = 'UTC'")

    def cursor(self) -> EagerCursor:
        """A cursor that fetches at once."""
        return EagerCursor(self._connection)

    def commit(self) -> None:
        """Nothing to commit: read only."""

    def rollback(self) -> None:
        """Nothing to roll back: read only."""

    def close(self) -> None:
        """Release the file."""
        self._connection.close()


class _Dbapi:
    """The module-shaped object SQLAlchemy asks for."""

    paramstyle = "qmark"
    apilevel = "2.0"
    threadsafety = 1
    Error = duckdb.Error
    DatabaseError = duckdb.DatabaseError
    OperationalError = duckdb.OperationalError
    ProgrammingError = duckdb.ProgrammingError
    IntegrityError = duckdb.IntegrityError
    DataError = duckdb.DataError
    InternalError = duckdb.InternalError
    NotSupportedError = duckdb.NotSupportedError
    InterfaceError = duckdb.Error
    Warning = duckdb.Warning

    @staticmethod
    def connect(path: str) -> ReadOnlyConnection:
        return ReadOnlyConnection(path)


class RitornoDuckDBDialect(default.DefaultDialect):
    """DuckDB, read only. Statements are SQLAlchemy's generic SQL, which DuckDB understands."""

    name = DIALECT
    driver = "duckdb"
    default_paramstyle = "qmark"
    default_schema_name = "main"
    supports_statement_cache = True
    supports_native_boolean = True
    supports_native_decimal = True
    supports_sane_rowcount = False
    postfetch_lastrowid = False
    ischema_names: ClassVar[dict[str, type[TypeEngine[Any]]]] = _TYPES

    @classmethod
    def import_dbapi(cls) -> Any:  # noqa: ANN401  SQLAlchemy wants a module
        """What plays the DB-API module."""
        return _Dbapi

    @classmethod
    def get_pool_class(cls, url: URL) -> type[pool.Pool]:
        """No pool: an idle connection would keep the next writer out."""
        return pool.NullPool

    def create_connect_args(self, url: URL) -> Any:  # noqa: ANN401
        """The file is the URL's path."""
        return [url.database or ""], {}

    def initialize(self, connection: Any) -> None:  # noqa: ANN401
        """Nothing to find out about the server."""

    def do_rollback(self, dbapi_connection: Any) -> None:  # noqa: ANN401
        """Read only."""

    def get_schema_names(self, connection: Any, **_: Any) -> list[str]:  # noqa: ANN401
        """Schemas of the file."""
        rows = connection.exec_driver_sql(
            "select distinct schema_name from duckdb_columns() where not internal order by schema_name"
        )
        return [row[0] for row in rows]

    def _relations(self, connection: Any, catalogue: str, column: str, schema: str | None) -> list[str]:  # noqa: ANN401
        rows = connection.exec_driver_sql(
            f"select {column} from {catalogue}() where schema_name = ? and not internal order by 1",
            (schema or self.default_schema_name,),
        )
        return [row[0] for row in rows]

    def get_table_names(self, connection: Any, schema: str | None = None, **_: Any) -> list[str]:  # noqa: ANN401
        """Tables of a schema."""
        return self._relations(connection, "duckdb_tables", "table_name", schema)

    def get_view_names(self, connection: Any, schema: str | None = None, **_: Any) -> list[str]:  # noqa: ANN401
        """Views of a schema."""
        return self._relations(connection, "duckdb_views", "view_name", schema)

    def has_table(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> bool:  # noqa: ANN401
        """Whether a table or view exists."""
        names = self.get_table_names(connection, schema) + self.get_view_names(connection, schema)
        return table_name in names

    def get_columns(
        self,
        connection: Any,  # noqa: ANN401
        table_name: str,
        schema: str | None = None,
        **_: Any,  # noqa: ANN401
    ) -> list[ReflectedColumn]:
        """Columns with their types, in order."""
        rows = connection.exec_driver_sql(
            "select column_name, data_type, is_nullable, column_default from duckdb_columns() "
            "where schema_name = ? and table_name = ? order by column_index",
            (schema or self.default_schema_name, table_name),
        ).fetchall()
        if not rows:
            raise NoSuchTableError(f"{schema}.{table_name}")
        return [
            ReflectedColumn(name=name, type=column_type(kind), nullable=bool(nullable), default=default_)
            for name, kind, nullable, default_ in rows
        ]

    def get_pk_constraint(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> Any:  # noqa: ANN401
        """Keys are dbt tests, not constraints."""
        return {"constrained_columns": [], "name": None}

    def get_foreign_keys(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> Any:  # noqa: ANN401
        """Relationships are dbt tests, not constraints."""
        return []

    def get_indexes(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> Any:  # noqa: ANN401
        """None."""
        return []

    def get_unique_constraints(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> Any:  # noqa: ANN401
        """None."""
        return []


def register() -> None:
    """Make `ritorno_duckdb:///…` known to SQLAlchemy; harmless when repeated."""
    registry.register(DIALECT, __name__, RitornoDuckDBDialect.__name__)

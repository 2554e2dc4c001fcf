"""Tables between the home's DuckDB file and Spark, as Parquet files.

dbt's SQL runs in a Spark session inside this process (dbt-spark's method `session`), which starts one JVM for the whole
refresh, its executors threads of that JVM (`local[*]`) or a cluster's; or at a Spark Connect or Thrift server, without
a JVM here. Both engines read and write Parquet, so a table goes over as files: DuckDB writes what Spark then has as a
table, and reads the files of what Spark wrote.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import jinja2
import yaml

from ritorno import sql
from ritorno.engines import Table, parts, spark_layout
from ritorno.engines.parts import Parts
from ritorno.engines.spark_files import ArrowFiles, Files, HadoopFiles, local_path
from ritorno.engines.spark_layout import Layout
from ritorno.errors import RitornoError, UnusableInput
from ritorno.home import PROJECT_ROOT

PUBLISHED = "published"
"""The schema that people who read at Spark look into."""
_EXCHANGE = "_sent"
"""Below the warehouse folder: the files of the tables that were sent."""
_TYPES = {
    "BOOLEAN": "boolean",
    "TINYINT": "tinyint",
    "SMALLINT": "smallint",
    "INTEGER": "int",
    "BIGINT": "bigint",
    "HUGEINT": "decimal(38,0)",
    "UTINYINT": "smallint",
    "USMALLINT": "int",
    "UINTEGER": "bigint",
    "UBIGINT": "decimal(20,0)",
    "FLOAT": "double",
    "DOUBLE": "double",
    "VARCHAR": "string",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamp",
    "BLOB": "binary",
}
_FORMATS = {
    "delta": {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    },
    "iceberg": {
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        "spark.sql.catalog.spark_catalog": "org.apache.iceberg.spark.SparkSessionCatalog",
        "spark.sql.catalog.spark_catalog.type": "hive",
    },
}
"""What a session of ours needs for a table format; a server has it in its own settings."""
_JARS = {
    "delta": "io.delta:delta-spark_2.13, by spark.jars.packages in spark-defaults.conf",
    "iceberg": "org.apache.iceberg:iceberg-spark-runtime, by spark.jars.packages in spark-defaults.conf",
}
_SMALL = 256 << 20
"""Bytes of a table that are copied from here rather than by the cluster."""
_DUCKDB_TYPES = {"string": "varchar", "int": "integer", "binary": "blob", "timestamp_ntz": "timestamp"}


def column_type(duckdb_type: str) -> str:
    """Spark's name of a DuckDB type; lists become JSON text."""
    if duckdb_type.endswith("[]") or duckdb_type.startswith(("STRUCT", "MAP")):
        return "string"
    if duckdb_type.startswith("DECIMAL("):
        return duckdb_type.lower().replace(" ", "")
    if duckdb_type not in _TYPES:
        raise RitornoError(f"no Spark type for DuckDB's {duckdb_type}")
    return _TYPES[duckdb_type]


def _sent_column(name: str, duckdb_type: str) -> str:
    """The column as it goes into the Parquet file: times as instants in UTC, which is what Spark's timestamp is."""
    quoted = sql.name(name)
    spark_type = column_type(duckdb_type)
    if spark_type == "string" and duckdb_type != "VARCHAR":
        return f"cast(to_json({quoted}) as varchar) as {quoted}"
    if spark_type == "timestamp":
        return f"cast({quoted} as timestamptz) as {quoted}"
    return f"cast({quoted} as {_DUCKDB_TYPES.get(spark_type, spark_type)}) as {quoted}"


def settings(home: Path | None, target: str = "spark") -> dict[str, str]:
    """The session's settings: those of a Spark target in profiles.yml, which is what plain dbt takes."""
    profile = yaml.safe_load((PROJECT_ROOT / "profiles.yml").read_text(encoding="utf-8"))
    given = profile["ritorno"]["outputs"][target]["server_side_parameters"]
    known = {**os.environ, **({"RITORNO_HOME": str(home)} if home else {})}

    def env_var(name: str, default: str = "") -> str:
        return known.get(name) or default

    renderer = jinja2.Environment(autoescape=False)
    return {name: renderer.from_string(str(value)).render(env_var=env_var) for name, value in given.items()}


@dataclass(frozen=True)
class Spark:
    """The engine: dbt's SQL at Spark, the rest of the refresh in the home.

    Spark is a session of this process (its executors threads of one JVM, or a cluster's), a Spark Connect server
    (RITORNO_SPARK_REMOTE) or a Thrift server (RITORNO_SPARK_THRIFT).

    Attributes:
        home: the folder below which Spark keeps its tables and what it knows of them, unless told otherwise.
        layout: how tables are laid out.
        environment: what profiles.yml and the macros read; the number of buckets is known when the raw tables are.
    """

    home: Path | None = None
    layout: Layout = field(default_factory=Layout)
    name: str = "spark"
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.environment.update(
            RITORNO_ENGINE=self.name, RITORNO_TARGET=self.target, RITORNO_SPARK_FORMAT=self.layout.table_format
        )

    @property
    def target(self) -> str:
        """The target in profiles.yml: which way Spark is reached."""
        if os.environ.get("RITORNO_SPARK_REMOTE"):
            return "spark_connect"
        return "spark_thrift" if os.environ.get("RITORNO_SPARK_THRIFT") else "spark"

    @cached_property
    def session(self) -> Any:  # noqa: ANN401  pyspark is an extra
        """The session that dbt takes too, started with the first table that is sent.

        Raises:
            UnusableInput: Spark isn't installed, or another machine's folder for the tables isn't named.
            RitornoError: the session can't be started.
        """
        try:
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise UnusableInput("--engine spark needs pyspark and dbt-spark: make spark") from error
        if self.target == "spark" and not (os.environ.get("JAVA_HOME") or shutil.which("java")):
            raise UnusableInput("--engine spark needs Java 17 or later: apt-get install openjdk-17-jre-headless")
        chosen = settings(self.home, self.target)
        if self.target == "spark":
            chosen |= _FORMATS.get(self.layout.table_format, {})
        builder = SparkSession.builder
        for name, value in chosen.items():
            builder = builder.config(name, value)
        if self.target == "spark" and self.home and not os.environ.get("RITORNO_SPARK_WAREHOUSE"):
            self._forget_unknown(chosen["spark.sql.catalogImplementation"])
        where = os.environ.get("RITORNO_SPARK_REMOTE") or chosen["spark.master"]
        log = (self.home or Path(tempfile.gettempdir())) / "logs" / "spark.log"
        try:
            with _stderr_to(log), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it knows no pandas 3, and is handed none; settings of the server's
                session = builder.getOrCreate()
                session.sql("select 1").collect()
        except Exception as error:
            raise RitornoError(f"Spark at {where} can't be used: {_first_line(error)}; see {log}") from error
        if self.target == "spark":
            session.sparkContext.setLogLevel("ERROR")
        for name in ("py4j", "SQLQueryContextLogger", "DataFrameQueryContextLogger"):  # dbt tells what went wrong
            logging.getLogger(name).setLevel(logging.CRITICAL)
        return session

    def _forget_unknown(self, catalog: str) -> None:
        """Remove tables in the home that no session knows any more, which would be in the way of new ones."""
        if self.home and catalog == "in-memory":
            for folder in (self.home / "spark").glob("*.db"):
                shutil.rmtree(folder)

    @cached_property
    def _server(self) -> Any:  # noqa: ANN401  PyHive is an extra
        """A connection to the Thrift server.

        Raises:
            UnusableInput: PyHive isn't installed, or the address is none.
            RitornoError: nobody answers.
        """
        address = os.environ["RITORNO_SPARK_THRIFT"]
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise UnusableInput(f"RITORNO_SPARK_THRIFT={address}: want host:port, such as spark.example.com:10000")
        try:
            from pyhive import hive
        except ImportError as error:
            raise UnusableInput("RITORNO_SPARK_THRIFT needs PyHive: make spark") from error
        auth = os.environ.get("RITORNO_SPARK_AUTH") or "NOSASL"
        try:
            return hive.connect(
                host=host,
                port=int(port),
                username=os.environ.get("RITORNO_SPARK_USER") or "ritorno",
                password=os.environ.get("RITORNO_SPARK_PASSWORD") or None,
                auth=auth,
                configuration=settings(self.home, self.target),
            )
        except Exception as error:
            raise RitornoError(f"Spark's Thrift server at {address} can't be used: {_first_line(error)}") from error

    @cached_property
    def _ready(self) -> bool:
        """Once before the first statement: dbt keeps our setting of ANSI, and the cluster has the tables' format.

        Raises:
            UnusableInput: it hasn't.
        """
        _keep_ansi()
        wanted = self.layout.table_format
        if wanted != "parquet":
            probe = "ritorno_probe"
            try:
                self._run(f"create schema if not exists {probe}")
                self._run(f"drop table if exists {probe}.format")
                self._run(f"create table {probe}.format using {wanted} as select 1 as one")
                self._run(f"drop schema {probe} cascade")
            except Exception as error:
                raise UnusableInput(
                    f"policy var spark_table_format: {wanted}, but this Spark can't write it: {_first_line(error)}. "
                    f"Give it {wanted}'s jar for its version ({_JARS[wanted]}), or say spark_table_format: parquet"
                ) from error
        return True

    def _run(self, statement: str) -> list[tuple[Any, ...]]:
        """A statement's rows."""
        if self.target == "spark_thrift":
            with closing(self._server.cursor()) as cursor:
                cursor.execute(statement)
                return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
        return [tuple(row) for row in self.session.sql(statement).collect()]

    def _ask(self, statement: str) -> list[tuple[Any, ...]]:
        return self._run(statement) if self._ready else []

    @cached_property
    def _files(self) -> Files:
        return HadoopFiles(self.session) if self.target == "spark" else ArrowFiles()

    @cached_property
    def warehouse(self) -> str:
        """Where the tables stand, as a URL.

        Raises:
            UnusableInput: they stand on other machines, and nobody says where.
        """
        if self.target == "spark":
            return str(self.session.conf.get("spark.sql.warehouse.dir")).rstrip("/")
        place = os.environ.get("RITORNO_SPARK_WAREHOUSE", "").rstrip("/")
        if not place:
            raise UnusableInput(
                "a Connect or Thrift server needs RITORNO_SPARK_WAREHOUSE: a folder or URL that this machine and the "
                "cluster both reach; raw tables and published marts go there"
            )
        return place

    def send(self, warehouse: duckdb.DuckDBPyConnection, tables: Sequence[Table], scratch: Path) -> None:
        """See Engine. Files of parts that didn't change stay."""
        raw_rows = 0
        for schema, name in tables:
            described = sql.column_types(warehouse, schema, name)
            selected = ", ".join(_sent_column(column, type_) for column, type_ in described.items())
            columns = [(column, column_type(type_)) for column, type_ in described.items()]
            table = f"{sql.name(schema)}.{sql.name(name)}"
            part = spark_layout.part_of(warehouse, schema, name, described, self.layout)
            found = parts.find(warehouse, table, selected, columns, part)
            self._send_files(warehouse, table, f"{schema}/{name}", found, scratch)
            self._declare(schema, name, columns, in_parts=part is not None)
            raw_rows += found.rows if schema == "raw" else 0
        if any(schema == "raw" for schema, _ in tables):
            partitions = int(os.environ.get("RITORNO_SPARK_PARTITIONS") or 8)
            self.environment["RITORNO_SPARK_BUCKETS"] = str(self.layout.buckets_for(raw_rows, partitions))

    def _send_files(
        self, warehouse: duckdb.DuckDBPyConnection, table: str, name: str, found: Parts, scratch: Path
    ) -> None:
        record, place = f"{self.warehouse}/{_EXCHANGE}/_records/{name}.json", f"{self.warehouse}/{_EXCHANGE}/{name}"
        changes = found.changes(self._files.read(record))
        if not changes:
            return
        self._files.delete(record)  # whoever is killed from here on sends everything
        if changes.anew:
            self._files.delete(place)
        for part in changes.removed:
            self._files.delete(_place_of(place, part))
        for part in changes.written:
            with _scratch_folder(scratch) as folder:
                spark_layout.write(warehouse, table, found, part, str(folder / "files"))
                self._files.upload(folder / "files", _place_of(place, part))
        self._files.write(record, found.record())

    def _declare(self, schema: str, name: str, types: Sequence[tuple[str, str]], *, in_parts: bool) -> None:
        """Have Spark know the table anew, which also forgets what it remembered of its files."""
        columns = ", ".join(f"`{column}` {type_}" for column, type_ in types)
        self._ask(f"create schema if not exists `{schema}`")
        self._ask(f"drop table if exists `{schema}`.`{name}`")
        place = f"{self.warehouse}/{_EXCHANGE}/{schema}/{name}"
        if not in_parts:
            self._ask(f"create table `{schema}`.`{name}` ({columns}) using parquet location '{place}'")
            return
        self._ask(
            f"create table `{schema}`.`{name}` ({columns}, {spark_layout.PART} date) using parquet "
            f"partitioned by ({spark_layout.PART}) location '{place}'"
        )
        self._ask(f"alter table `{schema}`.`{name}` recover partitions")

    def fetch(self, warehouse: duckdb.DuckDBPyConnection, tables: Sequence[Table], scratch: Path) -> None:
        """See Engine."""
        for schema, name in tables:
            warehouse.execute(f"create schema if not exists {sql.name(schema)}")
            table = f"{sql.name(schema)}.{sql.name(name)}"
            known = self._described(schema, name)
            columns = {column: _DUCKDB_TYPES.get(type_, type_) for column, type_ in known.columns.items()}
            listed = ", ".join(f"{sql.name(column)} {type_}" for column, type_ in columns.items())
            warehouse.execute(f"create or replace table {table} ({listed})")
            with self._fetched(schema, name, known, scratch) as files:
                if not files:
                    continue
                selected = ", ".join(f"cast({sql.name(column)} as {type_})" for column, type_ in columns.items())
                paths = ", ".join(sql.text(str(file)) for file in files)
                warehouse.execute(f"insert into {table} select {selected} from read_parquet([{paths}])")

    def count(self, warehouse: duckdb.DuckDBPyConnection, tables: Sequence[Table]) -> dict[Table, int]:
        """See Engine."""
        schemas = {str(row[0]) for row in self._ask("show schemas")}
        existing: set[Table] = set()
        for schema in {schema for schema, _ in tables} & schemas:
            every = {str(row[1]) for row in self._ask(f"show tables in `{schema}`")}
            views = {str(row[1]) for row in self._ask(f"show views in `{schema}`")}
            existing |= {(schema, name) for name in every - views}
        found = [table for table in tables if table in existing]
        if not found:
            return {}
        counted = " union all ".join(
            f"select {number} as number, count(*) as row_count from `{schema}`.`{name}`"
            for number, (schema, name) in enumerate(found)
        )
        return {found[int(number)]: int(rows) for number, rows in self._ask(counted)}

    def rows(self, warehouse: Path, statement: str) -> list[tuple[Any, ...]]:
        """See Engine."""
        return self._ask(statement.rstrip().rstrip(";"))

    def publish(self, tables: Sequence[Table], run_id: str, as_of: date) -> None:
        """Copy the marts' rows into a folder of the run, then point the views of schema `published` there.

        Spark has no transaction over several tables: each view is switched at once, all of them within seconds, and
        `published_run_id` tells whom a row belongs to. The run before stays for who is reading it.
        """
        root = f"{self.warehouse}/_{PUBLISHED}"
        for schema, name in tables:
            self._copy_rows(schema, name, f"{root}/{run_id}/{name}")
        self._ask(f"create schema if not exists `{PUBLISHED}`")
        for _, name in tables:
            self._ask(
                f"create or replace view `{PUBLISHED}`.`{name}` as select *, '{run_id}' as published_run_id, "
                f"date '{as_of.isoformat()}' as published_as_of from parquet.`{root}/{run_id}/{name}`"
            )
        for run in self._files.children(root)[:-2]:
            self._files.delete(run)

    def _copy_rows(self, schema: str, name: str, place: str) -> None:
        """A small table's files are copied from here, which starts no job; others are written by the cluster.

        So are empty tables in buckets: they have no file, and a view on no file no columns.
        """
        known = self._described(schema, name)
        files = self._files
        if isinstance(files, HadoopFiles) and known.is_plain and 0 < files.size(known.location) < _SMALL:
            files.copy(known.location, place)
            return
        self._write_to(schema, name, place)

    def _write_to(self, schema: str, name: str, place: str) -> None:
        self._ask(f"insert overwrite directory '{place}' using parquet select * from `{schema}`.`{name}`")

    def _described(self, schema: str, name: str) -> _Described:
        return _Described.of(self._ask(f"describe table extended `{schema}`.`{name}`"))

    @contextmanager
    def _fetched(self, schema: str, name: str, known: _Described, scratch: Path) -> Iterator[list[Path]]:
        """The Parquet files of a table, on this machine."""
        if known.is_plain:
            here = local_path(known.location)
            if here is not None and here.is_dir():
                yield _parquet_files(here)
                return
            with _scratch_folder(scratch) as folder:
                self._files.download(known.location, folder / "files")
                yield _parquet_files(folder / "files")
            return
        written = f"{self.warehouse}/{_EXCHANGE}/_fetched/{uuid.uuid4().hex}"
        self._write_to(schema, name, written)
        try:
            with _scratch_folder(scratch) as folder:
                self._files.download(written, folder / "files")
                yield _parquet_files(folder / "files")
        finally:
            self._files.delete(written)


@dataclass(frozen=True)
class _Described:
    """What Spark says of a table."""

    columns: Mapping[str, str]
    provider: str
    location: str
    is_partitioned: bool

    @property
    def is_plain(self) -> bool:
        """Whether all of its rows and nothing else stand in the Parquet files of its folder."""
        return self.provider == "parquet" and not self.is_partitioned

    @classmethod
    def of(cls, rows: Sequence[tuple[Any, ...]]) -> _Described:
        """From the rows of `describe table extended`."""
        names = [str(row[0]) for row in rows]
        end = next(place for place, name in enumerate(names) if name == "" or name.startswith("# "))
        facts = {str(row[0]): str(row[1]) for row in rows[end:]}
        columns = {str(row[0]): str(row[1]) for row in rows[:end]}
        partitioned = "# Partition Information" in names or "# Partitioning" in names
        return cls(columns, facts.get("Provider", "").lower(), facts.get("Location", ""), partitioned)


def _place_of(place: str, part: str) -> str:
    return f"{place}/{spark_layout.PART}={part}" if part != parts.ONE else place


def _keep_ansi() -> None:
    """dbt-spark switches `spark.sql.ansi.enabled` off, whatever the profile says: an overflow would become a null."""
    from dbt.adapters.spark.connections import SparkCredentials

    decided = SparkCredentials.__post_init__
    if getattr(decided, "keeps_ansi", False):
        return

    def __post_init__(credentials: Any) -> None:  # noqa: ANN401, N807
        decided(credentials)
        credentials.server_side_parameters["spark.sql.ansi.enabled"] = "true"

    __post_init__.keeps_ansi = True  # type: ignore[attr-defined]
    SparkCredentials.__post_init__ = __post_init__


@contextmanager
def _stderr_to(file: Path) -> Iterator[None]:
    """Give what starts in the block this file for its messages: a JVM has many, and nobody's terminal wants them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with file.open("ab") as out:
            os.dup2(out.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _parquet_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.parquet") if not path.name.startswith(("_", ".")))


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


@contextmanager
def _scratch_folder(parent: Path) -> Iterator[Path]:
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="exchange-", dir=parent) as folder:
        yield Path(folder)

"""Tables between the home's DuckDB file and Spark, as Parquet files.

dbt's SQL runs in a Spark session inside this process (dbt-spark's method `session`), which starts one JVM for the whole
refresh; its executors are threads of that JVM (`local[*]`) or a cluster's. Both engines read and write Parquet, so a
table goes over as files: DuckDB writes what Spark then has as a table, and reads the files of what Spark wrote.
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
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import duckdb
import jinja2
import yaml

from ritorno import sql
from ritorno.engines import Table
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


def settings(home: Path | None) -> dict[str, str]:
    """The session's settings: those of the target `spark` in profiles.yml, which is what plain dbt takes."""
    profile = yaml.safe_load((PROJECT_ROOT / "profiles.yml").read_text(encoding="utf-8"))
    given = profile["ritorno"]["outputs"]["spark"]["server_side_parameters"]
    known = {**os.environ, **({"RITORNO_HOME": str(home)} if home else {})}

    def env_var(name: str, default: str = "") -> str:
        return known.get(name) or default

    renderer = jinja2.Environment(autoescape=False)
    return {name: renderer.from_string(str(value)).render(env_var=env_var) for name, value in given.items()}


@dataclass(frozen=True)
class Spark:
    """The engine: dbt's SQL in a Spark session of this process, the rest of the refresh in the home.

    Attributes:
        home: the folder below which Spark keeps its tables and what it knows of them, unless told otherwise.
    """

    home: Path | None = None
    name: str = "spark"
    environment: Mapping[str, str] = field(default_factory=lambda: {"RITORNO_ENGINE": "spark"})

    @cached_property
    def session(self) -> Any:  # noqa: ANN401  pyspark is an extra
        """The session that dbt takes too, started with the first table that is sent.

        Raises:
            UnusableInput: Spark isn't installed.
            RitornoError: the session can't be started.
        """
        try:
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise UnusableInput("--engine spark needs pyspark and dbt-spark: make spark") from error
        if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
            raise UnusableInput("--engine spark needs Java 17 or later: apt-get install openjdk-17-jre-headless")
        chosen = settings(self.home)
        builder = SparkSession.builder
        for name, value in chosen.items():
            builder = builder.config(name, value)
        if self.home and not os.environ.get("RITORNO_SPARK_WAREHOUSE"):
            self._forget_unknown(chosen["spark.sql.catalogImplementation"])
        log = (self.home or Path(tempfile.gettempdir())) / "logs" / "spark.log"
        try:
            with _stderr_to(log), warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # it knows no pandas 3, and is handed none
                session = builder.getOrCreate()
        except Exception as error:
            raise RitornoError(
                f"Spark at {chosen['spark.master']} can't be used: {_first_line(error)}; see {log}"
            ) from error
        session.sparkContext.setLogLevel("ERROR")
        for name in ("py4j", "SQLQueryContextLogger", "DataFrameQueryContextLogger"):  # dbt tells what went wrong
            logging.getLogger(name).setLevel(logging.CRITICAL)
        return session

    def _forget_unknown(self, catalog: str) -> None:
        """Remove tables in the home that no session knows any more, which would be in the way of new ones."""
        if self.home and catalog == "in-memory":
            for folder in (self.home / "spark").glob("*.db"):
                shutil.rmtree(folder)

    @property
    def warehouse(self) -> str:
        """Where the tables stand, as a URL."""
        return str(self.session.conf.get("spark.sql.warehouse.dir")).rstrip("/")

    def send(self, warehouse: duckdb.DuckDBPyConnection, tables: Sequence[Table], scratch: Path) -> None:
        """See Engine."""
        for schema, name in tables:
            described = sql.column_types(warehouse, schema, name)
            selected = ", ".join(_sent_column(column, type_) for column, type_ in described.items())
            columns = ", ".join(f"`{column}` {column_type(type_)}" for column, type_ in described.items())
            place = f"{self.warehouse}/{_EXCHANGE}/{schema}/{name}"
            with _scratch_folder(scratch) as folder:
                file = folder / f"{uuid.uuid4().hex}.parquet"
                warehouse.execute(
                    f"copy (select {selected} from {sql.name(schema)}.{sql.name(name)}) "
                    f"to {sql.text(str(file))} (format parquet, compression zstd)"
                )
                self._upload(file, place)
            self.session.sql(f"create schema if not exists `{schema}`")
            self.session.sql(f"drop table if exists `{schema}`.`{name}`")
            self.session.sql(f"create table `{schema}`.`{name}` ({columns}) using parquet location '{place}'")

    def fetch(self, warehouse: duckdb.DuckDBPyConnection, tables: Sequence[Table], scratch: Path) -> None:
        """See Engine."""
        for schema, name in tables:
            warehouse.execute(f"create schema if not exists {sql.name(schema)}")
            table = f"{sql.name(schema)}.{sql.name(name)}"
            columns = self._columns(schema, name)
            listed = ", ".join(f"{sql.name(column)} {type_}" for column, type_ in columns.items())
            warehouse.execute(f"create or replace table {table} ({listed})")
            with self._files(schema, name, scratch) as files:
                if not files:
                    continue
                selected = ", ".join(f"cast({sql.name(column)} as {type_})" for column, type_ in columns.items())
                paths = ", ".join(sql.text(str(file)) for file in files)
                warehouse.execute(f"insert into {table} select {selected} from read_parquet([{paths}])")

    def count(self, warehouse: duckdb.DuckDBPyConnection, tables: Sequence[Table]) -> dict[Table, int]:
        """See Engine."""
        catalog = self._catalog
        existing: set[Table] = set()
        for schema in {schema for schema, _ in tables}:
            if catalog.databaseExists(schema):
                every = set(_strings(catalog.listTables(schema)))
                existing |= {(schema, name) for name in every - set(_strings(catalog.listViews(schema, "*")))}
        found = [table for table in tables if table in existing]
        if not found:
            return {}
        counted = " union all ".join(
            f"select {number} as number, count(*) as row_count from `{schema}`.`{name}`"
            for number, (schema, name) in enumerate(found)
        )
        return {found[row["number"]]: int(row["row_count"]) for row in self.session.sql(counted).collect()}

    def rows(self, warehouse: Path, statement: str) -> list[tuple[Any, ...]]:
        """See Engine."""
        return [tuple(row) for row in self.session.sql(statement.rstrip().rstrip(";")).collect()]

    def publish(self, tables: Sequence[Table], run_id: str, as_of: date) -> None:
        """Copy the marts' files into a folder of the run, then point the views of schema `published` there.

        Spark has no transaction over several tables: each view is switched at once, all of them within seconds, and
        `published_run_id` tells whom a row belongs to. The run before stays for who is reading it.
        """
        root = f"{self.warehouse}/_{PUBLISHED}"
        for schema, name in tables:
            self._copy_within(self._location(schema, name), f"{root}/{run_id}/{name}")
        self.session.sql(f"create schema if not exists `{PUBLISHED}`")
        for _, name in tables:
            self.session.sql(
                f"create or replace view `{PUBLISHED}`.`{name}` as select *, '{run_id}' as published_run_id, "
                f"date '{as_of.isoformat()}' as published_as_of from parquet.`{root}/{run_id}/{name}`"
            )
        files = self._filesystem(root)
        runs = sorted(
            files.listStatus(self._path(root)), key=lambda run: (run.getModificationTime(), run.getPath().getName())
        )
        for run in runs[:-2]:
            files.delete(run.getPath(), True)

    # --- the catalog and the file system behind it, through the JVM

    @property
    def _jvm(self) -> Any:  # noqa: ANN401
        return self.session.sparkContext._jvm

    @property
    def _catalog(self) -> Any:  # noqa: ANN401
        return self.session._jsparkSession.sharedState().externalCatalog()

    def _path(self, url: str) -> Any:  # noqa: ANN401
        return self._jvm.org.apache.hadoop.fs.Path(url)

    def _filesystem(self, url: str) -> Any:  # noqa: ANN401
        return self._path(url).getFileSystem(self.session._jsparkSession.sessionState().newHadoopConf())

    def _location(self, schema: str, name: str) -> str:
        return str(self._catalog.getTable(schema, name).location().toString())

    def _columns(self, schema: str, name: str) -> dict[str, str]:
        """The columns of a Spark table with DuckDB's types."""
        columns = self.session.table(f"`{schema}`.`{name}`").schema.fields
        types = {column.name: str(column.dataType.simpleString()) for column in columns}
        return {column: _DUCKDB_TYPES.get(type_, type_) for column, type_ in types.items()}

    def _upload(self, file: Path, place: str) -> None:
        """Put a file into an otherwise empty folder of the warehouse."""
        files, folder = self._filesystem(place), self._path(place)
        files.delete(folder, True)
        files.mkdirs(folder)
        files.copyFromLocalFile(True, True, self._path(file.as_uri()), folder)

    def _copy_within(self, source: str, place: str) -> None:
        util = self._jvm.org.apache.hadoop.fs.FileUtil
        files = self._filesystem(place)
        files.mkdirs(self._path(place).getParent())
        configuration = self.session._jsparkSession.sessionState().newHadoopConf()
        util.copy(self._filesystem(source), self._path(source), files, self._path(place), False, configuration)

    @contextmanager
    def _files(self, schema: str, name: str, scratch: Path) -> Iterator[list[Path]]:
        """The Parquet files of a table, on this machine."""
        described = self._catalog.getTable(schema, name)
        provider = described.provider().get() if described.provider().isDefined() else "hive"
        place = str(described.location().toString())
        if provider == "parquet" and described.partitionColumnNames().isEmpty():
            if urlsplit(place).scheme in ("", "file"):
                yield _parquet_files(Path(unquote(urlsplit(place).path)))
                return
            with _scratch_folder(scratch) as folder:
                self._filesystem(place).copyToLocalFile(self._path(place), self._path((folder / "files").as_uri()))
                yield _parquet_files(folder / "files")
            return
        written = f"{self.warehouse}/{_EXCHANGE}/_fetched/{uuid.uuid4().hex}"
        self.session.table(f"`{schema}`.`{name}`").write.parquet(written)
        try:
            with _scratch_folder(scratch) as folder:
                self._filesystem(written).copyToLocalFile(self._path(written), self._path((folder / "files").as_uri()))
                yield _parquet_files(folder / "files")
        finally:
            self._filesystem(written).delete(self._path(written), True)


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


def _strings(names: Any) -> list[str]:  # noqa: ANN401  a Scala Seq
    return [str(names.apply(place)) for place in range(names.size())]


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


@contextmanager
def _scratch_folder(parent: Path) -> Iterator[Path]:
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="exchange-", dir=parent) as folder:
        yield Path(folder)

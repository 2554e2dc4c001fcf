"""How a sent table's files are laid out at Spark: in parts by the day it was landed, each with a fingerprint.

A part is sent again only if its rows changed. So a day's refresh sends what was landed that day, and not a raw table of
years once more; small tables are one part, since Spark is slower with many small files than with one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import duckdb

from ritorno import sql

PART = "_ritorno_landed"
"""The column that a table in parts has more: the first day of the month, or the day, on which rows were landed."""
ONE = ""
"""The part of a table that is one."""


@dataclass(frozen=True)
class Layout:
    """What the policy says about tables at Spark.

    Attributes:
        parts: raw tables are in parts by the month or day of their landing, or one each.
        from_rows: so many landed rows make parts and buckets worth their files.
        buckets: of customers' tables, by hash of customer_key; "auto" is one for each partition of a shuffle.
        table_format: what the tables that dbt builds are written as.
    """

    parts: Literal["month", "day", "none"] = "month"
    from_rows: int = 5_000_000
    buckets: int | Literal["auto"] = "auto"
    table_format: str = "parquet"

    @classmethod
    def of(cls, policy: Mapping[str, Any]) -> Layout:
        """The layout that the policy's vars describe."""
        return cls(
            policy.get("spark_landing_parts", cls.parts),
            int(policy.get("spark_layout_from_rows", cls.from_rows)),
            policy.get("spark_buckets", cls.buckets),
            str(policy.get("spark_table_format", cls.table_format)),
        )

    def buckets_for(self, rows: int, shuffle_partitions: int) -> int:
        """How many buckets customers' tables get in a shop of so many landed rows; 0 for none."""
        if self.buckets != "auto":
            return self.buckets if self.buckets > 1 else 0
        return shuffle_partitions if rows >= self.from_rows and shuffle_partitions > 1 else 0


@dataclass(frozen=True)
class Changes:
    """Parts to be written and parts to be removed; `anew`: whatever stands there goes first."""

    written: tuple[str, ...]
    removed: tuple[str, ...]
    anew: bool = False

    def __bool__(self) -> bool:
        return bool(self.written or self.removed or self.anew)


@dataclass(frozen=True)
class Shape:
    """A table as it should stand at Spark.

    Attributes:
        selected: the columns as they go into its files, in DuckDB's SQL.
        columns: their names and Spark's types.
        part: in DuckDB's SQL, which part a row belongs to; None if the table is one.
        fingerprints: rows and a hash of their content, by part.
    """

    selected: str
    columns: Sequence[tuple[str, str]]
    part: str | None
    fingerprints: Mapping[str, tuple[int, str]]

    @property
    def rows(self) -> int:
        """Rows of the table."""
        return sum(rows for rows, _ in self.fingerprints.values())

    def record(self) -> str:
        """What is remembered beside the files. DuckDB's hash is one version's own."""
        return json.dumps(
            {
                "duckdb": duckdb.__version__,
                "selected": self.selected,
                "part": self.part,
                "parts": {name: list(found) for name, found in self.fingerprints.items()},
            },
            sort_keys=True,
        )

    def changes(self, record: str | None) -> Changes:
        """What brings files that are as `record` says to this shape."""
        before = json.loads(record) if record else {}
        if not before or {**before, "parts": {}} != {**json.loads(self.record()), "parts": {}}:
            return Changes(tuple(sorted(self.fingerprints)), (), anew=True)
        parts = {name: tuple(found) for name, found in before["parts"].items()}
        written = [name for name, found in sorted(self.fingerprints.items()) if parts.get(name) != found]
        return Changes(tuple(written), tuple(sorted(set(parts) - set(self.fingerprints))))


def shape(
    con: duckdb.DuckDBPyConnection,
    schema: str,
    name: str,
    selected: str,
    columns: Sequence[tuple[str, str]],
    layout: Layout,
) -> Shape:
    """The shape of a table of the home."""
    table = f"{sql.name(schema)}.{sql.name(name)}"
    part = None
    in_parts = schema == "raw" and layout.parts != "none" and ("_ritorno_batch", "bigint") in columns
    if in_parts and sql.count(con, table) >= max(layout.from_rows, 1):  # nothing has no parts
        landed = "select max(landed_at) from landing.files where files.batch = t._ritorno_batch"
        part = f"coalesce(cast(date_trunc('{layout.parts}', ({landed})) as date), date '1900-01-01')"
    told = f"count(*), cast(coalesce(sum(hash(hash(t))), 0) as varchar) from {table} as t"
    query = f"select cast({part} as varchar), {told} group by 1" if part else f"select {sql.text(ONE)}, {told}"
    found = con.execute(query).fetchall()
    return Shape(selected, columns, part, {str(name): (int(rows), str(told)) for name, rows, told in found})


def write(con: duckdb.DuckDBPyConnection, table: str, shape: Shape, part: str, folder: str) -> None:
    """Write a part's rows into Parquet files of at most about a gigabyte."""
    where = f"where {shape.part} = date {sql.text(part)}" if shape.part else ""
    con.execute(
        f"copy (select {shape.selected} from {table} as t {where}) to {sql.text(folder)} "
        "(format parquet, compression zstd, file_size_bytes '1GB')"
    )

"""How a sent table's files are laid out at Spark: in parts by the day it was landed (`ritorno.engines.parts`).

Small tables are one part, since Spark is slower with many small files than with one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import duckdb

from ritorno import sql
from ritorno.engines.parts import Parts

PART = "_ritorno_landed"
"""The column that a table in parts has more: the first day of the month, or the day, on which rows were landed."""


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


def part_of(
    con: duckdb.DuckDBPyConnection, schema: str, name: str, columns: Mapping[str, str], layout: Layout
) -> str | None:
    """In DuckDB's SQL, which part a row of a table of the home belongs to; None if it is one."""
    if schema != "raw" or layout.parts == "none" or columns.get("_ritorno_batch") != "BIGINT":
        return None
    if sql.count(con, f"{sql.name(schema)}.{sql.name(name)}") < max(layout.from_rows, 1):  # nothing has no parts
        return None
    landed = "select max(landed_at) from landing.files where files.batch = t._ritorno_batch"
    return f"coalesce(cast(date_trunc('{layout.parts}', ({landed})) as date), date '1900-01-01')"


def write(con: duckdb.DuckDBPyConnection, table: str, parts: Parts, part: str, folder: str) -> None:
    """Write a part's rows into Parquet files of at most about a gigabyte."""
    where = f"where {parts.part} = date {sql.text(part)}" if parts.part else ""
    con.execute(
        f"copy (select {parts.selected} from {table} as t {where}) to {sql.text(folder)} "
        "(format parquet, compression zstd, file_size_bytes '1GB')"
    )

"""The published Online Retail II lines in an in-memory warehouse, and the policies that this room's tests share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from ritorno.home import PROJECT_ROOT
from tests.support import Project

RETURNS_IGNORED: dict[str, Any] = {
    "reporting_currency": "GBP",
    "business_timezone": "Europe/London",
    "count_zero_orders": False,
    "count_refunds": False,
}
RETURNS_COUNTED: dict[str, Any] = {"reporting_currency": "GBP", "business_timezone": "Europe/London"}

# every further set of vars costs a compilation of seconds: so the other switches share one
STRICT: dict[str, Any] = {
    "prices_include_tax": True,
    "count_zero_orders": False,
    "online_retail_fee_codes": ["post", "M"],
}

_NAME = "online_retail_II_y2009_2010.parquet"
_PLACES = [PROJECT_ROOT.parent / "shared" / "data", PROJECT_ROOT.parent.parent / "shared" / "data"]
FILE: Path | None = next((place / _NAME for place in _PLACES if (place / _NAME).exists()), None)


def warehouse(project: Project, lines: str = "true") -> duckdb.DuckDBPyConnection:
    """A warehouse with the file's lines for which the SQL condition `lines` holds."""
    con = project.connect({})
    con.execute("set threads = 2")
    con.execute("drop table raw.online_retail__lines")
    con.execute(
        f"""
        create table raw.online_retail__lines as
        select *, '{_NAME}' as _ritorno_file, file_row_number + 1 as _ritorno_line, 1 as _ritorno_batch
        from read_parquet('{FILE}', file_row_number = true)
        where {lines}
        """
    )
    return con

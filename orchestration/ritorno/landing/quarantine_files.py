"""Quarantined rows as files that a person can open: one CSV per table."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import duckdb

from ritorno import sql
from ritorno.home import Home

RELATION = "quarantine.quarantined_rows"
COLUMNS = ("system", "row_key", "source_file", "source_line", "source_batch", "bad_column", "bad_value", "bad_reason")
# Every column, so that equal content is an equal file.
ORDER = ", ".join(f"{sql.name(column)} nulls last" for column in (COLUMNS[0], *COLUMNS[2:], COLUMNS[1]))


def export_quarantine(con: duckdb.DuckDBPyConnection, home: Home) -> dict[str, int]:
    """Write quarantine/<table>.csv for every table with quarantined rows; returns the number of rows by table.

    Each file is replaced by one rename, so a reader never sees half of it; files of tables that are clean now go.
    """
    home.quarantine.mkdir(parents=True, exist_ok=True)
    counts: dict[str, int] = dict(
        con.execute(f"select entity, count(*) from {RELATION} group by entity order by entity").fetchall()
    )
    home.tmp.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="quarantine-", dir=home.tmp))
    try:
        for entity in counts:
            target = folder / f"{entity}.csv"
            con.execute(
                f"copy (select {sql.names(COLUMNS)} from {RELATION} where entity = {sql.text(entity)} "
                f"order by {ORDER}) "
                f"to {sql.text(str(target))} (format csv, header true)"
            )
            os.replace(target, home.quarantine / target.name)  # noqa: PTH105  the atomic rename is the point
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for path in home.quarantine.glob("*.csv"):
        if path.stem not in counts:
            path.unlink()
    return counts

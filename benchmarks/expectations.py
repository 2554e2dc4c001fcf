"""What checking costs: the marts' expectations beside the plain SQL of the same figures. On demand:

    .venv/bin/python -m benchmarks.expectations HOME

HOME is a built home (`benchmarks.marts … --keep HOME`, or any of yours; its warehouse is copied first, nothing of
it is written). The plain query computes, in one scan a table, the figures that the suites of that table ask for.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import duckdb

from ritorno import sql
from ritorno.home import Home
from ritorno.quality.expectations import load_suites
from ritorno.quality.run import run_suites


def plain_seconds(warehouse: Path) -> tuple[float, int]:
    """Rows, nulls, smallest, largest and distinct values of every column that a suite names; seconds and figures."""
    start = time.perf_counter()
    figures = 0
    with duckdb.connect(str(warehouse), read_only=True) as con:
        for suite in load_suites("marts"):
            known = sql.column_types(con, "marts", suite.table)
            named = {name for entry in suite.expectations for name in entry.columns if name in known}
            asked = ["count(*)"]
            for name in sorted(named):
                asked += [f'count("{name}")', f'min("{name}")', f'max("{name}")', f'approx_count_distinct("{name}")']
            row = con.execute(f'select {", ".join(asked)} from marts."{suite.table}"').fetchone()
            figures += len(row or ())
    return time.perf_counter() - start, figures


def main(root: Path) -> None:
    """Time both on a copy of the home's warehouse."""
    with tempfile.TemporaryDirectory(prefix="ritorno-checks-") as scratch:
        home = Home.at(Path(scratch)).ensure()
        shutil.copy(root / "warehouse.duckdb", home.warehouse)
        plain, figures = plain_seconds(home.warehouse)
        start = time.process_time()
        import great_expectations  # noqa: F401  the first import is part of the price, told apart here

        imported = time.process_time() - start
        start, wall = time.process_time(), time.perf_counter()
        results = run_suites(home, "marts", "bench", date(2024, 12, 31), keep_history=False)
        checked, wall = time.process_time() - start, time.perf_counter() - wall
    judged = sum(result.judged for result in results)
    print(f"import of Great Expectations: {imported:.1f} s CPU, once a refresh")
    print(f"{len(results)} checks, {judged} judged: {checked:.1f} s CPU, {wall:.1f} s; Data Docs included")
    print(f"plain SQL, {figures} figures of the same columns: {plain:.2f} s")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())

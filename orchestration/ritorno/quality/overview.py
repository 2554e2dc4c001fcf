"""The front page of the Data Docs: every check of the last run of each stage on one page, drift included."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date
from html import escape
from pathlib import Path

import duckdb

from ritorno.home import Home
from ritorno.quality.history import open_history
from ritorno.quality.results import CheckResult

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Checks</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #1c2430 }}
table {{ border-collapse: collapse; width: 100%; margin-bottom: 2rem }}
th, td {{ text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid #d8dee6 }}
.passed {{ color: #1b7a43 }} .stops {{ color: #b3261e; font-weight: 600 }} .warns {{ color: #97650b }}
.none {{ color: #6b7685 }}
</style></head><body>
<h1>Checks of the last run</h1>
{sections}
</body></html>
"""


def write(home: Home, results: Sequence[CheckResult], stage: str, run_id: str, as_of: date) -> Path:
    """Write `index.html` over both stages; each links to Great Expectations' own pages.

    The stage just checked comes from `results`, the other one from what the state store remembers of it.
    """
    sections = {stage: _section(home, stage, run_id, as_of, results)}
    with open_history(home.state) as con:
        for other in {"raw", "marts"} - {stage}:
            found = _last(con, other)
            if found:
                sections[other] = _section(home, other, *found)
    page = home.docs / "index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    scratch = page.with_suffix(".new")
    body = "\n".join(sections[name] for name in ("raw", "marts") if name in sections)
    scratch.write_text(_PAGE.format(sections=body), encoding="utf-8")
    os.replace(scratch, page)  # noqa: PTH105  one rename: nobody reads half a page
    return page


def _last(con: duckdb.DuckDBPyConnection, stage: str) -> tuple[str, date, list[CheckResult]] | None:
    run = con.execute(
        "select run_id, as_of from quality.check_results where stage = ? order by checked_at desc, run_id desc limit 1",
        [stage],
    ).fetchone()
    if run is None:
        return None
    rows = con.execute(
        """
        select stage, table_name, check_name, kind, expectation, column_name, severity, success, judged,
               observed, expected, reason, rows_checked, rows_failed
        from quality.check_results where stage = ? and run_id = ? order by table_name, kind desc, check_name
        """,
        [stage, run[0]],
    ).fetchall()
    return run[0], run[1], [CheckResult(*row) for row in rows]


def _section(home: Home, stage: str, run_id: str, as_of: date, results: Sequence[CheckResult]) -> str:
    rows = "\n".join(_row(result) for result in sorted(results, key=lambda r: (r.success, not r.blocks, r.table)))
    link = f'<p><a href="{stage}/index.html">Great Expectations’ own pages</a> (their styles come from the network)</p>'
    if not (home.docs / stage / "index.html").exists():
        link = ""
    return (
        f"<h2>{escape(stage)}: run {escape(run_id)} as of {as_of.isoformat()}</h2>{link}"
        "<table><tr><th>table</th><th>check</th><th>outcome</th><th>found</th><th>expected</th><th>why</th></tr>"
        f"{rows}</table>"
    )


def _row(result: CheckResult) -> str:
    kind, text = _verdict(result)
    what = f"{result.expectation} {result.column or ''}".strip()
    cells = [result.table, what, text, result.observed, result.expected, result.reason]
    marked = [f'<td class="{kind if cell is text else ""}">{escape(cell)}</td>' for cell in cells]
    return f"<tr>{''.join(marked)}</tr>"


def _verdict(result: CheckResult) -> tuple[str, str]:
    if not result.success:
        return ("stops", "stops the run") if result.blocks else ("warns", "warning")
    return ("passed", "passed") if result.judged else ("none", "nothing to judge")

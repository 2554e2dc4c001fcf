"""What the report of a large shop costs: writing it, and opening its pages in Debian's chromium. On demand:

    .venv/bin/python -m benchmarks.report

Ten years of aggregates as a shop with a million customers has them. Per page: KB, charts drawn when it opens, marks in
them, and the best of three times until the first chart is drawn, from the address on. The goal is 2 s and 5 MB.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser
from rich.console import Console
from rich.table import Table

from benchmarks.marts import machine
from ritorno.report.draw import write
from tests.report.browser import CHROMIUM, chromium
from tests.report.shop import large_run

DRAWN = "document.querySelector('figure .chart')?.dataset.state === 'drawn' || !document.querySelector('figure .chart')"
CHARTS = "document.querySelectorAll('.chart[data-state=drawn]').length"
MARKS = "document.querySelectorAll('.chart svg [class*=mark-] path, .chart svg [class*=mark-] line').length"


def opened(browser: Browser, page: Path) -> tuple[float, int, int]:
    """Seconds until the first chart is drawn, charts drawn by then, and their marks."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    began = time.perf_counter()
    tab.goto(page.as_uri())
    tab.wait_for_function(DRAWN)
    took = time.perf_counter() - began
    found = took, int(tab.evaluate(CHARTS)), int(tab.evaluate(MARKS))
    context.close()
    return found


def main() -> None:
    """Write, open, print."""
    if CHROMIUM is None:
        print("The report was not opened: no chromium (apt-get install chromium)")
        return
    with tempfile.TemporaryDirectory(prefix="ritorno-bench-") as scratch, chromium() as browser:
        run = large_run(Path(scratch))
        began = time.perf_counter()
        write(run)
        wrote = time.perf_counter() - began
        files = [path for path in (run / "report").rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files) / 1e6
        table = Table(title=f"The report: {size:.1f} MB, written in {wrote:.1f} s · {machine()}")
        for column in ("page", "KB", "charts", "marks", "seconds"):
            table.add_column(column, justify="left" if column == "page" else "right")
        for page in sorted(path for path in files if path.suffix == ".html"):
            seconds, charts, marks = min(opened(browser, page) for _ in range(3))
            table.add_row(page.stem, f"{page.stat().st_size / 1e3:.0f}", str(charts), str(marks), f"{seconds:.2f}")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()

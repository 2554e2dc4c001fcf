"""The report at `published/report/index.html`: what the marts say, drawn at each refresh from the published file alone.

`figures` are the values it is made of, `charts` makes Vega-Lite of column names, `pages` says what is asked, `marts`
asks, `draw` fills the pages. It opens from disk, without network; nobody's data is in it, only aggregates.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ritorno.errors import UnusableInput
from ritorno.home import Home

INDEX = Path("report") / "index.html"
"""Where it lies in a run folder, and in `published`."""


def drawn(folder: Path) -> list[str]:
    """Draw the report of the run in `folder` into folder/report; returns what could not be drawn."""
    from ritorno.report.draw import write

    untold: list[str] = []
    write(folder, untold.append)
    return untold


def shown_on(marts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """By mart, the pages with a chart of it: the first page if none has."""
    from ritorno.report import pages  # altair takes a second

    return {mart: pages.showing(mart) or ("index",) for mart in marts}


def redraw(home: Home) -> Path:
    """Draw the published run's report anew; returns its first page.

    Raises:
        UnusableInput: nothing is published.
    """
    from ritorno.publishing import published_run, renew_manifest
    from ritorno.report.draw import FOLDER, write

    if published_run(home) is None:
        raise UnusableInput(f"{home.root}: nothing is published yet; run `ritorno refresh` or `ritorno demo` first")
    folder = home.published.resolve()
    write(folder)
    renew_manifest(folder, FOLDER)
    return home.published / INDEX


def address(home: Home, page: str = "index") -> str:
    """Where people open a page: below RITORNO_REPORT_URL if the folder is served, else the file itself."""
    served = os.environ.get("RITORNO_REPORT_URL", "").rstrip("/")
    name = f"{page}.html"
    return f"{served}/{name}" if served else (home.published / INDEX.with_name(name)).as_uri()

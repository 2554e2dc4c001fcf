"""The README's picture: the overview of a published home. `make screenshot`."""

from __future__ import annotations

import sys
from pathlib import Path

from ritorno.home import Home
from tests.report.browser import CHROMIUM, chromium

WIDTH, HEIGHT = 1200, 915


def main(target: Path) -> None:
    index = Home.at().published / "report" / "index.html"
    if CHROMIUM is None or not index.exists():
        sys.exit("a picture needs chromium (apt-get install chromium) and a published home (make demo)")
    target.parent.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(index.as_uri())
        page.evaluate("ritornoReport.drawAll()")
        page.screenshot(path=target)
    print(f"{target}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

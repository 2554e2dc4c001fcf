"""The README's picture: the overview of a published home. `make screenshot`."""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from ritorno.home import Home
from tests.report.browser import ARGUMENTS, CHROMIUM

WIDTH, HEIGHT = 1200, 915


def main(target: Path) -> None:
    index = Home.at().published / "report" / "index.html"
    if CHROMIUM is None or not index.exists():
        sys.exit("a picture needs chromium (apt-get install chromium) and a published home (make demo)")
    target.parent.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(index.as_uri())
        page.evaluate("ritornoReport.drawAll()")
        page.screenshot(path=target)
        browser.close()
    print(f"{target}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""`make docs`: a folder to open from disk. Nothing is fetched, and every page and dbt's models are there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from docs import book
from ritorno.home import PROJECT_ROOT

FETCHES = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=[\"']?(?:https?:)?//", re.IGNORECASE)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `make docs` writes it, in a clone without a warehouse."""
    folder = tmp_path_factory.mktemp("site")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "RITORNO_HOME": str(folder / "no-home")}
    environment["DBT_TARGET_PATH"] = os.environ["DBT_TARGET_PATH"]
    command = [sys.executable, "-m", "docs.book", str(folder / "site")]
    done = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == str(folder / "site" / "index.html")
    return folder / "site"


def test_no_page_fetches_a_script_a_style_or_a_picture(site: Path) -> None:
    assert {path.name for path in site.glob("*.html")} == {*map(book.name, book.pages()), book.DBT_DOCS}
    for page in site.glob("*.html"):
        assert FETCHES.findall(page.read_text(encoding="utf-8")) == [], page.name
    assert FETCHES.search('<script async src="https://cdn.example/x.js">')
    assert FETCHES.search("<link rel=icon href=//cdn.example/x.png>")


def test_every_page_opens_from_disk_without_a_network(site: Path, browser: Browser) -> None:
    context = browser.new_context(offline=True)
    page = context.new_page()
    asked: set[str] = set()
    said: list[str] = []
    page.on("request", lambda request: asked.add(request.url))
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    for name in map(book.name, book.pages()):
        page.goto((site / name).as_uri())
        assert page.locator("main h1").count() == 1, name
        broken = "all => all.filter(one => !one.naturalWidth).map(one => one.src)"
        assert page.eval_on_selector_all("img", broken) == [], name
    assert said == []
    page.goto(f"{(site / book.DBT_DOCS).as_uri()}#!/model/model.ritorno.customers")
    page.wait_for_selector("text=One row per")
    assert page.locator("text=acquisition_channel").count() > 0
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    # dbt's page tries its own templates' `<img src="{{ getIcon(…) }}">` as files before it has filled them in
    assert [text for text in said if not re.search(r"load URL file:.*%7B%7B|ERR_FILE_NOT_FOUND", text)] == []
    context.close()

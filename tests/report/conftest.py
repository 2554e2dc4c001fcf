"""One real home and one browser for all of the report's tests."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from playwright.sync_api import Browser, Page

from ritorno.home import PROJECT_ROOT, Home
from tests.report.shop import real_home, shared_folder

ARTIFACTS = PROJECT_ROOT / ".artifacts" / "report"
"""Screenshots of the last test run."""
AXE = "axe-core@4.14.1"
AXE_INTEGRITY = "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return real_home(shared_folder(tmp_path_factory))


@pytest.fixture(scope="session")
def report(home: Home) -> Path:
    return home.published / "report"


class Opened:
    """A page of the report, and everything that the browser said or asked for meanwhile."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        page.on("request", lambda request: self.asked.append(request.url))

    def draw(self) -> None:
        """Draw all charts, also those below the fold."""
        self.page.evaluate("ritornoReport.drawAll()")

    def table(self, figure: str) -> list[list[str]]:
        """What the figure's table says, without its head."""
        details = self.page.locator(f"#{figure} details")
        if details.count() and not details.evaluate("d => d.open"):
            details.locator("summary").click()
        rows = self.page.locator(f"#{figure} .table tbody")
        return rows.evaluate("body => [...body.rows].map(row => [...row.cells].map(cell => cell.textContent))")

    def number(self, key: str) -> str:
        """What a key number's card says."""
        return self.page.locator(f"#{key} .value").inner_text()


@pytest.fixture
def opened(browser: Browser, report: Path) -> Iterator[Callable[..., Opened]]:
    contexts = []

    def open_page(
        name: str, *, width: int = 1280, dark: bool = False, folder: Path | None = None, **more: Any
    ) -> Opened:
        scheme = "dark" if dark else "light"
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **more)
        contexts.append(context)
        context.set_default_timeout(20_000)
        result = Opened(context.new_page())
        result.page.goto(((folder or report) / f"{name}.html").as_uri())
        return result

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """axe-core, pinned, from npm into a cache; what npm gets must have the hash that we know."""
    cache = Path.home() / ".cache" / "ritorno" / AXE
    script = cache / "package" / "axe.min.js"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / ".lock"):
        if not script.exists():
            _fetch_axe(cache)
    return script.read_text(encoding="utf-8")


def _fetch_axe(cache: Path) -> None:
    import base64
    import hashlib

    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm to fetch axe-core with")
    packed = subprocess.run([npm, "pack", "--silent", AXE], cwd=cache, capture_output=True, text=True, timeout=120)
    archives = list(cache.glob("*.tgz"))
    if packed.returncode or not archives:
        pytest.skip(f"the npm registry can't be reached: {packed.stderr.strip()[-200:]}")
    digest = base64.b64encode(hashlib.sha512(archives[0].read_bytes()).digest()).decode()
    assert f"sha512-{digest}" == AXE_INTEGRITY, "axe-core is not what it was"
    shutil.unpack_archive(archives[0], cache, filter="data")

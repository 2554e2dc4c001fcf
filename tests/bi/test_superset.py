"""What a BI developer does: Superset from PyPI over a published home, dashboards imported, drawn, and still right after
the next refresh. Superset is installed once into ~/.cache/ritorno and kept.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import duckdb
import httpx
import pytest
from playwright.sync_api import Page, Response
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from bi import serve
from ritorno.engines.postgres import Server
from ritorno.home import PROJECT_ROOT, Home
from ritorno.publishing import FILE_FOR_BI, Mart, publish, published_run
from tests.audiences.destinations.servers import free_port
from tests.bi.bundle import charts_of, contents
from tests.report.browser import chromium

pytestmark = pytest.mark.superset
ARTIFACTS = PROJECT_ROOT / ".artifacts" / "superset"
"""Screenshots of the last run."""
PASSWORD = "only for this test"
DASHBOARDS = list(contents("dashboards"))
NO_PYPI = re.compile(
    r"error sending request|dns error|connection (refused|reset)|timed out|network is unreachable", re.I
)


@dataclass
class Superset:
    """A running one, as its API shows it to a user."""

    url: str
    home: Home
    api: httpx.Client

    @cached_property
    def charts(self) -> dict[str, str]:
        """Superset's number of each chart, by name."""
        listed = self.get("/api/v1/chart/", q="(page_size:100)")["result"]
        return {chart["slice_name"]: str(chart["id"]) for chart in listed}

    def get(self, path: str, **asked: str) -> Any:
        answer = self.api.get(path, params=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def rows(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        """The rows of a chart's own query."""
        answer = self.api.post("/api/v1/chart/data", json=asked)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["result"][0]["data"])

    def mart(self, sql: str) -> Any:
        with duckdb.connect(str(self.home.published / FILE_FOR_BI), read_only=True) as con:
            return con.execute(sql).fetchall()


@dataclass
class Seen:
    """What the browser drew, asked and complained of, dashboard by dashboard."""

    asked: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By chart: the query that the browser sent for it."""
    answers: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    drawn: dict[str, dict[str, str]] = field(default_factory=dict)
    """By dashboard, by chart: what is wrong with the drawing; empty where nothing is."""
    said: list[str] = field(default_factory=list)
    elsewhere: set[str] = field(default_factory=set)
    """Hosts other than Superset that answered."""


@pytest.fixture(scope="module")
def superset(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Superset]:
    """Started as `make superset` does it, over a home of its own."""
    own = Home(tmp_path_factory.mktemp("bi") / "home")
    shutil.copytree(home.root, own.root, symlinks=True)
    try:
        serve.environment()
    except serve.NoSupersetError as error:
        if NO_PYPI.search(str(error)):
            pytest.skip(f"PyPI can't be reached: {error}")
        raise
    folder = tmp_path_factory.mktemp("superset")
    with (
        serve.serving(folder, serve.file_address(own), free_port(), PASSWORD) as url,
        httpx.Client(base_url=url, timeout=120) as api,
    ):
        login = {"username": "admin", "password": PASSWORD, "provider": "db", "refresh": False}
        token = api.post("/api/v1/security/login", json=login).json()["access_token"]
        api.headers["Authorization"] = f"Bearer {token}"
        api.headers["X-CSRFToken"] = api.get("/api/v1/security/csrf_token/").json()["result"]
        api.headers["Referer"] = url
        yield Superset(url, own, api)


@pytest.fixture(scope="module")
def seen(superset: Superset) -> Seen:
    """Every dashboard, opened in Debian's chromium; a picture of each is kept."""
    found = Seen()
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(90_000)
        page.on("console", lambda message: found.said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: found.said.append(str(error)))
        page.on("response", lambda response: _listen(response, superset.url, found))
        _enter(page, superset.url)
        for dashboard in DASHBOARDS:
            found.drawn[dashboard] = _look(page, superset.url, dashboard)
    return found


def _enter(page: Page, url: str) -> None:
    page.goto(f"{url}/login/")
    page.locator("#username").fill("admin")
    page.locator("#password").fill(PASSWORD)
    page.locator("button[type=submit]").click()
    page.wait_for_url("**/welcome/**")


def _listen(response: Response, url: str, found: Seen) -> None:
    if not response.url.startswith((url, "data:", "blob:")):
        found.elsewhere.add(response.url)
    if not response.url.startswith(f"{url}/api/v1/chart/data") or response.request.method != "POST":
        return
    asked = json.loads(response.request.post_data or "{}")
    chart = asked.get("form_data", {}).get("slice_id")
    if chart is not None:  # filters ask, too
        found.asked[str(chart)] = asked
        answer = response.json()
        found.answers[str(chart)] = [
            row for part in answer.get("result") or [] for row in (part.get("data") or []) if isinstance(part, dict)
        ]


DRAWN = """
holders => Object.fromEntries(holders.map(holder => {
    const title = holder.querySelector('[data-test="editable-title"], .header-title')?.innerText.trim();
    const alert = holder.querySelector('[role=alert], .ant-alert, [data-test="error-message"]')?.innerText;
    const colours = canvas => {
        const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        const seen = new Set();
        for (let at = 0; at < data.length && seen.size < 4; at += 4) seen.add(data.slice(at, at + 4).join());
        return seen.size;
    };
    const canvases = [...holder.querySelectorAll('canvas')];
    const shown = canvases.some(canvas => colours(canvas) > 3)
        || holder.querySelectorAll('tbody tr').length || holder.querySelector('.header-line');
    return [title, alert || (shown ? '' : 'nothing is drawn')];
}))
"""


def _look(page: Page, url: str, dashboard: str) -> dict[str, str]:
    """What is wrong with each chart of a dashboard, after all of them were drawn."""
    page.set_viewport_size({"width": 1600, "height": 1000})
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    page.goto(f"{url}/superset/dashboard/{dashboard}/")
    try:
        page.wait_for_selector(".dashboard-component-chart-holder", timeout=45_000)
    except PlaywrightTimeout:  # seen once in a dozen runs on a machine under load; a person reloads, too
        page.screenshot(path=ARTIFACTS / f"{dashboard}-stuck.png")
        page.reload()
        page.wait_for_selector(".dashboard-component-chart-holder")
    page.set_viewport_size({"width": 1600, "height": 2600})  # charts below the fold are drawn when they come into view
    found: dict[str, str] = {}
    until = time.monotonic() + 90
    while time.monotonic() < until:
        page.wait_for_timeout(300)
        found = page.eval_on_selector_all(".dashboard-component-chart-holder", DRAWN)
        if len(found) == len(charts_of(dashboard)) and not any(found.values()):
            break
    page.wait_for_timeout(1200)  # the charts' own animation
    bottom = page.eval_on_selector_all(
        ".dashboard-component-chart-holder", "all => Math.max(...all.map(one => one.getBoundingClientRect().bottom))"
    )
    clip = {"x": 0, "y": 0, "width": 1600, "height": min(bottom + 20, 2600)}
    page.screenshot(path=ARTIFACTS / f"{dashboard}.png", clip=clip)  # type: ignore[arg-type]
    return found


def test_what_make_superset_imports_is_what_the_api_imports_and_twice_is_once(superset: Superset) -> None:
    def held() -> dict[str, int]:
        return {
            kind: superset.get(f"/api/v1/{kind}/")["count"] for kind in ("database", "dataset", "chart", "dashboard")
        }

    shipped = {"database": 1} | {kind: len(contents(f"{kind}s")) for kind in ("dataset", "chart", "dashboard")}
    assert held() == shipped
    packed = {"bundle": ("dashboards.zip", serve.bundle(serve.file_address(superset.home)), "application/zip")}
    answer = superset.api.post("/api/v1/assets/import/", files=packed)
    assert (answer.status_code, answer.json()) == (200, {"message": "OK"})
    assert held() == shipped
    as_people_do = serve.bundle(serve.file_address(superset.home), "Dashboard")
    packed = {"formData": ("dashboards.zip", as_people_do, "application/zip")}
    answer = superset.api.post("/api/v1/dashboard/import/", files=packed, data={"overwrite": "true"})
    assert (answer.status_code, answer.json()) == (200, {"message": "OK"})
    assert held() == shipped


def test_every_chart_is_drawn_in_a_browser_without_an_error(seen: Seen) -> None:
    for dashboard in DASHBOARDS:
        assert seen.drawn[dashboard] == dict.fromkeys(charts_of(dashboard), ""), dashboard


def test_the_browser_has_nothing_to_complain_of_and_asks_nobody_else(seen: Seen, superset: Superset) -> None:
    assert seen.elsewhere == set()
    # Superset's pages ask its makers for a pixel; our policy forbids it, and the browser says so
    assert [text for text in seen.said if "gateway.scarf.sh" not in text] == []
    assert "scarf.sh" not in superset.api.get("/login/").headers["Content-Security-Policy"]


def test_the_query_of_every_chart_gives_rows(seen: Seen, superset: Superset) -> None:
    assert set(seen.asked) == set(superset.charts.values())
    assert [name for name, chart in superset.charts.items() if not superset.rows(seen.asked[chart])] == []


Told = Callable[[list[dict[str, Any]]], Any]
CASES: dict[str, tuple[Told, str]] = {
    "Net revenue of the last 7 days": (
        lambda rows: max(rows, key=lambda row: row["week_to"])["net_revenue"],
        "select sum(net_revenue) from marts.orders where order_date > published_as_of - 7",
    ),
    "Became at risk today": (
        lambda rows: max(rows, key=lambda row: row["day"])["became_at_risk"],
        "select count(*) from marts.lifecycle_history where state = 'at_risk' and valid_from = published_as_of",
    ),
    "Customers by lifecycle state": (
        lambda rows: {row["lifecycle_state"]: row["customers"] for row in rows}["at risk"],
        "select count(*) from marts.customers where lifecycle_state = 'at_risk'",
    ),
    "MRR at the close of the month": (
        lambda rows: max(rows, key=lambda row: row["month"])["mrr"],
        "select sum(mrr) from marts.subscriptions where is_live",
    ),
    "RFM: recency by frequency": (
        lambda rows: sum(row["customers"] for row in rows),
        "select count(*) from marts.customer_rfm",
    ),
    "RFM segments": (
        lambda rows: {row["rfm_segment"]: row["net_revenue"] for row in rows}["champions"],
        "select sum(net_revenue) from marts.customer_rfm where rfm_segment = 'champions'",
    ),
    "RFM segments in numbers": (
        lambda rows: sum(row["customers"] for row in rows if row["rfm_segment"] != "no order yet"),
        "select sum(customers) from marts.rfm_grid where metric_x = 'recency' and metric_y = 'frequency'",
    ),
    "Lifecycle population": (
        lambda rows: sum(v or 0 for k, v in max(rows, key=lambda row: row["day"]).items() if k != "day"),
        "select count(*) from marts.customers where orders > 0",
    ),
    "Cohorts: who comes back": (
        lambda rows: {(row["cohort"], row["period"]): row["retention"] for row in rows}["2025-09", 3],
        "select retention from marts.cohort_retention where cohort_type = 'calendar_month' and cut = 'all' "
        "and cohort_month = date '2025-09-01' and period = 3",
    ),
    "MRR bridge of the latest month": (
        lambda rows: sum(row["amount"] for row in rows),
        "select max_by(closing, month) from marts.mrr_monthly",
    ),
    "NPS, trailing 90 days": (
        lambda rows: next(v for k, v in max(rows, key=lambda row: row["window_end"]).items() if "after order" in k),
        "select 100 * max_by(nps, period_end) from marts.nps where survey = 'after_order' "
        "and period_type = 'trailing_90d' and cut = 'all' and is_complete and responses > 0",
    ),
    "Segments today": (
        lambda rows: {row["segment"]: row["size_today"] for row in rows}["at risk"],
        "select count(*) from marts.segment_membership where segment = 'at_risk'",
    ),
    "Checks that failed": (
        lambda rows: rows[0]["failed_checks"],
        "select count(*) from marts.data_quality where not passed and severity <> 'info'",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_chart_shows_the_number_of_its_mart(name: str, seen: Seen, superset: Superset) -> None:
    told, sql = CASES[name]
    chart = superset.charts[name]
    [(expected,)] = superset.mart(sql)
    assert expected
    assert float(told(seen.answers[chart])) == pytest.approx(float(expected), rel=1e-9)
    assert float(told(superset.rows(seen.asked[chart]))) == pytest.approx(float(expected), rel=1e-9)


def test_a_refresh_waits_for_no_dashboard_and_the_dashboard_shows_the_new_run(seen: Seen, superset: Superset) -> None:
    """Superset opens the file for each query (SQLAlchemy's NullPool), through the pointer: nothing is held open."""
    fresh = superset.charts["Data as of"]
    revenue = superset.charts["Orders by week: first and repeat"]
    before = published_run(superset.home)
    assert before is not None
    assert {row["run_id"] for row in superset.rows(seen.asked[fresh])} == {before.run_id}
    orders = _orders(superset.rows(seen.asked[revenue]))
    stop, runs, wrong = threading.Event(), set(), []

    def watch() -> None:
        while not stop.is_set():
            try:
                runs.update(row["run_id"] for row in superset.rows(seen.asked[fresh]))
                superset.rows(seen.asked[revenue])
            except Exception as error:  # told by the test, not by a thread nobody hears
                wrong.append(error)

    watchers = [threading.Thread(target=watch) for _ in range(3)]
    for watcher in watchers:
        watcher.start()
    with duckdb.connect(str(superset.home.warehouse)) as con:  # what a refresh holds while it works
        gone = "select order_key from marts.orders order by order_date desc, order_key limit 1"
        con.execute(f"delete from marts.orders where order_key = ({gone})")
    marts = [Mart(name, "marts") for name in before.row_counts]
    started = time.monotonic()
    after = publish(superset.home, marts, "the-next-run", before.as_of)
    took = time.monotonic() - started
    time.sleep(1.5)
    stop.set()
    for watcher in watchers:
        watcher.join(timeout=60)
    assert wrong == []
    assert took < 60
    assert runs == {before.run_id, after.run_id}
    assert {row["run_id"] for row in superset.rows(seen.asked[fresh])} == {after.run_id}
    assert _orders(superset.rows(seen.asked[revenue])) == orders - 1


def test_the_same_dashboards_show_the_same_rows_over_postgresql(seen: Seen, superset: Superset, server: Server) -> None:
    """Superset writes another dialect around the datasets' SQL there. Comes last: the charts change their database."""
    address = f"postgresql+psycopg2://{server.user}@{server.host}:{server.port}/{server.database}"
    packed = {"bundle": ("dashboards.zip", serve.bundle(address), "application/zip")}
    assert superset.api.post("/api/v1/assets/import/", files=packed).status_code == 200
    differ = {
        name: rows
        for name, chart in superset.charts.items()
        if len(rows := superset.rows(seen.asked[chart])) != len(seen.answers[chart])
    }
    assert differ == {}
    for name, (told, _) in CASES.items():
        chart = superset.charts[name]
        before, now = told(seen.answers[chart]), told(superset.rows(seen.asked[chart]))
        assert float(now) == pytest.approx(float(before), rel=1e-9), name


def _orders(rows: list[dict[str, Any]]) -> int:
    return int(sum(row["first_orders"] + row["repeat_orders"] for row in rows))

"""The report as people open it: Debian's chromium, from disk, without network.

Playwright rather than selenium: one package without a driver process, and it sees console, requests and colour scheme.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ritorno.home import Home
from ritorno.publishing import FILE_FOR_BI
from ritorno.report import numbers
from tests.report.conftest import ARTIFACTS, Opened
from tests.report.shop import AS_OF, bare_run, contracts, large_run

pytestmark = pytest.mark.slow
PAGES = (
    "index", "cohorts", "rfm", "lifecycle", "subscriptions", "value", "engagement", "experiments", "audiences",
)  # fmt: skip
Open = Callable[..., Opened]


@pytest.fixture
def ask(home: Home) -> Callable[[str], list[tuple[Any, ...]]]:
    """Rows of the published marts, asked apart from the report's own queries."""

    def rows(sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(home.published / FILE_FOR_BI), read_only=True) as con:
            return con.execute(sql).fetchall()

    return rows


def states(page: Opened) -> dict[str, str]:
    """Figure → drawn, drawing or empty."""
    found: dict[str, str] = page.page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('.chart')]"
        ".map(c => [c.closest('figure').id, c.dataset.state]))"
    )
    return found


@pytest.mark.parametrize("name", PAGES)
def test_every_chart_is_drawn_in_silence_and_nothing_is_asked_of_the_network(
    opened: Open, report: Path, name: str
) -> None:
    page = opened(name, offline=True)
    page.draw()
    drawn = states(page)
    assert set(drawn.values()) <= {"drawn"}, drawn
    marks = "document.querySelectorAll('.chart svg [class*=mark-] path, .chart svg [class*=mark-] line').length"
    assert page.page.evaluate(marks) >= 3 * len(drawn)
    assert page.said == []
    assert [url for url in page.asked if not url.startswith(report.resolve().parent.as_uri())
            and not url.startswith(report.as_uri())] == []  # fmt: skip
    problems = page.page.locator("figure > .empty:not([hidden])").all_inner_texts()
    assert not [text for text in problems if text.startswith("Not drawn")], problems


def _opens_light(opened: Open, report: Path) -> None:
    """Small, and of a heavy page only what is in sight drawn: what a time would say on every machine alike."""
    sizes = {path: path.stat().st_size for path in report.rglob("*") if path.is_file()}
    assert sum(sizes.values()) < 5_000_000, sizes
    page = opened("cohorts", folder=report)
    page.page.wait_for_function("document.querySelector('#retention_triangle .chart').dataset.state === 'drawn'")
    drawn, charts, marks = page.page.evaluate(
        "['.chart[data-state=drawn]', '.chart', '.chart svg [class*=mark-] :is(path, line)']"
        ".map(what => document.querySelectorAll(what).length)"
    )
    assert 0 < drawn < charts
    assert 0 < marks < 2_000


def test_the_set_is_below_five_megabytes_and_the_first_screen_is_drawn_alone(opened: Open, report: Path) -> None:
    _opens_light(opened, report)


def test_key_numbers_are_those_of_the_marts(opened: Open, ask: Callable[[str], list[tuple[Any, ...]]]) -> None:
    page = opened("index")
    since, until = AS_OF - timedelta(days=27), AS_OF
    revenue, orders, firsts = ask(
        f"select sum(net_revenue), count(*), count(*) filter (where order_number = 1 and customer_key is not null) "
        f"from marts.orders where order_date between '{since}' and '{until}'"
    )[0]
    assert page.number("net_revenue") == numbers.compact(revenue, "money", "EUR")
    assert page.number("orders") == f"{orders:,}"
    assert page.number("first_orders") == f"{firsts:,}"
    assert page.number("aov") == numbers.shown(float(revenue) / orders, "money", "EUR")
    (at_risk,) = ask("select count(*) from marts.customers where lifecycle_state = 'at_risk'")[0]
    assert page.number("at_risk") == f"{at_risk:,}"
    (entered,) = ask(
        f"select count(*) from marts.lifecycle_history where state = 'at_risk' and valid_from = '{AS_OF}'"
    )[0]
    assert page.number("became_at_risk") == f"{entered:,}"
    (retention,) = ask(
        "select retention_rate from marts.retention_rates where period_type = 'month' and cut = 'all' "
        f"and period_start = '{AS_OF.replace(day=1) - timedelta(days=1):%Y-%m-01}'"
    )[0]
    assert page.number("retention_rate") == numbers.shown(retention, "percent")
    (mrr,) = ask("select sum(mrr) from marts.subscriptions")[0]
    assert page.number("mrr") == numbers.compact(mrr, "money", "EUR")
    (value,) = ask("select sum(predicted_value_365d) from marts.customer_value")[0]
    assert page.number("predicted_value") == numbers.compact(value, "money", "EUR")


def test_tables_behind_the_charts_are_those_of_the_marts(
    opened: Open, ask: Callable[[str], list[tuple[Any, ...]]]
) -> None:
    def cells(sql: str, *kinds: Any) -> list[list[str]]:
        return [[numbers.shown(v, kind, "EUR") for v, kind in zip(row, kinds, strict=True)] for row in ask(sql)]

    cohorts = opened("cohorts")
    assert cohorts.table("retention_triangle") == cells(
        "select strftime(cohort_month, '%Y-%m'), cohort_size, period, eligible_customers, active_customers, retention, "
        "is_complete from marts.cohort_retention where cohort_type = 'calendar_month' and cut = 'all' and period > 0 "
        "order by cohort_month desc, period",
        "text", "int", "int", "int", "int", "percent", "yes_no",
    )  # fmt: skip
    rfm = opened("rfm")
    assert sorted(rfm.table("score_grid")) == sorted(
        cells(
            "select score_x, score_y, customers, share_of_customers, net_revenue, "
            "case when customers > 0 then cast(net_revenue as double) / customers end "
            "from marts.rfm_grid where metric_x = 'recency' and metric_y = 'frequency'",
            "int", "int", "int", "percent", "money", "money",
        )
    )  # fmt: skip
    bridge = opened("subscriptions").table("bridge")
    (month,) = ask("select max_by(struct_pack(o := opening, c := closing, n := new), month) from marts.mrr_monthly")[0]
    amounts = {row[1]: row[2] for row in bridge}
    assert [amounts["opening"], amounts["new"], amounts["closing"]] == [
        numbers.shown(month[key], "money", "EUR") for key in ("o", "n", "c")
    ]
    population = [row for row in opened("lifecycle").table("population") if row[0] == AS_OF.isoformat()]
    assert sorted(population) == sorted(
        [AS_OF.isoformat(), state.replace("_", " "), f"{count:,}"]
        for state, count in ask("select lifecycle_state, count(*) from marts.customers group by 1")
    )
    deciles = opened("value").table("deciles")
    assert [row[3] for row in deciles if row[2] == "so far"] == [
        row[0]
        for row in cells(
            "select sum(historic_value) from marts.customer_value where value_decile is not null "
            "group by value_decile order by value_decile",
            "money",
        )
    ]


def test_the_csv_has_the_rows_of_the_table(opened: Open, tmp_path: Path) -> None:
    page = opened("rfm")
    rows = page.table("net_moves")
    with page.page.expect_download() as download:
        page.page.locator("#net_moves button.csv").click()
    assert download.value.suggested_filename == f"rfm-net_moves-{AS_OF}.csv"
    download.value.save_as(tmp_path / "moves.csv")
    text = (tmp_path / "moves.csv").read_text(encoding="utf-8-sig").splitlines()
    assert text[0] == "month,segment,came,went,net"
    assert [line.split(",")[:2] for line in text[1:]] == [row[:2] for row in rows]


def test_a_filter_changes_chart_and_table_together(opened: Open, ask: Callable[[str], list[tuple[Any, ...]]]) -> None:
    page = opened("cohorts")
    page.draw()
    page.page.select_option("#filter-customers", "Account type: b2b")
    page.page.select_option("#filter-family", "30-day windows")
    expected = ask(
        "select strftime(cohort_month, '%Y-%m'), cohort_size from marts.cohort_retention "
        "where cohort_type = 'rolling_30d' and cut = 'account_type' and cut_value = 'b2b' and cohort_month is not null "
        "and period > 0 order by cohort_month desc, period"
    )
    assert [row[:2] for row in page.table("retention_triangle")] == [[month, f"{size:,}"] for month, size in expected]
    page.page.wait_for_function("document.querySelector('#retention_triangle .chart').dataset.state === 'drawn'")
    first = page.page.locator("#retention_triangle .chart svg").inner_html()
    assert f"{expected[0][0]} ({expected[0][1]})" in first
    assert page.said == []


def test_unfinished_cells_are_hatched_and_finished_ones_are_not(opened: Open) -> None:
    page = opened("cohorts")
    page.page.select_option("#filter-family", "30-day windows")
    page.draw()
    page.page.wait_for_function("document.querySelector('#retention_triangle .chart').dataset.state === 'drawn'")
    hatched = page.page.locator("#retention_triangle [fill='url(#unfinished)']").count()
    unfinished = [row for row in page.table("retention_triangle") if row[-1] == "no"]
    assert hatched == len(unfinished) > 0
    assert page.page.locator("#unfinished").count() == 1


def test_the_keyboard_alone_is_enough(opened: Open) -> None:
    page = opened("lifecycle").page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    box = page.evaluate(
        "(() => { const b = document.activeElement.getBoundingClientRect(); return [b.left, b.top] })()"
    )
    assert min(box) >= 0  # it shows itself
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"

    page.keyboard.press("Tab")  # from the content on, not through the navigation again
    assert page.evaluate("!!document.activeElement.closest('main')")
    seen = set()
    for _ in range(80):
        seen.add(
            page.evaluate("document.activeElement.tagName + '#' + (document.activeElement.closest('figure') || {}).id")
        )
        page.keyboard.press("Tab")
    assert {"SUMMARY#population", "BUTTON#population", "SELECT#flow"} <= seen

    page.locator("#population summary").focus()
    page.keyboard.press("Enter")
    assert page.locator("#population table caption").inner_text() == "Customers by lifecycle state, week by week"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_the_theme_switch_works_by_keyboard_holds_on_the_next_page_and_recolours_charts(opened: Open) -> None:
    opened_page = opened("index")
    page = opened_page.page
    opened_page.draw()
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.locator("input[name=theme][value=system]").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate(background) != light
    page.wait_for_function("document.querySelector('#revenue_by_week .chart').dataset.theme === 'dark'")
    page.locator("nav a", has_text="RFM").click()
    page.wait_for_function("document.querySelector('nav a[aria-current]').textContent === 'RFM'")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.wait_for_function("document.querySelector('input[name=theme]:checked').value === 'dark'")


@pytest.mark.parametrize("name", PAGES)
def test_no_page_scrolls_sideways_on_a_phone(opened: Open, name: str) -> None:
    page = opened(name, width=390)
    page.draw()
    assert page.page.evaluate("document.documentElement.scrollWidth") == 390
    small = page.page.evaluate(
        "[...document.querySelectorAll('main p, main td, main th, main a, nav a, main summary')]"
        ".filter(e => e.offsetParent && parseFloat(getComputedStyle(e).fontSize) < 12.5).map(e => e.textContent)"
    )
    assert small == []
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    page.page.screenshot(path=ARTIFACTS / f"{name}-phone.png", full_page=True)


AXE = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_barrier_in_the_dark_nor_in_the_light(opened: Open, axe: str, name: str) -> None:
    page = opened(name, dark=True, bypass_csp=True)
    page.draw()
    page.page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    page.page.wait_for_function("[...document.querySelectorAll('details .table')].every(t => t.firstChild)")
    # A row is like the next: axe looks at every cell, which is minutes for tables of hundreds.
    page.page.evaluate("document.querySelectorAll('tbody').forEach(b => [...b.rows].slice(8).forEach(r => r.remove()))")
    page.page.add_script_tag(content=axe)
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    for scheme in ("dark", "light"):
        page.page.emulate_media(color_scheme=scheme)
        red = int(re.findall(r"\d+", page.page.evaluate("getComputedStyle(document.body).backgroundColor"))[0])
        assert red < 40 if scheme == "dark" else red > 200
        # Inside the charts are marks hidden from screen readers; their contrast is counted in test_report.
        found = page.page.evaluate("rules => axe.run({exclude: [['.chart svg']]}, {runOnly: rules})", AXE)
        assert len(found["passes"]) > 20
        problems = [(item["id"], [node["html"][:160] for node in item["nodes"][:3]]) for item in found["violations"]]
        assert problems == [], json.dumps(problems, indent=1)
        page.page.screenshot(path=ARTIFACTS / f"{name}-{scheme}.png")


def test_pages_of_a_shop_without_any_data_say_so_in_words(opened: Open, tmp_path: Path) -> None:
    from ritorno.report.draw import write

    tables = {name: (types, []) for name, types in contracts().items()}
    told: list[str] = []
    write(bare_run(tmp_path, tables), told.append)
    assert told == []  # every query fits the contracts
    for name in PAGES:
        page = opened(name, folder=tmp_path / "report")
        page.draw()
        assert page.said == []
        assert all(page.page.locator("figure").nth(n).locator("p.empty, .table").count()
                   for n in range(page.page.locator("figure").count()))  # fmt: skip


def test_a_product_called_like_a_tag_stays_text(opened: Open, tmp_path: Path) -> None:
    from ritorno.report.draw import write

    types = contracts()
    row = {"check_key": "1", "check_name": "</script><script>document.title='owned'</script>", "system": "files",
           "subject": "<img src=x onerror=\"document.title='owned'\">", "checked": "=1+1", "severity": "warning",
           "passed": False, "rows_checked": 3, "rows_failed": 1, "rows_quarantined": 0}  # fmt: skip
    write(bare_run(tmp_path, {"data_quality": (types["data_quality"], [row])}))
    page = opened("index", folder=tmp_path / "report")
    page.draw()
    assert page.page.title().startswith("Overview")
    assert page.table("checks")[0][0].startswith("</script>")
    assert "'=1+1" in page.page.evaluate("ritornoReport.csv('checks')")  # a spreadsheet would run it as a formula


def test_ten_years_of_a_large_shop_make_pages_as_light(opened: Open, tmp_path: Path) -> None:
    from ritorno.report.draw import write

    told: list[str] = []
    write(large_run(tmp_path), told.append)
    assert told == []
    _opens_light(opened, tmp_path / "report")

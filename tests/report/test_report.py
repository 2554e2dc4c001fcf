"""What the report is made of, apart from a browser: numbers, colours, layouts, and what it does without data."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ritorno.home import Home
from ritorno.publishing import FILE_FOR_BI, MANIFEST, PublishedRun
from ritorno.report import charts, numbers, redraw, theme
from ritorno.report.draw import as_script, encode, prose, spark, write
from ritorno.report.figures import Column
from ritorno.report.marts import open_marts
from ritorno.report.pages import PAGES, audiences
from ritorno.report.pages.overview import WEEKS
from ritorno.report.squarify import Box, squarify
from tests.report.shop import AS_OF, bare_run, contracts


class TestNumbers:
    @pytest.mark.parametrize(
        ("value", "kind", "text"),
        [
            (None, "money", "–"),
            (1234, "int", "1,234"),
            (0.3366, "percent", "33.7%"),
            (Decimal("-1234.5"), "money", "−€1,234.50"),
            (Decimal("-0.001"), "money", "€0.00"),
            (date(2026, 6, 1), "month", "2026-06"),
            (True, "yes_no", "yes"),
        ],
    )
    def test_a_number_is_shown_with_its_unit(self, value: object, kind: str, text: str) -> None:
        assert numbers.shown(value, kind, "EUR") == text  # type: ignore[arg-type]

    def test_an_unknown_currency_is_its_code(self) -> None:
        assert numbers.shown(5, "money", "SEK") == "SEK 5.00"
        assert numbers.shown(5, "money", None) == "5.00"

    def test_a_change_has_its_sign_and_none_without_something_to_compare(self) -> None:
        assert numbers.change(-0.013, "points") == "−1.3 points"
        assert numbers.change(0.042, "percent") == "+4.2%"
        assert numbers.change(0, "difference") == "±0"
        assert numbers.relative_change(3, 0) is None
        assert numbers.relative_change(Decimal(3), Decimal(2)) == 0.5


class TestColours:
    """WCAG 2.2: text 4.5 (1.4.3), graphics and controls 3 (1.4.11)."""

    @pytest.mark.parametrize("palette", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
    def test_every_colour_stands_out_from_its_ground(self, palette: dict[str, str]) -> None:
        for text in ("text", "muted", "accent", "good", "bad", "alarm"):
            for ground in ("card", "page"):
                assert theme.contrast(palette[text], palette[ground]) >= 4.5, (text, ground)
        for mark in (*theme.CATEGORY, "control", "plus", "minus"):
            assert theme.contrast(palette[mark], palette["card"]) >= 3, mark

    @pytest.mark.parametrize("palette", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
    def test_a_number_in_a_heat_map_can_be_read_on_every_colour(self, palette: dict[str, str]) -> None:
        low, mid, high = (palette[f"heat_{end}"] for end in ("low", "mid", "high"))

        def mixed(one: str, other: str, share: float) -> str:
            parts = [(int(one[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5)]
            return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in parts)

        for step in range(101):
            at = step / 100
            ground = mixed(low, mid, at * 2) if at < 0.5 else mixed(mid, high, at * 2 - 1)
            text = palette["heat_text_high" if at > charts.TURN else "heat_text"]
            assert theme.contrast(ground, text) >= 4.5, at

    def test_charts_name_no_colour_that_a_theme_lacks(self, tmp_path: Path) -> None:
        with open_marts(bare_run(tmp_path, {})) as marts:
            specs = json.dumps([figure.spec for make in PAGES for figure in make(marts).figures()])
        tokens = set(re.findall(r'"@(\w+)"', specs))
        assert tokens >= {"blue", "heat_high"}
        assert tokens <= set(theme.LIGHT) & set(theme.DARK)
        assert not re.findall(r'"#[0-9a-fA-F]{3,6}"', specs)


class TestLayouts:
    @given(st.lists(st.integers(1, 10_000), min_size=1, max_size=12))
    def test_a_treemap_gives_everyone_their_area_inside_the_frame(self, sizes: list[int]) -> None:
        boxes = squarify([float(size) for size in sorted(sizes, reverse=True)], Box(0, 0, 100, 60))
        for size, box in zip(sorted(sizes, reverse=True), boxes, strict=True):
            assert box.width * box.height == pytest.approx(6000 * size / sum(sizes), rel=1e-6)
            assert min(box.x, box.y, 100 - box.x - box.width, 60 - box.y - box.height) >= -1e-6
        for one in boxes:
            for other in boxes:
                if one is not other:
                    wide = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
                    high = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
                    assert min(wide, high) < 1e-6

    def test_a_sparkline_keeps_its_gaps(self) -> None:
        assert spark((1.0, None, 3.0, 2.0)).count("M") == 2
        assert spark((1.0,)) == ""
        assert "nan" not in spark((5.0, 5.0))

    def test_rows_survive_their_encoding(self) -> None:
        columns = (Column("name", "Name"), Column("amount", "Amount", "money"), Column("share", "Share", "percent"))
        made = encode(columns, [("b", Decimal("1.50"), 1 / 3), (None, None, float("nan")), ("b", Decimal(2), 1.0)])
        assert made["columns"][0]["values"] == ["b"]
        assert made["values"] == [[0, None, 0], [1.5, None, 2], [0.333333333, None, 1.0]]

    def test_text_from_the_marts_can_neither_end_a_script_nor_become_a_tag(self) -> None:
        assert "<" not in as_script({"name": "</script><b>"})
        assert json.loads(as_script({"name": "</script>&"})) == {"name": "</script>&"}
        assert prose("`a < b`\n and <i>") == "<code>a &lt; b</code> and &lt;i&gt;"


class TestPages:
    def test_every_query_fits_the_contracts_of_the_marts_it_names(self, tmp_path: Path) -> None:
        types = contracts()
        with open_marts(bare_run(tmp_path, {name: (columns, []) for name, columns in types.items()})) as marts:
            for make in PAGES:
                for dataset in make(marts).datasets:
                    assert set(re.findall(r"marts\.(\w+)", dataset.sql)) - {"published_run"} <= set(dataset.marts)
                    if set(dataset.marts) <= set(types):
                        found = marts.con.execute(
                            dataset.sql, {"as_of": marts.as_of} if "$as_of" in dataset.sql else {}
                        ).description
                        names = [column.name for column in dataset.columns]
                        if dataset.derive is None:
                            assert [name for name, *_ in found or ()] == names

    def test_weeks_without_an_order_are_shown_as_zero_up_to_the_reports_day(self, tmp_path: Path) -> None:
        types = contracts()["orders"]

        def weeks(*ages: int) -> list[tuple[date, int, Decimal]]:
            rows = [
                {"order_key": f"files:{age}", "order_date": AS_OF - timedelta(days=age), "net_revenue": Decimal(10)}
                for age in ages
            ]
            with open_marts(bare_run(tmp_path / f"run-{ages}", {"orders": (types, rows)})) as marts:
                return [row[:3] for row in marts.con.execute(WEEKS.sql, {"as_of": AS_OF}).fetchall()]

        assert weeks(30, 15, 14) == [
            (AS_OF - timedelta(days=28), 1, Decimal(10)),
            (AS_OF - timedelta(days=21), 0, Decimal(0)),
            (AS_OF - timedelta(days=14), 2, Decimal(20)),
            (AS_OF - timedelta(days=7), 0, Decimal(0)),
            (AS_OF, 0, Decimal(0)),
        ]
        a_year = weeks(363, 364)  # the day before belongs to the week before
        assert (len(a_year), a_year[0]) == (52, (AS_OF - timedelta(days=357), 1, Decimal(10)))
        assert weeks() == []

    def test_every_figure_has_a_title_its_numbers_and_a_definition_that_dbt_knows(self, tmp_path: Path) -> None:
        types = contracts()
        with open_marts(bare_run(tmp_path, {})) as marts:
            pages = [make(marts) for make in PAGES]
        for page in pages:
            datasets = {dataset.key: dataset for dataset in page.datasets}
            for figure in page.figures():
                assert len(figure.title) > 10
                assert set(figure.shown) <= set(datasets[figure.dataset].names)
                assert figure.definitions or figure.key == "published_marts", figure.key
                for name in figure.definitions:
                    mart, column = name.split(".")
                    if mart in types:
                        assert column in types[mart], f"{page.key}, {figure.key}: {name}"
                for key in figure.filters:
                    item = next(item for item in page.filters if item.key == key)
                    assert item.column in datasets[figure.dataset].names

    def test_a_run_without_marts_is_a_report_that_says_so(self, tmp_path: Path) -> None:
        index = write(bare_run(tmp_path, {}))
        text = index.with_name("cohorts.html").read_text(encoding="utf-8")
        assert "Not there yet: this run has no mart cohort_retention." in text

    def test_a_mart_with_other_columns_costs_its_charts_and_is_told(self, tmp_path: Path) -> None:
        told: list[str] = []
        types = contracts()
        marts = {"cohort_retention": ({"cohort": "varchar"}, []), "rfm_grid": (types["rfm_grid"], [])}
        index = write(bare_run(tmp_path, marts), told.append)
        assert any("cohort_retention has other columns than this chart knows" in message for message in told)
        assert "Not drawn: cohort_retention" in index.with_name("cohorts.html").read_text(encoding="utf-8")
        assert "Not drawn" not in index.with_name("rfm.html").read_text(encoding="utf-8")

    def test_the_waterfall_of_the_last_send_goes_from_the_segment_to_those_handed_over(self, tmp_path: Path) -> None:
        runs = {"run_id": "varchar", "audience": "varchar", "status": "varchar", "started_at": "timestamp",
                "members": "bigint", "wanted": "bigint"}  # fmt: skip
        exclusions = {"run_id": "varchar", "audience": "varchar", "position": "integer", "reason": "varchar",
                      "detail": "varchar", "customers": "bigint"}  # fmt: skip
        old = {
            "run_id": "1",
            "audience": "win_back",
            "status": "done",
            "members": 9,
            "wanted": 9,
            "started_at": "2026-06-01",
        }
        new = old | {"run_id": "2", "status": "held", "members": 100, "wanted": 60, "started_at": "2026-06-02"}
        left_out = [
            {
                "run_id": "2",
                "audience": "win_back",
                "position": 1,
                "reason": "suppressed",
                "detail": "",
                "customers": 30,
            },
            {
                "run_id": "2",
                "audience": "win_back",
                "position": 2,
                "reason": "no_consent",
                "detail": "email",
                "customers": 10,
            },
            {
                "run_id": "1",
                "audience": "win_back",
                "position": 1,
                "reason": "suppressed",
                "detail": "",
                "customers": 5,
            },
        ]
        folder = bare_run(
            tmp_path, {"audience_runs": (runs, [old, new]), "audience_exclusions": (exclusions, left_out)}
        )
        with open_marts(folder) as marts:
            steps = marts.rows(audiences.WATERFALL.sql)
            assert [item.text for item in audiences.attention(marts)] == ["1 audience was held back by a guard."]
        assert [(row[2], row[4], row[6]) for row in steps] == [
            ("in the segment", 100, 0),
            ("suppressed", 30, 70),
            ("no consent", 10, 60),
            ("to be held", 60, 0),
        ]

    def test_a_report_that_cannot_be_drawn_is_told_and_holds_nothing_back(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from ritorno import pipeline

        class Told:
            def __init__(self) -> None:
                self.notes: list[str] = []

            def note(self, text: str) -> None:
                self.notes.append(text)

        def half_drawn(folder: Path, tell: object) -> None:
            (folder / "report").mkdir()
            raise OSError("no space left")

        run = Told()
        monkeypatch.setattr("ritorno.report.draw.write", half_drawn)
        pipeline._draw_report(run, tmp_path)  # type: ignore[arg-type]
        assert run.notes == ["the report could not be drawn (OSError: no space left); `ritorno report` tries again"]
        assert not (tmp_path / "report").exists()

    def test_amounts_are_in_the_currency_of_the_run(self, tmp_path: Path) -> None:
        text = write(bare_run(tmp_path, {})).read_text(encoding="utf-8")
        assert "amounts in GBP" in text
        assert '"symbol":"£"' in text


@pytest.mark.slow
class TestPublishedHome:
    def test_definitions_are_the_words_of_dbts_doc_blocks(self, report: Path) -> None:
        text = (report / "cohorts.html").read_text(encoding="utf-8")
        assert "Active customers whose period is over / eligible customers; null while nobody&#39;s is." in text
        for page in report.glob("*.html"):
            html = page.read_text(encoding="utf-8")
            assert "{{ doc(" not in html
            assert "{% docs" not in html

    def test_nobody_is_in_it(self, home: Home, report: Path) -> None:
        with duckdb.connect(str(home.published / FILE_FOR_BI), read_only=True) as con:
            keys = {key for (key,) in con.execute("select customer_key from marts.customers").fetchall()}
            orders = {key for (key,) in con.execute("select order_key from marts.orders").fetchall()}
            subscriptions = {
                key for (key,) in con.execute("select subscription_key from marts.subscriptions").fetchall()
            }
            companies = {c for (c,) in con.execute("select company from marts.customers where company > ''").fetchall()}
        assert keys
        for page in report.glob("*.html"):
            words = set(re.findall(r"[\w:.@-]+", page.read_text(encoding="utf-8")))
            assert not words & (keys | orders | subscriptions)
            assert not [word for word in words if "@" in word and "." in word]
            assert not [company for company in companies if company in page.read_text(encoding="utf-8")]

    def test_it_is_listed_in_the_runs_manifest_and_redrawing_keeps_that_true(self, home: Home) -> None:
        folder = home.published.resolve()

        def listed() -> PublishedRun:
            run = PublishedRun.read(folder)
            assert run is not None
            return run

        before = listed()
        assert "report/index.html" in before.sha256
        (folder / "report" / "index.html").write_text("spoiled", encoding="utf-8")
        assert redraw(home) == home.published / "report" / "index.html"
        assert listed() == before  # the same marts draw the same bytes
        assert (folder / MANIFEST).exists()

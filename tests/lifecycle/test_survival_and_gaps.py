"""Kaplan–Meier and the gap distribution against plain Python, and the published figures of two real shops."""

from __future__ import annotations

import itertools
import math
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.rfm.test_golden import DATA
from tests.support import Project
from tests.support.cdnow import insert_cdnow
from tests.support.examples import many

EXAMPLES = settings(max_examples=many(25), deadline=None, suppress_health_check=list(HealthCheck))
START = date(2024, 1, 1)
watches = st.lists(
    st.tuples(
        st.sampled_from(["second_order_day", "paused"]),
        st.sampled_from(["all", "x"]),
        st.integers(0, 12),
        st.booleans(),
    ),
    min_size=1,
    max_size=40,
)


@pytest.fixture(scope="module")
def project() -> Project:
    return Project.compile()


def survival_rows(project: Project, rows: list[tuple[str, str, int, bool]]) -> list[dict[str, Any]]:
    con = project.connect({})
    types = {
        "curve": "varchar",
        "cut_value": "varchar",
        "subject": "varchar",
        "t_days": "integer",
        "is_event": "boolean",
    }
    project.give(
        con,
        "int_survival__durations",
        types,
        [dict(zip(types, (c, v, str(n), t, e), strict=True)) for n, (c, v, t, e) in enumerate(rows)],
    )
    project.run(con, "survival", as_of=START, given=["int_survival__durations"])
    return project.query(con, "select * from marts.survival order by curve, cut_value, t_days")


@EXAMPLES
@given(watches)
def test_survival_is_the_product_of_those_who_stay(project: Project, rows: list[tuple[str, str, int, bool]]) -> None:
    found = survival_rows(project, rows)
    wanted = []
    for curve, value in sorted({(c, v) for c, v, _, _ in rows}):
        group = [(t, e) for c, v, t, e in rows if (c, v) == (curve, value)]
        left, variance, median = Fraction(1), Fraction(0), None
        for t in sorted({0, *(t for t, _ in group)}):
            at_risk = sum(other >= t for other, _ in group)
            events = sum(other == t and e for other, e in group)
            left *= Fraction(at_risk - events, at_risk)
            if events < at_risk:
                variance += Fraction(events, at_risk * (at_risk - events))
            if median is None and left <= Fraction(1, 2):
                median = t
            error = float(left) * math.sqrt(variance) if events < at_risk else None
            wanted.append((curve, value, t, at_risk, events, float(left), error))
        for row in found:
            if (row["curve"], row["cut_value"]) == (curve, value):
                assert row["median_days"] == median
    assert [
        tuple(row[name] for name in ("curve", "cut_value", "t_days", "at_risk", "events", "survival", "std_error"))
        for row in found
    ] == [tuple(pytest.approx(v, abs=1e-9) if isinstance(v, float) else v for v in row) for row in wanted]
    for row in found:
        if row["std_error"] is None:
            assert (row["survival"], row["ci_low"], row["ci_high"]) == (0, None, None)
        else:
            assert 0 <= row["ci_low"] <= row["survival"] <= row["ci_high"] <= 1


people = st.lists(st.sets(st.integers(0, 60), max_size=6), min_size=1, max_size=6)


def build_gaps(project: Project, shop: list[set[int]], as_of: int, model: str) -> duckdb.DuckDBPyConnection:
    con = project.connect({})
    lines = {"customer_key": "varchar", "business_line": "varchar", "first_seen_date": "date"}
    days = {"customer_key": "varchar", "order_date": "date", "previous_order_date": "date"}
    project.give(
        con,
        "int_lifecycle__lines",
        lines,
        [{"customer_key": str(n), "business_line": "b2b" if n % 3 == 0 else "b2c"} for n in range(len(shop))],
    )
    project.give(
        con,
        "int_customers__order_days",
        days,
        [
            {
                "customer_key": str(n),
                "order_date": START + timedelta(days=day),
                "previous_order_date": None if before is None else START + timedelta(days=before),
            }
            for n, orders in enumerate(shop)
            for before, day in itertools.pairwise([None, *sorted(orders)])
            if day is not None
        ],
    )
    given_models = ["int_lifecycle__lines", "int_customers__order_days"]
    project.run(con, model, as_of=START + timedelta(days=as_of), given=given_models)
    return con


@EXAMPLES
@given(people, st.integers(60, 70))
def test_each_days_silences_are_those_of_a_count_by_hand(project: Project, shop: list[set[int]], as_of: int) -> None:
    con = build_gaps(project, shop, as_of, "gap_distribution")
    found = project.query(con, "select * from marts.gap_distribution")
    seen = {(row["cut"], row["cut_value"]) for row in found}
    for cut, value in [("all", "all"), ("business_line", "b2b"), ("business_line", "b2c")]:
        orders = [sorted(o) for n, o in enumerate(shop) if o and (cut == "all" or (n % 3 == 0) == (value == "b2b"))]
        assert ((cut, value) in seen) == bool(orders)
        gaps = [b - a for days in orders for a, b in itertools.pairwise(days)]
        still = [as_of - days[-1] for days in orders]
        rows = {row["days"]: row for row in found if (row["cut"], row["cut_value"]) == (cut, value)}
        assert sorted(rows) == list(range(max([*gaps, *still], default=-1) + 1))
        for d, row in rows.items():
            later, pending = sum(g > d for g in gaps), sum(s >= d for s in still)
            counts = (gaps.count(d), sum(g <= d for g in gaps), len(gaps), later + pending, later, pending)
            assert counts == tuple(
                row[n] for n in ("gaps", "gaps_up_to", "all_gaps", "silences", "returned_later", "open_silences")
            )
            assert row["share_returned_later"] == (
                pytest.approx(later / (later + pending)) if later + pending else None
            )
        quantiles = con.execute(
            "select quantile_cont(gap, [0.5, 0.75, 0.9]) from (select unnest(cast(? as integer[])) as gap)", [gaps]
        ).fetchone()
        expected = [None] * 3 if quantiles is None or quantiles[0] is None else quantiles[0]
        for row in rows.values():
            shown = [row["median_days"], row["p75_days"], row["p90_days"]]
            assert shown == [None if v is None else pytest.approx(v) for v in expected]


@EXAMPLES
@given(people, st.integers(60, 70))
def test_a_customer_is_watched_to_the_second_order_day_or_to_as_of(
    project: Project, shop: list[set[int]], as_of: int
) -> None:
    con = build_gaps(project, shop, as_of, "int_survival__durations")
    found = set(con.execute("select subject, t_days, is_event from intermediate.int_survival__durations").fetchall())
    wanted = set()
    for n, orders in enumerate(shop):
        days = sorted(orders)
        if len(days) > 1:
            wanted.add((str(n), days[1] - days[0], True))
        elif days:
            wanted.add((str(n), as_of - days[0], False))
    assert found == wanted


needs_data = pytest.mark.skipif(DATA is None, reason="shared/data is not beside the repository")


def _real(project: Project, insert: str, as_of: str) -> duckdb.DuckDBPyConnection:
    con = project.connect({})
    con.execute(insert)
    # neither shop has interactions or subscriptions; the models for them are proved elsewhere
    without = {
        "int_engagement__interaction_days": {"customer_key": "varchar", "interaction_date": "date"},
        "int_subscriptions__live_spans": {"customer_key": "varchar", "live_from": "date", "live_to": "date"},
    }
    for model, types in without.items():
        project.give(con, model, types, [])
    project.run(con, "gap_distribution", "survival", "retention_rates", as_of=as_of, given=list(without))
    return con


@pytest.fixture(scope="module")
def retail() -> duckdb.DuckDBPyConnection:
    """Online Retail II as of its last day; the policy of its published figures."""
    policy = {"reporting_currency": "GBP", "business_timezone": "Europe/London"}
    insert = f"""
        insert into raw.online_retail__lines by name
        select
            * exclude (file_row_number),
            'online_retail.parquet' as _ritorno_file,
            file_row_number + 1 as _ritorno_line,
            1 as _ritorno_batch
        from read_parquet('{DATA}/online_retail_II_y2009_2010.parquet', file_row_number = true)
    """
    return _real(Project.compile(count_refunds=False, count_zero_orders=False, **policy), insert, "2010-12-09")


@needs_data
def test_retail_gaps_are_the_published_ones(retail: duckdb.DuckDBPyConnection) -> None:
    sql = """
        select distinct all_gaps, median_days, p75_days, p90_days from marts.gap_distribution where cut = 'all'
    """
    assert retail.execute(sql).fetchall() == [(12687, 28.0, 58.0, 113.0)]
    overall = """
        select gaps, median_days_between_orders, p75_days_between_orders, p90_days_between_orders
        from marts.retention_rates where period_type = 'overall' and cut = 'all'
    """
    assert retail.execute(overall).fetchall() == [(12687, 28.0, 58.0, 113.0)]


@needs_data
def test_retail_second_order_days_survive_as_published(retail: duckdb.DuckDBPyConnection) -> None:
    assert retail.execute("select sum(events), min(median_days) from marts.survival").fetchone() == (2818, 96)
    for day, share in {30: 0.80555, 90: 0.52038, 365: 0.14843}.items():
        row = retail.execute("select arg_max(survival, t_days) from marts.survival where t_days <= ?", [day]).fetchone()
        assert row is not None
        assert row[0] == pytest.approx(share, abs=5e-6)


@needs_data
def test_retail_repeat_buyers_and_second_orders_are_the_published_ones(retail: duckdb.DuckDBPyConnection) -> None:
    sql = """
        select repeat_customers, buying_customers, second_order_90d, followed_90d, orders
        from marts.retention_rates where period_type = 'overall' and cut = 'all'
    """
    assert retail.execute(sql).fetchone() == (2893, 4312, 1705, 3377, 19213)


@pytest.fixture(scope="module")
def cdnow() -> duckdb.DuckDBPyConnection:
    """The CDNOW 1/10 sample: each line an order."""
    return _real(Project.compile(), insert_cdnow(DATA), "1998-06-30")


@needs_data
def test_cdnow_repeat_share_and_gaps_are_the_published_ones(cdnow: duckdb.DuckDBPyConnection) -> None:
    sql = """
        select repeat_share, median_days_between_orders, p90_days_between_orders, orders, buying_customers
        from marts.retention_rates where period_type = 'overall' and cut = 'all'
    """
    row = cdnow.execute(sql).fetchone()
    assert row is not None
    assert row[0] == pytest.approx(0.48876, abs=5e-6)
    assert row[1:] == (34.0, 196.0, 6919, 2357)

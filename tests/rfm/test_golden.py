"""Published figures of two real shops (shared/data/README.md), through the whole of dbt's SQL."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ritorno.home import PROJECT_ROOT
from tests.support import Project
from tests.support.cdnow import insert_cdnow


def _shared_data() -> Path | None:
    given = os.environ.get("RITORNO_SHARED_DATA")
    places = [Path(given)] if given else [folder / "shared" / "data" for folder in PROJECT_ROOT.parents]
    return next((place for place in places if place.is_dir()), None)


DATA = _shared_data()
pytestmark = pytest.mark.skipif(DATA is None, reason="shared/data is not beside the repository")


def _without_predictions(project: Project, con: duckdb.DuckDBPyConnection) -> None:
    """`customers` shows predicted values too, which take a fit and have golden values of their own (tests/value)."""
    types = {
        "customer_key": "varchar",
        "value_status": "varchar",
        "p_alive": "double",
        "expected_orders_365d": "double",
    }
    types |= {"predicted_value_365d": "decimal(18,2)", "value_decile": "integer", "next_order_date_p50": "date"}
    project.give(con, "customer_value", types, [])


def _counts(con: duckdb.DuckDBPyConnection, sql: str) -> Mapping[Any, Any]:
    return dict(con.execute(sql).fetchall())


@pytest.fixture(scope="module")
def retail() -> duckdb.DuckDBPyConnection:
    """Online Retail II as of its last day, returns ignored, so monetary is before returns."""
    project = Project.compile(
        count_refunds=False,
        count_zero_orders=False,
        reporting_currency="GBP",
        business_timezone="Europe/London",
    )
    con = project.connect({})
    con.execute(f"""
        insert into raw.online_retail__lines by name
        select
            * exclude (file_row_number),
            'online_retail.parquet' as _ritorno_file,
            file_row_number + 1 as _ritorno_line,
            1 as _ritorno_batch
        from read_parquet('{DATA}/online_retail_II_y2009_2010.parquet', file_row_number = true)
    """)
    models = ("customers", "cohort_retention", "rfm_grid", "rfm_transitions", "int_customers__revenue_reconciliation")
    _without_predictions(project, con)
    project.run(con, *models, as_of="2010-12-09", given=["customer_value"])
    return con


def test_retail_scores_are_the_published_ones(retail):
    expected = {
        "r_score": [864, 864, 870, 901, 813],
        "f_score": [1419, 810, 525, 808, 750],
        "m_score": [863, 862, 863, 862, 862],
    }
    for score, counts in expected.items():
        actual = _counts(retail, f"select {score}, count(*) from marts.customer_rfm group by all")
        assert actual == dict(enumerate(counts, start=1)), score


def test_retail_segments_are_the_published_ones(retail):
    assert _counts(retail, "select rfm_segment, count(*) from marts.customer_rfm group by all") == {
        "about_to_sleep": 463,
        "at_risk": 400,
        "cant_lose_them": 66,
        "champions": 563,
        "hibernating": 1262,
        "loyal_customers": 722,
        "need_attention": 127,
        "new_customers": 76,
        "potential_loyalists": 461,
        "promising": 172,
    }


def test_retail_customers_and_repeat_buyers_are_the_published_ones(retail):
    sql = """
        select count(*), sum(orders), count(*) filter (where orders >= 2)
        from marts.customers where orders > 0
    """
    assert retail.execute(sql).fetchone() == (4312, 19213, 2893)
    # 8,832,003.27 summed at the unit prices' three decimals; orders are rounded to pence one by one
    (revenue,) = retail.execute("select sum(net_revenue) from marts.customers").fetchone()
    assert abs(float(revenue) - 8832003.27) < 0.02


def test_retail_rolling_windows_are_the_published_ones(retail):
    sql = """
        select period, [eligible_customers, active_customers] from marts.cohort_retention
        where cohort = 'pooled' and cut = 'all' and period in (1, 2, 3, 12)
    """
    assert _counts(retail, sql) == {1: [4037, 779], 2: [3687, 968], 3: [3377, 914], 12: [789, 402]}


def test_retail_second_orders_within_90_days_are_the_published_ones(retail):
    sql = """
        select
            count(*),
            count(*) filter (where second_order_date - first_order_date <= 90)
        from marts.customers where as_of_date - first_order_date >= 90
    """
    assert retail.execute(sql).fetchone() == (3377, 1705)


def test_retail_marts_show_one_revenue(retail):
    rows = retail.execute("""
        select mart from intermediate.int_customers__revenue_reconciliation
        where customers is distinct from expected_customers or net_revenue is distinct from expected_net_revenue
            or orders is distinct from expected_orders
    """).fetchall()
    assert rows == []


def test_retail_transitions_end_in_what_rfm_says_as_of_that_month_end(retail):
    """November by rescoring equals customer_rfm on the orders known by its last day."""
    rescored = _counts(
        retail,
        """
        select to_segment, cast(sum(customers) as bigint) from marts.rfm_transitions
        where month = '2010-11-01' group by all
        """,
    )
    # plain SQL windows instead of the histogram
    direct = _counts(
        retail,
        """
        with buyers as (
            select customer_key, max(order_date) as last_day, count(*) as orders
            from marts.orders where order_date <= '2010-11-30' and customer_key is not null group by all
        ),
        scored as (
            select
                5 * (rank() over (order by last_day) - 1) // count(*) over () + 1 as r_score,
                5 * (rank() over (order by orders) - 1) // count(*) over () + 1 as f_score
            from buyers
        )
        select rfm_segment, count(*) from scored join policy.rfm_segments_25 using (r_score, f_score) group by all
        """,
    )
    assert rescored == direct
    last = retail.execute("select max(month) from marts.rfm_transitions").fetchone()
    assert last == (date(2010, 11, 1),), "December isn't over on the 9th"


@pytest.fixture(scope="module")
def cdnow() -> duckdb.DuckDBPyConnection:
    """The CDNOW 1/10 sample as a canonical orders table: each line an order, order_id = its line number."""
    project = Project.compile()
    con = project.connect({})
    con.execute(insert_cdnow(DATA))
    _without_predictions(project, con)
    project.run(con, "customers", "cohort_retention", as_of="1998-06-30", given=["customer_value"])
    return con


def test_cdnow_repeat_share_is_the_published_one(cdnow):
    sql = "select count(*), sum(orders), count(*) filter (where orders >= 2) / count(*) from marts.customers"
    customers, orders, share = cdnow.execute(sql).fetchone()
    assert (customers, orders) == (2357, 6919)
    assert share == pytest.approx(0.48876, abs=5e-6)


def test_cdnow_gaps_between_order_days_are_the_published_ones(cdnow):
    sql = """
        with gaps as (
            select order_date - lag(order_date) over (partition by customer_key order by order_date) as gap
            from intermediate.int_customers__order_days
        )
        select quantile_cont(gap, 0.5), quantile_cont(gap, 0.9) from gaps
    """
    assert cdnow.execute(sql).fetchone() == (34, 196)


def test_cdnow_cohorts_are_its_three_months_and_complete(cdnow):
    """Everyone first bought in 1997's first quarter, and as-of ends a month: no cell is unfinished."""
    sql = """
        select cohort, count(*), min(cohort_size), bool_and(is_complete) from marts.cohort_retention
        where cohort_type = 'calendar_month' and cut = 'all' group by all order by all
    """
    rows = cdnow.execute(sql).fetchall()
    assert [(cohort, periods, complete) for cohort, periods, _, complete in rows] == [
        ("1997-01", 18, True),
        ("1997-02", 17, True),
        ("1997-03", 16, True),
    ]
    assert sum(size for _, _, size, _ in rows) == 2357

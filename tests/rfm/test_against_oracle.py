"""The SQL that ships against plain Python written from METRICS.md, on shops nobody would think of."""

from __future__ import annotations

import random
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.rfm import oracle
from tests.rfm.shop import Customer, LooseRefund, Order, Shop, run
from tests.support import Project
from tests.support.examples import many

FIRST_DAY = date(2023, 11, 20)
CATEGORIES = [None, "books", "tea", "toys"]
EXAMPLES = settings(max_examples=many(30), deadline=None, suppress_health_check=list(HealthCheck))

cents = st.integers(0, 5000).map(lambda n: Decimal(n) / 100)
# few distinct amounts, so that ties are the rule
amounts = st.one_of(st.sampled_from([Decimal("0.10"), Decimal("10.00"), Decimal("0.00"), Decimal("-3.00")]), cents)
days = st.integers(0, 200).map(lambda n: FIRST_DAY + timedelta(days=n))
keys = st.sampled_from([f"c{n}" for n in range(8)])  # few, so that customers come back


def _within(value):
    return pytest.approx(value, abs=1e-9) if isinstance(value, float) else value


@st.composite
def shops(draw: st.DrawFn) -> Shop:
    as_of = draw(st.one_of(days, st.sampled_from([date(2024, 2, 29), date(2024, 3, 31), date(2024, 4, 1)])))
    early = st.integers(0, (as_of - FIRST_DAY).days).map(lambda n: FIRST_DAY + timedelta(days=n))
    lines = st.lists(st.tuples(st.sampled_from(CATEGORIES), amounts), max_size=3)
    # left to itself hypothesis draws half a dozen orders, in which hardly anybody orders twice in a month
    size = draw(st.sampled_from([0, 6, 40, 40]))
    made = st.builds(Order, st.one_of(st.none(), keys, keys, keys), early, amounts, lines)
    orders = draw(st.lists(made, min_size=size, max_size=size))
    back = st.builds(LooseRefund, st.one_of(st.none(), keys, keys), early, cents)
    refunds = draw(st.lists(back, max_size=6))
    channels = st.sampled_from([None, "ads", "search"])
    countries = st.sampled_from([None, "DE", "AT"])
    account_types = st.sampled_from([None, "b2b"])
    customers = [Customer(f"c{n}", draw(channels), draw(countries), draw(account_types)) for n in range(8)]
    return Shop(as_of, orders, refunds, customers)


@pytest.mark.parametrize("monetary", ["total", "average"])
def test_every_score_and_segment_is_the_oracles(monetary):
    project = Project.compile(rfm_monetary=monetary)

    @EXAMPLES
    @given(shops())
    def check(shop):
        rows = run(project, shop, "customer_rfm")["customer_rfm"]
        expected = oracle.rfm(shop, monetary)
        assert {row["customer_key"]: {name: row[name] for name in expected[row["customer_key"]]} for row in rows} == (
            expected
        )

    check()


@EXAMPLES
@given(shops())
def test_transitions_are_the_whole_rfm_done_again_at_every_month_end(shop):
    rows = run(Project.compile(), shop, "rfm_transitions")["rfm_transitions"]
    actual = {(row["month"], row["from_segment"], row["to_segment"]): row["customers"] for row in rows}
    assert len(actual) == len(rows)
    assert actual == oracle.transitions(shop)


@EXAMPLES
@given(shops())
def test_every_cohort_cell_is_the_oracles(shop):
    rows = run(Project.compile(), shop, "cohort_retention")["cohort_retention"]
    expected = oracle.cohorts(shop)
    actual = {
        (row["cohort_type"], row["cohort_month"], row["period"], row["cut"], row["cut_value"]): row for row in rows
    }
    assert len(actual) == len(rows)
    assert actual.keys() == expected.keys()
    for key, cell in expected.items():
        shown = {name: actual[key][name] for name in cell}
        assert shown == {name: _within(value) for name, value in cell.items()}, key


@settings(EXAMPLES, max_examples=many(15))
@given(shops(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(shop: Shop, chance: random.Random):
    models = ("customer_rfm", "rfm_transitions", "customers")
    same_day_safe = sorted(shop.orders, key=lambda order: order.day)
    shuffled = list(shop.customers)
    chance.shuffle(shuffled)
    before = run(Project.compile(), Shop(shop.as_of, same_day_safe, shop.refunds, shop.customers), *models)
    after = run(Project.compile(), Shop(shop.as_of, shop.orders, shop.refunds[::-1], shuffled), *models)
    drop = {"first_category"}  # which of two orders of a day is the first is the mart orders' decision
    assert [{k: v for k, v in row.items() if k not in drop} for row in before["customers"]] == [
        {k: v for k, v in row.items() if k not in drop} for row in after["customers"]
    ]
    assert before["customer_rfm"] == after["customer_rfm"]
    assert before["rfm_transitions"] == after["rfm_transitions"]


@EXAMPLES
@given(shops())
def test_the_same_revenue_stands_in_every_mart(shop):
    rows = run(Project.compile(), shop, "int_customers__revenue_reconciliation")
    for row in rows["int_customers__revenue_reconciliation"]:
        assert row["customers"] == row["expected_customers"], row
        assert row["orders"] == row["expected_orders"], row
        assert row["net_revenue"] == row["expected_net_revenue"], row

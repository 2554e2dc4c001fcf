"""The SQL that ships against plain Python written from METRICS.md, on shops nobody would think of."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.products import oracle
from tests.products.shop import POLICY, Line, Order, Product, Shop, run
from tests.support.examples import many

AS_OF = date(2024, 3, 31)
EXAMPLES = settings(max_examples=many(25), deadline=None, suppress_health_check=list(HealthCheck))
PRODUCTS = [f"p{n}" for n in range(7)]
MODELS = ("product_repurchase", "product_affinity", "customer_recommendations")

# few distinct days, amounts and launches, so that ties are the rule; a launch at -1 is the day after as-of
days = st.one_of(st.sampled_from([0, 14, 15, 30, 45]), st.integers(0, 90)).map(lambda n: AS_OF - timedelta(days=n))
launches = st.sampled_from([30, 60, 0, -1, None]).map(lambda n: None if n is None else AS_OF - timedelta(days=n))
lines = st.builds(
    Line, st.sampled_from(PRODUCTS), st.sampled_from([1, 1, 1, 2, -1]), st.sampled_from([Decimal(1), Decimal("9.99")])
)
customers = st.sampled_from(["c0", "c1", "c2", "c3", None])


@st.composite
def habits(draw: st.DrawFn) -> list[Order]:
    """Somebody buys the same again and again: chance alone would seldom make an interval or a pair."""
    customer, bought = draw(customers), draw(st.lists(lines, min_size=1, max_size=3))
    gap, last = draw(st.sampled_from([10, 14, 15, 30])), draw(st.sampled_from([0, 10, 14, 15, 30]))
    times = draw(st.integers(2, 4))
    return [Order(customer, AS_OF - timedelta(days=last + gap * n), bought) for n in range(times)]


@st.composite
def shops(draw: st.DrawFn) -> Shop:
    products = [
        Product(
            key,
            draw(st.sampled_from(["alba", "gala", None])),
            draw(st.sampled_from(["tea", "tea", None])),
            draw(st.sampled_from([True, True, False, None])),
            draw(launches),
            draw(st.sampled_from([True, True, None, False])),
            draw(st.sampled_from([True, True, True, True, False])),
        )
        for key in PRODUCTS
    ]
    orders = draw(st.lists(st.builds(Order, customers, days, st.lists(lines, max_size=6)), max_size=12))
    for habit in draw(st.lists(habits(), min_size=5, max_size=9)):
        orders += habit
    tombstones = draw(st.sampled_from([frozenset[str](), frozenset({"c3"})]))
    return Shop(AS_OF, products, orders, tombstones)


def _within(value):
    return pytest.approx(float(value), abs=1e-9) if isinstance(value, float | Fraction) else value


def _assert_rows(actual, expected):
    assert actual.keys() == expected.keys()
    for key, row in expected.items():
        assert {name: actual[key][name] for name in row} == {name: _within(value) for name, value in row.items()}, key


@EXAMPLES
@given(shops())
def test_every_product_figure_and_recommendation_is_the_oracles(shop):
    rows = run(shop, *MODELS)
    _assert_rows({row["product_key"]: row for row in rows["product_repurchase"]}, oracle.repurchase(shop, POLICY))
    _assert_rows(
        {(row["product_key"], row["other_product_key"]): row for row in rows["product_affinity"]},
        oracle.affinity(shop, POLICY),
    )
    offered: dict[str, list[tuple[str, str, str]]] = {}
    for place, row in enumerate(sorted(rows["customer_recommendations"], key=lambda r: (r["customer_key"], r["rank"]))):
        one = offered.setdefault(row["customer_key"], [])
        one.append((row["product_key"], row["reason"], row["because_product_key"]))
        assert row["rank"] == len(one), place
    assert offered == oracle.recommendations(shop, POLICY)


@settings(EXAMPLES, max_examples=many(10))
@given(shops(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(shop: Shop, chance: random.Random):
    orders = [replace(order, lines=chance.sample(list(order.lines), len(order.lines))) for order in shop.orders]
    chance.shuffle(orders)
    products = chance.sample(list(shop.products), len(shop.products))
    assert run(shop, *MODELS) == run(Shop(shop.as_of, products, orders, shop.tombstones), *MODELS)


def test_a_basket_of_500_products_is_in_no_pair_and_is_counted():
    products = [Product(f"p{n:03}") for n in range(500)]
    small = [Order(None, AS_OF, [Line("p000"), Line("p001")]) for _ in range(3)]
    large = [Order("c0", AS_OF, [Line(product.key) for product in products]) for _ in range(3)]
    rows = run(Shop(AS_OF, products, [*small, *large]), "product_affinity", "int_products__basket_counts")
    affinity = rows["product_affinity"]
    assert {(row["product_key"], row["other_product_key"]) for row in affinity} == {("p000", "p001"), ("p001", "p000")}
    assert {(row["baskets"], row["large_baskets"], row["pair_orders"]) for row in affinity} == {(3, 3, 3)}
    assert rows["int_products__basket_counts"] == [
        {"system": "files", "baskets": 6, "counted_baskets": 3, "large_baskets": 3, "largest_basket": 500}
    ]


def test_a_shop_that_sold_nothing_has_empty_product_marts():
    assert run(Shop(AS_OF, [Product("p0")]), *MODELS) == {model: [] for model in MODELS}

"""Who is compared with whom: the running sums against plain Python that looks at every customer on every day."""

from __future__ import annotations

import random
from datetime import date, datetime, time, timedelta
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import Project
from tests.support.examples import many

START = date(2024, 1, 1)
AS_OF = START + timedelta(days=40)
WINDOW = 5
EXAMPLES = settings(max_examples=many(25), deadline=None, suppress_health_check=list(HealthCheck))
VARS = {"support_effect_days": WINDOW, "support_effect_min_controls": 2}
Shop = dict[str, tuple[list[int], list[int]]]  # customer → order days, ticket days; days since START


def _band(number: int) -> str:
    bounds = ((1, "1"), (2, "2"), (5, "3-5"), (10, "6-10"))
    return next((band for top, band in bounds if number <= top), "11+")


def _episodes(shop: Shop) -> list[tuple[str, int, int | None, int | None, str]]:
    """(customer, order day, next order day, day of the first ticket since, band)"""
    found = []
    for customer, (orders, tickets) in shop.items():
        for number, (day, following) in enumerate(pairwise([*orders, None]), start=1):
            since = [ticket for ticket in tickets if ticket >= day and (following is None or ticket < following)]
            found.append((customer, day, following, min(since, default=None), _band(number)))
    return found


def _quarter(day: int) -> tuple[int, int]:
    return (START + timedelta(days=day)).year, ((START + timedelta(days=day)).month - 1) // 3


def _bought(day: int, following: int | None, days_since: int) -> bool:
    return following is not None and day + days_since < following <= day + days_since + WINDOW


def _oracle(shop: Shop) -> dict[str, tuple[int, bool, int, int]]:
    episodes = _episodes(shop)
    last = (AS_OF - START).days
    expected = {}
    for customer, day, following, ticket, band in episodes:
        if ticket is None or ticket + WINDOW > last:
            continue
        since = ticket - day
        others = [
            _bought(start, after, since)
            for _, start, after, troubled, theirs in episodes
            if theirs == band
            and _quarter(start) == _quarter(day)
            and start + since + WINDOW <= last
            and (after is None or after - start > since)
            and (troubled is None or troubled - start > since)
        ]
        expected[f"{customer}:{ticket}"] = (since, _bought(day, following, since), len(others), sum(others))
    return expected


def _run(shop: Shop, *models: str) -> dict[str, list[dict]]:
    project = Project.compile(**VARS)
    con = project.connect({})
    days = [
        {"customer_key": customer, "order_date": START + timedelta(days=day)}
        for customer, (orders, _) in shop.items()
        for day in orders
    ]
    project.give(con, "int_customers__order_days", {"customer_key": "varchar", "order_date": "date"}, days)
    types = {
        "ticket_key": "varchar",
        "customer_key": "varchar",
        "opened_at": "timestamp",
        "opened_date": "date",
        "priority": "varchar",
        "is_first_response_breached": "boolean",
        "is_resolution_breached": "boolean",
    }
    tickets = [
        {
            "ticket_key": f"{customer}:{day}",
            "customer_key": customer,
            "opened_at": datetime.combine(START + timedelta(days=day), time(12)),
            "opened_date": START + timedelta(days=day),
            "priority": "low",
        }
        for customer, (_, written) in shop.items()
        for day in written
    ]
    project.give(con, "support_tickets", types, tickets)
    project.run(con, *models, as_of=AS_OF, given=("int_customers__order_days", "support_tickets"))
    return {model: project.query(con, f"select * from {project.relation(model)}") for model in models}


days = st.lists(st.integers(0, 40), unique=True, max_size=9).map(sorted)
shops = st.dictionaries(st.sampled_from([f"c{n}" for n in range(9)]), st.tuples(days, days.map(lambda d: d[:3])))


@EXAMPLES
@given(shops)
def test_each_ticket_is_compared_with_those_who_stood_where_its_customer_stood(shop):
    rows = _run(shop, "int_care__ticket_matches")["int_care__ticket_matches"]
    actual = {
        row["ticket_key"]: (
            row["days_since_order"],
            row["is_repurchased"],
            row["controls"],
            row["controls_repurchased"],
        )
        for row in rows
    }
    assert actual == _oracle(shop)
    assert all(row["is_matched"] == (row["controls"] >= 2) for row in rows)


def test_tickets_that_change_nothing_show_no_difference_as_often_as_they_should():
    """A placebo: tickets strike at random, so nine of ten 95 % intervals at least must hold 0."""
    held, shops_seen = 0, 40
    for seed in range(shops_seen):
        chance = random.Random(seed)
        shop: Shop = {}
        for customer in range(250):
            pace = chance.uniform(0.03, 0.25)
            orders = [day for day in range(36) if chance.random() < pace]
            shop[f"c{customer}"] = (orders, [day + chance.randint(0, 3) for day in orders if chance.random() < 0.15])
        (row,) = [row for row in _run(shop, "support_effect")["support_effect"] if row["cut"] == "all"]
        assert row["matched_tickets"] > 20
        held += row["difference_low"] <= 0 <= row["difference_high"]
    assert held >= 0.9 * shops_seen

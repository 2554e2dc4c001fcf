"""Coupons in the MRR, both ways in: for ever lowers it, once or for some months doesn't unless the policy says so."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.subscriptions.test_against_oracle import GIVEN
from tests.support import Project

BASE = {
    "subscription_id": "s", "customer_id": "customer-0", "status": "active", "started_at": "2024-01-01T10:00:00Z",
    "price": "30.00", "interval": "month", "quantity": "2",
}  # fmt: skip
QUARTER = {"discount_percent": "25"}
UNTIL = {"discount_ends_at": "2024-03-01T10:00:00Z"}
FULL, LESS = Decimal("60.00"), Decimal("45.00")


def mrr(
    row: dict[str, str], events: list[dict[str, str]] | None = None, policy: str = "forever"
) -> list[tuple[date, Any]]:
    """When the MRR became what."""
    project = Project.compile() if policy == "forever" else Project.compile(discounts_in_mrr=policy)
    logged = [{"subscription_id": "s", "event_id": f"e{n}", **event} for n, event in enumerate(events or [])]
    con = project.connect({"subscriptions": [{**BASE, **row}], "subscription_events": logged})
    for name, (types, rows) in GIVEN.items():
        project.give(con, name, types, rows)
    project.run(con, "subscription_states", as_of="2024-03-31", given=GIVEN)
    found: list[tuple[date, Any]] = []
    for state in project.query(con, "from marts.subscription_states order by valid_from"):
        if not found or found[-1][1] != state["mrr"]:
            found.append((state["valid_from"].date(), state["mrr"]))
    return found


def started(**coupon: str) -> dict[str, str]:
    return {"type": "activated", "occurred_at": "2024-01-01T10:00:00Z", **coupon}


def changed(**coupon: str) -> dict[str, str]:
    return {"type": "discount_changed", "occurred_at": "2024-02-01T10:00:00Z", **coupon}


@pytest.mark.parametrize("way", ["from the row", "from the log"])
@pytest.mark.parametrize(
    ("coupon", "expected"),
    [
        ({}, FULL),
        ({**QUARTER, "discount_duration": "forever"}, LESS),
        (QUARTER, LESS),
        ({**QUARTER, "discount_duration": "once"}, FULL),
        ({**QUARTER, "discount_duration": "months"}, FULL),
        ({**QUARTER, "discount_duration": "repeating", **UNTIL}, FULL),
        ({**QUARTER, **UNTIL}, FULL),
        ({**QUARTER, "discount_duration": "none"}, FULL),
        ({**QUARTER, "discount_duration": "whenever"}, FULL),
        ({"discount_amount": "5.50", "discount_duration": "forever"}, Decimal("54.50")),
        ({"discount_amount": "10", "discount_percent": "50", "discount_duration": "forever"}, Decimal("25.00")),
        ({"discount_amount": "99", "discount_duration": "forever"}, Decimal("0.00")),
        ({"discount_percent": "100.0", "discount_duration": "forever"}, Decimal("0.00")),
        ({"discount_percent": "33.3333", "discount_duration": "forever"}, Decimal("40.00")),
    ],
)
def test_a_coupon_for_ever_lowers_the_mrr_and_others_do_not(
    coupon: dict[str, str], expected: Decimal, way: str
) -> None:
    day = date(2024, 1, 1)
    found = mrr(coupon) if way == "from the row" else mrr({}, [started(**coupon)])
    assert found == [(day, expected)]


def test_no_coupon_lowers_it_where_the_policy_says_so() -> None:
    assert mrr({**QUARTER, "discount_duration": "forever"}, policy="none") == [(date(2024, 1, 1), FULL)]


def test_a_coupon_that_runs_lowers_it_while_it_runs_where_the_policy_says_so() -> None:
    first, second, end = date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1)
    months = {**QUARTER, "discount_duration": "months"}
    assert mrr({}, [started(**months, **UNTIL)], "running") == [(first, LESS), (end, FULL)]
    assert mrr({**months, **UNTIL}, policy="running") == [(first, LESS), (end, FULL)]
    # without an end it runs until another word; another coupon in its place has its own end
    assert mrr({}, [started(**months)], "running") == [(first, LESS)]
    again = changed(discount_percent="50", discount_duration="months", discount_ends_at="2024-03-11T10:00:00Z")
    found = mrr({}, [started(**months, **UNTIL), again], "running")
    assert found == [(first, LESS), (second, Decimal("30.00")), (date(2024, 3, 11), FULL)]
    assert mrr({}, [started(**QUARTER, discount_duration="once")], "running") == [(first, FULL)]
    # one that comes later doesn't keep it alive
    scheduled = changed(discount_percent="10", discount_duration="forever", effective_at="2024-03-11T10:00:00Z")
    found = mrr({}, [started(**months, **UNTIL), scheduled], "running")
    assert found == [(first, LESS), (end, FULL), (date(2024, 3, 11), Decimal("54.00"))]
    over = [started(**months, **UNTIL), {"type": "cancelled", "occurred_at": "2024-02-01T10:00:00Z"}]
    assert mrr({"status": "cancelled"}, over, "running") == [(first, LESS), (second, Decimal("0.00"))]
    # who comes back in its time has it still, who comes back after its end has not
    for day in (1, 11):
        back = {"type": "reactivated", "occurred_at": f"2024-03-{day:02}T10:00:00Z"}
        found = mrr({}, [*over, back], "running")
        assert found == [(first, LESS), (second, Decimal("0.00")), (date(2024, 3, day), FULL)]
    back = {"type": "reactivated", "occurred_at": "2024-02-11T10:00:00Z"}
    found = mrr({}, [*over, back], "running")
    assert found == [(first, LESS), (second, Decimal("0.00")), (date(2024, 2, 11), LESS), (end, FULL)]


def test_a_coupon_stays_until_another_word_of_it() -> None:
    first, second = date(2024, 1, 1), date(2024, 2, 1)
    forever = started(**QUARTER, discount_duration="forever")
    price = {"type": "price_changed", "occurred_at": "2024-02-01T10:00:00Z", "price": "40.00"}
    assert mrr({}, [forever, price]) == [(first, LESS), (second, Decimal("60.00"))]
    assert mrr({}, [forever, changed(discount_duration="none")]) == [(first, LESS), (second, FULL)]
    assert mrr({}, [started(), changed(**QUARTER)]) == [(first, FULL), (second, LESS)]

"""What the marts say of single histories, worked out by hand: one build of them all, each of a customer of its own."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from tests.subscriptions.test_against_oracle import GIVEN
from tests.support import Project

AS_OF = "2024-06-30"
START = ("activated", "01-01", {"price": "40"})
PLANS = {"small": "40", "large": "60"}
Said = tuple[str, str] | tuple[str, str, dict[str, str]]
HISTORIES: dict[str, list[Said]] = {
    "a trial that goes from months to years": [
        ("trial_started", "01-01", {"price": "120", "interval": "month"}),
        ("interval_changed", "01-05", {"interval": "year"}),
    ],
    "a trial billed every third month": [
        ("trial_started", "01-01", {"price": "120", "interval": "month"}),
        ("interval_changed", "01-05", {"interval_count": "3"}),
    ],
    "back on another plan": [
        ("activated", "01-01", {"plan_id": "small"}),
        ("expired", "02-01"),
        ("reactivated", "03-01", {"plan_id": "large"}),
    ],
    "back on the same plan at a price of its own": [
        ("activated", "01-01", {"plan_id": "small", "price": "35"}),
        ("expired", "02-01"),
        ("reactivated", "03-01", {"plan_id": "small"}),
    ],
    "paused without an end": [START, ("paused", "02-05")],
    "paused until next week": [START, ("paused", "06-20", {"effective_at": "07-07"})],
    "paused until the week after": [START, ("paused", "06-20", {"effective_at": "07-08"})],
    "resumed after ten days": [START, ("paused", "02-01"), ("resumed", "02-11")],
    "resumed on its date": [START, ("paused", "02-01", {"effective_at": "02-11"})],
    "cancelled while paused": [START, ("paused", "02-01"), ("cancelled", "02-05")],
    "leaving while paused": [START, ("cancel_scheduled", "02-01", {"effective_at": "08-01"}), ("paused", "02-05")],
    "stays after all": [START, ("cancel_scheduled", "02-01", {"effective_at": "08-01"}), ("cancel_withdrawn", "02-05")],
    "never paid": [("trial_started", "01-01", {"effective_at": "01-15"}), ("expired", "01-15")],
    "could not pay": [START, ("payment_failed", "02-01"), ("expired", "02-15")],
    "could not pay while paused": [START, ("payment_failed", "02-01"), ("paused", "02-03"), ("cancelled", "02-15")],
    "said that the payment failed": [START, ("cancelled", "02-15", {"reason": "payment_failed"})],
    "left": [START, ("cancelled", "02-15", {"reason": "too much coffee"})],
    "paid again and left": [START, ("payment_failed", "02-01"), ("payment_recovered", "02-03"), ("cancelled", "02-15")],
}


@pytest.fixture(scope="module")
def shop() -> duckdb.DuckDBPyConnection:
    project = Project.compile()
    rows, events = [], []
    for n, (name, history) in enumerate(HISTORIES.items()):
        rows.append({"subscription_id": name, "customer_id": f"customer-{n}", "status": "active",
                     "started_at": "2024-01-01T10:00:00Z", "price": "40", "interval": "month"})  # fmt: skip
        for position, (kind, day, *said) in enumerate(history):
            terms = {**said[0]} if said else {}
            if "effective_at" in terms:
                terms["effective_at"] = f"2024-{terms['effective_at']}T10:00:00Z"
            events.append({"event_id": f"{n}-{position}", "subscription_id": name, "type": kind,
                           "occurred_at": f"2024-{day}T10:00:00Z", **terms})  # fmt: skip
    plans = [{"plan_id": name, "price": price, "interval": "month"} for name, price in PLANS.items()]
    con = project.connect({"subscriptions": rows, "subscription_events": events, "plans": plans})
    for name, (types, given) in GIVEN.items():
        project.give(con, name, types, given)
    project.give(con, "int_customers__order_days", {"customer_key": "varchar", "order_date": "date"}, [])
    marts = ("subscription_states", "subscriptions", "subscription_pauses", "survival")
    project.run(con, *marts, as_of=AS_OF, given=(*GIVEN, "int_customers__order_days"))
    return con


def rows(shop: duckdb.DuckDBPyConnection, mart: str, name: str) -> list[dict[str, Any]]:
    found = Project.query(shop, f"from marts.{mart} order by all")
    return [row for row in found if row["subscription_key"] == f"files:{name}"]


def test_terms_that_change_while_nothing_is_paid_are_those_that_stand(shop: duckdb.DuckDBPyConnection) -> None:
    (yearly,) = rows(shop, "subscriptions", "a trial that goes from months to years")
    assert (yearly["state"], yearly["billing_interval"], yearly["interval_count"]) == ("trialing", "year", 1)
    (quarterly,) = rows(shop, "subscriptions", "a trial billed every third month")
    assert (quarterly["billing_interval"], quarterly["interval_count"]) == ("month", 3)


def test_another_plan_brings_its_price_by_whatever_event_and_the_same_plan_does_not(
    shop: duckdb.DuckDBPyConnection,
) -> None:
    (other,) = rows(shop, "subscriptions", "back on another plan")
    assert (other["plan"], other["mrr"], other["lives"]) == ("large", Decimal(60), 2)
    (same,) = rows(shop, "subscriptions", "back on the same plan at a price of its own")
    assert (same["plan"], same["mrr"], same["lives"]) == ("small", Decimal(35), 2)


@pytest.mark.parametrize(
    ("name", "is_due"),
    [
        ("paused without an end", False),
        ("paused until next week", True),
        ("paused until the week after", False),
        ("resumed on its date", False),
    ],
)
def test_who_resumes_within_seven_days_is_due_and_nobody_else(
    shop: duckdb.DuckDBPyConnection, name: str, is_due: bool
) -> None:
    (pause,) = rows(shop, "subscription_pauses", name)
    assert pause["is_due_within_7_days"] is is_due


def test_a_pause_that_ends_with_its_subscription_is_never_resumed(shop: duckdb.DuckDBPyConnection) -> None:
    curve = Project.query(shop, "from marts.survival where curve = 'pause_to_resume' order by t_days")
    # eight pauses; two resumed on day 10, six that began long before or after it were not
    found = [(row["t_days"], row["at_risk"], row["events"]) for row in curve if row["t_days"] <= 20]
    assert found == [(0, 8, 0), (10, 8, 2)]
    assert [row["survival"] for row in curve if row["t_days"] == 10] == [pytest.approx(6 / 8)]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("never paid", "expired"),
        ("could not pay", "involuntary"),
        ("could not pay while paused", "involuntary"),
        ("said that the payment failed", "involuntary"),
        ("left", "voluntary"),
        ("paid again and left", "voluntary"),
        ("cancelled while paused", "voluntary"),
        ("leaving while paused", None),
    ],
)
def test_the_kind_of_an_end_is_what_the_payments_say(
    shop: duckdb.DuckDBPyConnection, name: str, kind: str | None
) -> None:
    (found,) = rows(shop, "subscriptions", name)
    assert found["churn_kind"] == kind


def test_a_scheduled_end_stands_until_it_is_withdrawn(shop: duckdb.DuckDBPyConnection) -> None:
    (leaving,) = rows(shop, "subscriptions", "leaving while paused")
    assert (leaving["state"], leaving["cancels_on"], leaving["is_live"]) == ("paused", date(2024, 8, 1), True)
    (staying,) = rows(shop, "subscriptions", "stays after all")
    assert (staying["state"], staying["cancels_on"]) == ("active", None)
    (left,) = rows(shop, "subscriptions", "left")
    assert (left["ended_date"], left["cancel_reason"]) == (date(2024, 2, 15), "too much coffee")

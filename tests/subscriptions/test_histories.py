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
DAYS = {"customer_key": "varchar", "order_date": "date", "previous_order_date": "date"}
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
    "stays by coming back": [START, ("cancel_scheduled", "02-01", {"effective_at": "08-01"}), ("reactivated", "02-05")],
    "paused for 60 days": [START, ("paused", "05-01")],
    "paused for 61 days": [START, ("paused", "04-30")],
    "paused again": [
        START,
        ("paused", "02-01", {"effective_at": "02-20"}),
        ("paused", "02-05", {"effective_at": "03-01"}),
    ],
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
                     "started_at": "2024-01-01T10:00:00Z", "price": "40", "interval": "month",
                     "cancel_reason": "what the row says"})  # fmt: skip
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
    project.give(con, "int_customers__order_days", DAYS, [])
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
    assert (other["plan"], other["mrr"], other["lives"], other["ended_date"]) == ("large", Decimal(60), 2, None)
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
    # eleven pauses: two resumed on day 10, one on day 29; those that were cancelled by then are still at risk of it
    found = [(row["t_days"], row["at_risk"], row["events"]) for row in curve if row["events"]]
    assert found == [(10, 11, 2), (29, 7, 1)]
    assert [row["survival"] for row in curve if row["t_days"] == 10] == [pytest.approx(9 / 11)]


def test_a_lifetime_ends_with_the_first_life(shop: duckdb.DuckDBPyConnection) -> None:
    curve = Project.query(shop, "from marts.survival where curve = 'subscription_lifetime' order by t_days")
    ends = {row["t_days"]: row["events"] for row in curve if row["events"]}
    # never paid; back on either plan; cancelled while paused; the five who left in the middle of February
    assert ends == {14: 1, 31: 2, 35: 1, 45: 5}


def test_a_pause_is_too_long_from_its_61st_day(shop: duckdb.DuckDBPyConnection) -> None:
    pauses = {name: rows(shop, "subscription_pauses", f"paused for {name} days")[0] for name in ("60", "61")}
    assert {name: (pause["days_paused"], pause["is_paused_too_long"]) for name, pause in pauses.items()} == {
        "60": (60, False),
        "61": (61, True),
    }


def test_a_pause_that_is_said_again_ends_on_the_later_word(shop: duckdb.DuckDBPyConnection) -> None:
    (pause,) = rows(shop, "subscription_pauses", "paused again")
    found = (pause["paused_date"], pause["ended_date"], pause["expected_resume_date"], pause["resumed_on_date"])
    assert found == (date(2024, 2, 1), date(2024, 3, 1), date(2024, 3, 1), True)
    (said,) = rows(shop, "subscription_pauses", "resumed after ten days")
    assert (said["outcome"], said["resumed_on_date"]) == ("resumed", False)


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
    for name in ("stays after all", "stays by coming back"):
        (staying,) = rows(shop, "subscriptions", name)
        assert (staying["state"], staying["cancels_on"], staying["lives"]) == ("active", None, 1)
    (left,) = rows(shop, "subscriptions", "left")
    assert (left["ended_date"], left["cancel_reason"]) == (date(2024, 2, 15), "too much coffee")
    (silent,) = rows(shop, "subscriptions", "cancelled while paused")
    assert silent["cancel_reason"] == "what the row says"


def test_pauses_are_summed_by_length_reason_and_plan_and_rates_are_of_those_that_are_over() -> None:
    project = Project.compile()
    con = project.connect({})
    types = {"outcome": "varchar", "days_paused": "integer", "planned_days": "integer", "reason": "varchar",
             "plan": "varchar", "mrr_at_pause": "decimal(18, 2)", "is_paused_too_long": "boolean"}  # fmt: skip
    told = [
        ("resumed", 30, 30, "holiday", "small", 10, False), ("resumed", 20, 31, "holiday", None, 20, False),
        ("cancelled", 5, 60, None, "small", 40, False), ("paused", 61, 61, None, "small", 80, True),
        ("resumed", 4, None, None, "small", None, False), ("paused", 7, None, None, "small", 5, False),
    ]  # fmt: skip
    project.give(con, "subscription_pauses", types, [dict(zip(types, row, strict=True)) for row in told])
    project.run(con, "pause_outcomes", as_of=AS_OF, given=["subscription_pauses"])
    found = {(row["cut"], row["cut_value"]): row for row in Project.query(con, "from marts.pause_outcomes")}
    counts = {key: (row["pauses"], row["resumed"], row["lost"], row["still_paused"]) for key, row in found.items()}
    assert counts == {
        ("all", "all"): (6, 3, 1, 2),
        ("planned_length", "up to 30 days"): (1, 1, 0, 0),
        ("planned_length", "31 to 60 days"): (2, 1, 1, 0),
        ("planned_length", "over 60 days"): (1, 0, 0, 1),
        ("planned_length", "open end"): (2, 1, 0, 1),
        ("reason", "holiday"): (2, 2, 0, 0),
        ("reason", "none given"): (4, 1, 1, 2),
        ("plan", "small"): (5, 2, 1, 2),
        ("plan", "none"): (1, 1, 0, 0),
    }
    every = found["all", "all"]
    assert (every["resume_rate"], every["mean_days_to_resume"]) == (0.75, 18.0)
    assert (every["mrr_saved"], every["mrr_lost"], every["paused_too_long"]) == (Decimal(30), Decimal(40), 1)
    assert found["planned_length", "over 60 days"]["resume_rate"] is None

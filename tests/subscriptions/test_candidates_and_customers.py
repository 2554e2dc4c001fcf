"""Who is offered a subscription, what data_quality lists of logs that disagree, and subscribers among the customers."""

from __future__ import annotations

from typing import Any

from tests.subscriptions.test_against_oracle import GIVEN
from tests.support import Project

Rows = list[dict[str, Any]]


def candidates(bought: Rows, subscriptions: Rows, plans: Rows, suited: tuple[str, ...] = ("coffee", "tea")) -> Rows:
    """bought: customer, product, day, and perhaps quantity and subscription_key."""
    project = Project.compile()
    con = project.connect({})
    orders = [
        {"order_key": f"o{n}", "customer_key": b["customer"], "order_date": b["day"],
         "subscription_key": b.get("subscription_key")}
        for n, b in enumerate(bought)
    ]  # fmt: skip
    items = [
        {"order_key": f"o{n}", "product_key": f"files:{b['product']}", "quantity": b.get("quantity", 1)}
        for n, b in enumerate(bought)
    ]
    products = [
        {"product_key": f"files:{name}", "name": name, "is_subscription_candidate": name in suited,
         "typical_interval_days": 30, "subscription_score": 0.5}
        for name in ("coffee", "tea", "lamp")
    ]  # fmt: skip
    text = "varchar"
    given: dict[str, tuple[dict[str, str], Rows]] = {
        "orders": ({"order_key": text, "customer_key": text, "order_date": "date", "subscription_key": text}, orders),
        "order_items": ({"order_key": text, "product_key": text, "quantity": "bigint"}, items),
        "product_repurchase": (
            {"product_key": text, "name": text, "is_subscription_candidate": "boolean",
             "typical_interval_days": "integer", "subscription_score": "double"},
            products,
        ),
        "subscriptions": (
            {"subscription_key": text, "customer_key": text, "system": text, "plan": text, "is_live": "boolean"},
            [{"system": "files", "is_live": True, **row} for row in subscriptions],
        ),
        "int_identity__customers": (
            {"customer_key": text, "is_tombstone": "boolean"},
            [{"customer_key": name, "is_tombstone": name == "deleted"} for name in ("a", "b", "deleted")],
        ),
        "int_canonical__plans": (
            {"system": text, "plan_id": text, "product_id": text, "row_status": text},
            [{"system": "files", "row_status": "current", **row} for row in plans],
        ),
    }  # fmt: skip
    for name, (types, rows) in given.items():
        project.give(con, name, types, rows)
    project.run(con, "subscription_candidates", as_of="2024-03-31", given=given)
    return project.query(con, "from marts.subscription_candidates order by customer_key, offer_rank")


def twice(product: str, customer: str | None = "a", **more: Any) -> Rows:
    return [{"customer": customer, "product": product, "day": day, **more} for day in ("2024-01-01", "2024-02-01")]


def test_who_keeps_buying_a_product_that_suits_one_is_offered_it_with_the_next_date() -> None:
    (row,) = candidates([*twice("coffee", quantity=2), *twice("coffee", quantity=1)], [], [])
    assert (row["purchase_days"], row["quantity"], row["own_interval_days"]) == (2, 6, 31)
    assert str(row["expected_next_date"]) == "2024-03-03"
    assert row["typical_interval_days"] == 30


def test_nobody_is_offered_what_is_no_habit_or_suits_no_subscription() -> None:
    once = [{"customer": "a", "product": "coffee", "day": "2024-01-01"}] * 3
    assert candidates(once, [], []) == []
    assert candidates(twice("lamp"), [], []) == []
    assert candidates(twice("coffee", customer=None), [], []) == []
    assert candidates(twice("coffee", customer="deleted"), [], []) == []
    assert candidates(twice("coffee", quantity=-1), [], []) == []
    assert candidates(twice("coffee", subscription_key="files:s"), [], []) == []


def test_who_has_a_live_subscription_to_the_product_is_not_offered_it_again() -> None:
    plan = {"plan_id": "monthly", "product_id": "coffee"}
    live = {"customer_key": "a", "plan": "monthly"}
    assert candidates(twice("coffee"), [live], [plan]) == []
    offered = [
        ([{**live, "is_live": False}], [plan]),
        ([{**live, "customer_key": "b"}], [plan]),
        ([{**live, "customer_key": None}], [plan]),
        ([{**live, "system": "other"}], [plan]),
        ([live], [{**plan, "product_id": "tea"}]),
        ([live], [{**plan, "product_id": None}]),
        ([live], [{**plan, "row_status": "superseded"}]),
    ]
    for subscriptions, plans in offered:
        assert len(candidates(twice("coffee"), subscriptions, plans)) == 1, (subscriptions, plans)


def test_what_a_live_subscription_delivers_is_not_offered_though_no_plan_says_so() -> None:
    live = {"subscription_key": "files:s", "customer_key": "a", "plan": None}
    delivery = {"customer": "a", "product": "coffee", "day": "2024-03-01", "subscription_key": "files:s"}
    offered = candidates([*twice("coffee"), *twice("tea"), delivery], [live], [])
    assert [row["product_name"] for row in offered] == ["tea"]
    assert len(candidates([*twice("coffee"), delivery], [{**live, "is_live": False}], [])) == 1
    assert len(candidates([*twice("coffee"), delivery], [{**live, "subscription_key": "files:t"}], [])) == 1


def test_what_is_bought_most_often_is_offered_first() -> None:
    more = [*twice("tea"), {"customer": "a", "product": "tea", "day": "2024-03-01"}]
    rows = candidates([*twice("coffee"), *more], [], [])
    assert [(row["product_name"], row["offer_rank"]) for row in rows] == [("tea", 1), ("coffee", 2)]


def subscription(name: str, status: str, **more: str) -> dict[str, str]:
    row = {"subscription_id": name, "customer_id": "customer-0", "status": status, "price": "10", "interval": "month"}
    return {**row, "started_at": "2023-01-01T10:00:00Z", **more}


def test_a_status_that_says_otherwise_than_its_log_is_counted_and_listed_and_the_log_rules() -> None:
    project = Project.compile()
    rows = [subscription("right", "active"), subscription("wrong", "paused"), subscription("unlogged", "paused")]
    events = [
        {"event_id": name, "subscription_id": name, "type": "activated", "occurred_at": "2023-01-01T10:00:00Z"}
        for name in ("right", "wrong")
    ]
    con = project.connect({"subscriptions": rows, "subscription_events": events})
    for name, (types, given) in GIVEN.items():
        project.give(con, name, types, given)
    project.run(con, "int_subscriptions__checks", "subscriptions", as_of="2024-03-31", given=GIVEN)
    found = project.query(con, "from intermediate.int_subscriptions__checks where check_name like '%vs_log%'")
    counted, listed = sorted(found, key=lambda row: row["list_position"])
    assert (counted["rows_checked"], counted["rows_failed"], counted["passed"]) == (3, 1, False)
    assert (listed["item"], listed["why"]) == ("files:wrong", "states paused, its log active")
    states = {r["subscription_key"]: r["state"] for r in project.query(con, "from marts.subscriptions")}
    assert states == {"files:right": "active", "files:wrong": "active", "files:unlogged": "paused"}


def test_a_subscriber_is_not_at_risk_for_lack_of_orders_and_one_who_left_but_orders_is_not_lost() -> None:
    project = Project.compile(lifecycle_method="fixed")
    last_order = {"subscriber": "2023-02-01", "left": "2024-03-20", "gone": "2023-02-01", "resting": "2023-02-01"}
    orders = [
        {"order_id": f"{name}-1", "customer_id": name, "ordered_at": f"{day}T10:00:00Z", "total": "20"}
        for name, day in last_order.items()
    ]
    ended = {"cancelled_at": "2023-03-01T10:00:00Z"}
    subscriptions = [
        subscription("s1", "active", customer_id="subscriber"),
        subscription("s2", "cancelled", customer_id="left", **ended),
        subscription("s3", "cancelled", customer_id="gone", **ended),
        subscription("s4", "paused", customer_id="resting", pause_start="2023-12-01T10:00:00Z"),
    ]
    con = project.connect({"orders": orders, "subscriptions": subscriptions})
    project.run(con, "customers", as_of="2024-03-31")
    sql = """
        select ids.customer_id, customers.* from marts.customers as customers
        inner join intermediate.int_identity__customer_ids as ids using (customer_key)
    """
    found = {row["customer_id"]: row for row in project.query(con, sql)}
    assert {
        name: (row["is_at_risk"], row["is_churned"], row["has_active_subscription"]) for name, row in found.items()
    } == {
        "subscriber": (False, False, True),
        "left": (False, False, False),
        "gone": (False, True, False),
        "resting": (True, False, True),  # live, but paused for longer than pause_at_risk_after_days
    }

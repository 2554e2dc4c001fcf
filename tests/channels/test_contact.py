"""Who can be reached, how, and what they told us: raw rows through the whole project, one person per rule."""

from __future__ import annotations

from datetime import date
from functools import cache
from typing import Any

import pytest

from tests.support import Project

AS_OF = "2024-03-31"
MARTS = ("channel_engagement", "customer_preferences", "customer_journey", "int_preferences__customers")
MODELS = (*MARTS, "int_quality__crm_checks", "reviews", "product_reviews", "review_requests", "support_tickets")

# name → consent events (channel, status, day, more)
CONSENTS: dict[str, list[tuple[str, str, str, dict[str, Any]]]] = {
    "given": [("email", "given", "2024-01-01", {})],
    "never_asked": [],
    "withdrawn": [("email", "given", "2024-01-01", {}), ("email", "withdrawn", "2024-01-02", {})],
    "same_instant": [("email", "withdrawn", "2024-01-01", {}), ("email", "given", "2024-01-01", {})],
    "given_again": [("email", "withdrawn", "2024-01-01", {}), ("email", "given", "2024-01-02", {})],
    "expired": [("email", "given", "2024-01-01", {"expires_at": "2024-03-31 12:00"})],
    "ends_later": [("email", "given", "2024-01-01", {"expires_at": "2024-04-02"})],
    "expired_beats_older": [
        ("email", "given", "2024-01-01", {}),
        ("email", "given", "2024-01-02", {"expires_at": "2024-02-01"}),
    ],
    "other_purpose": [("email", "given", "2024-01-01", {"purpose": "service"})],
    "service_withdrawn": [
        ("email", "given", "2024-01-01", {}),
        ("email", "withdrawn", "2024-01-02", {"purpose": "service"}),
    ],
    "after_as_of": [("email", "given", "2024-04-01 12:00", {})],
    "unknown_status": [("email", "opted-in", "2024-01-01", {})],
    "by_account": [("email", "given", "2024-02-15", {"by_account": True})],
    "other_address": [("email", "given", "2024-01-01", {"email": "stranger@x.example"})],
    "sms_by_mail": [("sms", "given", "2024-01-01", {})],
    "push": [("push", "given", "2024-01-01", {})],
    "bounced": [("email", "given", "2024-01-01", {})],
    "bounced_then_delivered": [("email", "given", "2024-01-01", {})],
    "unsubscribed": [("email", "given", "2024-01-01", {})],
    "unsubscribed_then_given": [("email", "given", "2024-03-01", {})],
}
REACHABLE = {
    "given", "given_again", "ends_later", "service_withdrawn", "by_account", "push", "bounced_then_delivered",
    "unsubscribed_then_given",
}  # fmt: skip
CONSENTED = REACHABLE | {"bounced"}

# name → interactions (type, instant, more), of one campaign by e-mail
EVENTS: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
    "bounced": [("sent", "2024-02-01 10:00:00", {}), ("bounced", "2024-02-01 10:00:05", {})],
    "bounced_then_delivered": [
        ("sent", "2024-02-01 10:00:00", {}),
        ("bounced", "2024-02-01 10:00:05", {}),
        ("sent", "2024-02-02 10:00:00", {}),
        ("delivered", "2024-02-02 10:00:05", {}),
    ],
    "unsubscribed": [("unsubscribed", "2024-02-01 10:00:00", {})],
    "unsubscribed_then_given": [("unsubscribed", "2024-02-01 10:00:00", {})],
    # two messages of one campaign; the first opened twice by the person, the second only by machines
    "reader": [
        ("sent", "2024-02-01 10:00:00", {}),
        ("delivered", "2024-02-01 10:00:05", {}),
        ("opened", "2024-02-01 12:00:00", {}),
        ("opened", "2024-02-01 12:30:00", {}),
        ("clicked", "2024-02-01 12:31:00", {}),
        ("sent", "2024-02-08 10:00:00", {}),
        ("delivered", "2024-02-08 10:00:05", {}),
        ("opened", "2024-02-08 10:00:06", {}),
        ("opened", "2024-02-08 11:00:00", {"is_bot": True}),
        ("visited", "2024-03-01 12:00:00", {"channel": "web", "campaign_id": None}),
    ],
    # a delivery that nobody logged; an open two seconds after it is a person's
    "undelivered_reader": [("sent", "2024-02-01 10:00:00", {}), ("opened", "2024-02-01 10:00:02", {})],
    "orphan": [("clicked", "2024-02-01 10:00:00", {})],
    "asked": [
        ("review_request", "2024-03-01 10:00:00", {}),
        ("review_request", "2024-03-05 10:00:00", {}),
        ("review_request", "2024-03-20 10:00:00", {}),
        ("review_reply", "2024-03-12 10:00:00", {}),
    ],
    "likes_push": [
        ("sent", "2024-02-01 10:00:00", {}),
        ("clicked", "2024-02-01 11:00:00", {}),
    ],
}
PEOPLE = sorted({*CONSENTS, *EVENTS, "teller", "talker"})


def _raw() -> dict[str, list[dict[str, Any]]]:
    consents = []
    for name, events in CONSENTS.items():
        for channel, status, when, more in events:
            given = dict(more)
            who = {"customer_id": name} if given.pop("by_account", False) else {"email": f"{name}@x.example"}
            base = {"channel": channel, "status": status, "purpose": "Marketing", "occurred_at": when}
            consents.append({**who, **base, **given})
    interactions = []
    for name, touches in EVENTS.items():
        for kind, when, more in touches:
            base = {"customer_id": name, "channel": "email", "campaign_id": "spring", "type": kind, "occurred_at": when}
            interactions.append({"event_id": f"e{len(interactions)}", **base, **more})
    contacts = [
        ("likes_push", '{"newsletter": "weekly"}', "2024-01-01", "push"),
        ("teller", '{"newsletter": "weekly", "interests": ["tea", "tea pots"], "vegan": true}', "2024-01-01", None),
        ("teller", '{"newsletter": "never", "vegan": "yes", "hobby": "chess"}', "2024-02-01", None),
        ("talker", '["no", "object"]', "2024-02-01", None),
    ]
    return {
        "orders": [
            {"order_id": "o1", "ordered_at": "2024-02-20", "total": 10, "customer_id": "asked"},
            {"order_id": "o2", "ordered_at": "2024-03-25", "total": 30, "customer_id": "asked"},
        ],
        "order_items": [{"order_id": "o1", "product_id": "p", "quantity": 1, "unit_price": 10}],
        "refunds": [{"refund_id": "r1", "order_id": "o2", "refunded_at": "2024-03-26", "amount": 5}],
        "customers": [
            {"customer_id": name, "email": f"{name}@x.example", "created_at": "2023-06-01"} for name in PEOPLE
        ]
        # the address changed after the account's consent: the old one holds, the new one doesn't
        + [
            {"customer_id": "moved", "email": "old@x.example", "created_at": "2023-06-01", "updated_at": "2023-06-01"},
            {"customer_id": "moved", "email": "new@x.example", "created_at": "2023-06-01", "updated_at": "2024-03-01"},
        ],
        "consents": [
            *consents,
            {
                "customer_id": "moved",
                "channel": "email",
                "status": "given",
                "purpose": "marketing",
                "occurred_at": "2024-02-01",
            },
        ],
        "interactions": interactions,
        "crm_contacts": [
            {
                "contact_id": f"k{number}",
                "customer_id": name,
                "preferences": told,
                "created_at": when,
                "preferred_channel": channel,
            }
            for number, (name, told, when, channel) in enumerate(contacts)
        ],
        "reviews": [
            {"review_id": "w1", "customer_id": "asked", "product_id": "p", "rating": 1, "created_at": "2024-03-10"},
            {"review_id": "w2", "customer_id": "asked", "product_id": "p", "rating": 2, "created_at": "2024-03-15"},
            {
                "review_id": "w3",
                "email": "nobody@y.example",
                "product_id": "p",
                "rating": 5,
                "created_at": "2024-03-15",
            },
            {"review_id": "w4", "customer_id": "asked", "product_id": "p", "rating": 9, "created_at": "2024-03-15"},
        ],
        "support_tickets": [
            {"ticket_id": "t1", "customer_id": "asked", "opened_at": "2024-03-20 10:00", "priority": "High "},
            {"ticket_id": "t2", "customer_id": "asked", "opened_at": "2024-03-20 10:00", "priority": "odd", "csat": 9},
            {
                "ticket_id": "t3",
                "customer_id": "asked",
                "opened_at": "2024-03-20 10:00",
                "resolved_at": "2024-03-20 09:00",
            },
            {
                "ticket_id": "t4",
                "customer_id": "asked",
                "opened_at": "2024-03-28 10:00",
                "first_response_at": "2024-04-01 10:00",
                "resolved_at": "2024-04-02 10:00",
                "priority": "low",
            },
        ],
    }


@cache
def _world() -> dict[str, list[dict[str, Any]]]:
    project = Project.compile()
    con = project.connect(_raw())
    project.run(con, *MODELS, as_of=AS_OF)
    names = "select customer_id, customer_key from intermediate.int_identity__customer_ids"
    world = {}
    for model in MODELS:
        relation = project.relation(model)
        columns = [row[0] for row in con.execute(f"describe {relation}").fetchall()]
        if "customer_key" in columns:
            sql = f"select n.customer_id as name, m.* from {relation} m left join ({names}) n using (customer_key)"
        else:
            sql = f"select * from {relation}"
        world[model] = project.query(con, f"{sql} order by all")
    return world


@pytest.fixture(scope="module")
def world() -> dict[str, list[dict[str, Any]]]:
    return _world()


def _channels(world, name):
    return {row["channel"]: row for row in world["channel_engagement"] if row["name"] == name}


@pytest.mark.parametrize("name", [*CONSENTS, "moved"])
def test_reachable_is_who_consented_last_by_an_address_that_works(world, name):
    rows = _channels(world, name).values()
    assert any(row["is_reachable"] for row in rows) == (name in REACHABLE)
    assert any(row["has_consent"] for row in rows) == (name in CONSENTED)


def test_a_message_counts_once_and_machines_count_in_no_engagement(world):
    row = _channels(world, "reader")["email"]
    counts = {name: row[name] for name in ("sent", "delivered", "opened", "clicked", "engaged", "machine_events")}
    assert counts == {"sent": 2, "delivered": 2, "opened": 1, "clicked": 1, "engaged": 1, "machine_events": 2}
    assert row["engagement_rate"] == 0.5
    # three reactions at 12, 12 and 12 UTC are 13 o'clock in Berlin
    assert (row["best_hour"], row["best_hour_events"]) == (13, 3)
    assert _channels(world, "reader")["web"]["visits"] == 1


def test_who_reacts_has_got_the_message_and_reactions_to_nothing_are_in_no_rate(world):
    row = _channels(world, "undelivered_reader")["email"]
    assert (row["delivered"], row["engaged"], row["machine_events"]) == (1, 1, 0)
    orphan = _channels(world, "orphan")["email"]
    assert (orphan["sent"], orphan["delivered"], orphan["clicked"], orphan["engaged"]) == (0, 0, 1, 0)
    assert orphan["engagement_rate"] is None


def test_a_stated_preference_comes_before_behaviour(world):
    rows = _channels(world, "likes_push")
    assert (rows["push"]["preferred_rank"], rows["email"]["preferred_rank"]) == (1, 2)
    assert _channels(world, "reader")["email"]["preferred_rank"] == 1
    assert _channels(world, "reader")["web"]["preferred_rank"] is None


def test_the_latest_readable_word_rules_per_preference_and_the_unreadable_is_listed(world):
    (row,) = [row for row in world["int_preferences__customers"] if row["name"] == "teller"]
    assert (row["newsletter"], row["vegan"], row["interests"]) == ("never", True, '["tea","tea pots"]')
    items = [row["value_text"] for row in world["customer_preferences"] if row["preference"] == "interests"]
    assert items == ["tea", "tea pots"]
    checks = {(row["check_name"], row["item"]): row["rows_failed"] for row in world["int_quality__crm_checks"]}
    assert checks["preference_types", "vegan: text for boolean"] == 1
    assert checks["preference_names", "hobby"] == 1
    assert checks["review_scale", None] == 1
    assert checks["csat_scale", None] == 1
    assert checks["support_priorities", "odd"] == 1
    assert checks["support_ticket_times", None] == 1
    assert checks["consent_statuses", "opted-in"] == 1
    assert checks["consent_people", None] == 1


def test_reviews_know_their_purchase_and_who_waits_for_an_answer(world):
    rows = {row["review_id"]: row for row in world["reviews"]}
    assert set(rows) == {"w1", "w2", "w3"}
    assert [rows[key]["order_key"] for key in ("w1", "w2", "w3")] == ["files:o1", "files:o1", None]
    assert [rows[key]["answered_by"] for key in ("w1", "w2", "w3")] == ["interaction", "ticket", None]
    assert [rows[key]["is_awaiting_answer"] for key in ("w1", "w2", "w3")] == [False, False, False]
    (product,) = world["product_reviews"]
    assert (product["reviews"], product["rating_sum"], product["low_reviews"]) == (3, 8, 2)
    assert 1 <= product["mean_rating_low"] < 8 / 3 < product["mean_rating_high"] <= 5


def test_a_review_answers_the_last_request_before_it(world):
    assert [(row["outcome"], row["reviews"]) for row in world["review_requests"]] == [
        ("unanswered", 0) if row["request_date"].day == 1 else ("answered", 2) if row["request_date"].day == 5
        else ("waiting", 0)
        for row in world["review_requests"]
    ]  # fmt: skip


def test_tickets_as_of_know_nothing_later_and_an_unknown_priority_has_no_target(world):
    rows = {row["ticket_id"]: row for row in world["support_tickets"]}
    assert (rows["t1"]["priority"], rows["t1"]["status"]) == ("high", "waiting")
    assert rows["t1"]["is_first_response_breached"] is True
    assert (rows["t2"]["priority"], rows["t2"]["csat"]) == ("unknown", None)
    assert rows["t2"]["is_first_response_breached"] is None
    assert (rows["t3"]["priority"], rows["t3"]["status"]) == ("normal", "resolved")
    assert rows["t3"]["resolution_minutes"] == 0
    assert (rows["t4"]["status"], rows["t4"]["is_open"]) == ("waiting", True)
    # Thursday 11:00 to 17:00 is all there was: Good Friday is closed, then comes the weekend
    assert rows["t4"]["first_response_minutes"] == 360
    assert rows["t4"]["is_first_response_breached"] is None


def test_a_journey_is_in_order_and_worth_the_net_revenue(world):
    steps = [row for row in world["customer_journey"] if row["name"] == "asked"]
    assert [row["touchpoint_number"] for row in steps] == list(range(1, len(steps) + 1))
    assert [row["occurred_at"] for row in steps] == sorted(row["occurred_at"] for row in steps)
    assert steps[0]["touchpoint"] == "first_contact"
    assert sum(row["amount"] or 0 for row in steps) == 35
    told = " ".join(str(value) for row in world["customer_journey"] for value in row.values() if row["name"] != value)
    assert "@" not in told


def test_with_orders_alone_every_mart_of_the_crm_is_there_typed_and_empty():
    project = Project.compile()
    con = project.connect({"orders": _raw()["orders"]})
    empty = {
        "support_tickets", "support_sla", "support_effect", "reviews", "product_reviews", "review_requests",
        "review_rates", "channel_engagement", "customer_preferences",
    }  # fmt: skip
    project.run(con, *empty, "customer_journey", as_of=AS_OF)
    counts = {m: con.execute(f"select count(*) from {project.relation(m)}").fetchone() for m in empty}
    assert counts == dict.fromkeys(empty, (0,))
    journey = con.execute(
        "select touchpoint, count(*) from marts.customer_journey group by all order by all"
    ).fetchall()
    assert journey == [("first_contact", 1), ("order", 2)]


def test_a_change_of_loyalty_tier_is_told_at_the_end_of_its_day_and_joining_is_not():
    project = Project.compile()
    con = project.connect({"orders": _raw()["orders"]})
    project.run(con, "int_identity__customers", as_of=AS_OF)
    (key, day), *_ = con.execute(
        "select customer_key, cast(first_seen_at as date) from intermediate.int_identity__customers order by all"
    ).fetchall()
    stays = [
        {"customer_key": key, "stay_number": 1, "tier": "basic", "valid_from": day, "cause": "joined"},
        {"customer_key": key, "stay_number": 2, "tier": "gold", "previous_tier": "basic", "valid_from": day,
         "cause": "upgraded"},
        {"customer_key": key, "stay_number": 3, "tier": "silver", "previous_tier": "gold", "valid_from": AS_OF,
         "cause": "downgraded"},
    ]  # fmt: skip
    types = {"customer_key": "varchar", "stay_number": "bigint", "tier": "varchar", "previous_tier": "varchar",
             "valid_from": "date", "cause": "varchar"}  # fmt: skip
    project.give(con, "loyalty_tier_history", types, stays)
    project.run(con, "customer_journey", as_of=AS_OF, given=["loyalty_tier_history"])
    told = con.execute(
        "select touchpoint, detail, touchpoint_date from marts.customer_journey where customer_key = ? "
        "order by touchpoint_number",
        [key],
    ).fetchall()
    changes = [row[1:] for row in told if row[0] == "tier_changed"]
    assert changes == [("upgraded to gold", day), ("downgraded to silver", date.fromisoformat(AS_OF))]
    # earned by an order of that day, so told after it
    assert [row[0] for row in told if row[2] == day][-1] == "tier_changed"

"""The snapshot way against the event way: METRICS.md promises the same at day grain for histories seen from the start.

The shop's table is played from the log: what it would show at the close of each day, as plain rows. From the rows a
plain history of versions is made (no SQL), which is what dbt's snapshot keeps; the shipped SQL does the rest.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.subscriptions.oracle import ENDS, Event, Machine, Policy, Terms, business_day, close_of, keep_book
from tests.subscriptions.test_against_oracle import GIVEN, KEYS, PLANS, RATES
from tests.support import Project
from tests.support.examples import many

START = date(2024, 1, 10)
LAST = date(2024, 3, 20)
CHECKED = (
    "today_status", "plan_id", "price", "billing_interval", "interval_count", "quantity", "currency", "trial_end",
    "pause_start", "pause_end", "cancel_at", "cancelled_at", "ended_at",
)  # fmt: skip
TYPES = {
    "subscription_key": "varchar", "system": "varchar", "subscription_id": "varchar", "customer_id": "varchar",
    "today_status": "varchar", "plan_id": "varchar", "price": "decimal(18, 4)", "billing_interval": "varchar",
    "interval_count": "bigint", "quantity": "bigint", "currency": "varchar", "discount_amount": "decimal(18, 4)",
    "discount_percent": "decimal(18, 4)", "discount_duration": "varchar", "discount_ends_at": "timestamp",
    "started_at": "timestamp", "trial_end": "timestamp", "pause_start": "timestamp", "pause_end": "timestamp",
    "cancel_at": "timestamp", "cancelled_at": "timestamp", "ended_at": "timestamp", "updated_at": "timestamp",
    "cancel_reason": "varchar", "dbt_valid_from": "timestamp", "dbt_valid_to": "timestamp",
}  # fmt: skip
MODELS = ("subscription_states", "mrr_movements", "subscription_pauses", "int_subscriptions__quarantined_events")
Row = dict[str, Any]


def machine(log: Sequence[Event], currency: str, as_of: date) -> Machine:
    terms = Terms(None, None, None, 1, 1, as_of)
    told = Machine(PLANS, RATES if currency == "USD" else None, Policy(), as_of, terms)
    told.live_through(log)
    return told


def walk(rng: random.Random, number: int) -> list[Event]:
    """A history in which a day changes one thing, and the table can show it."""
    at = datetime.combine(START + timedelta(days=rng.randrange(10)), time(9))
    trial = rng.random() < 0.3
    ends = at + timedelta(days=14)
    first = {"price": Decimal("20.00"), "interval": rng.choice(["month", "year", "week"]), "count": 1, "quantity": 1}
    log = [Event(f"e{number}-0", "trial_started" if trial else "activated", at, 0, ends if trial else None, **first)]
    for position in range(1, rng.randrange(2, 12)):
        at += timedelta(days=rng.choice([1, 1, 2, 3, 6]), hours=rng.choice([0, 0, 2]))
        if at.hour > 18:
            at = at.replace(hour=9)
        state = close_of(machine(log, "EUR", business_day(at) - timedelta(days=1)).intervals(), business_day(at))[0]
        event = step(rng, f"e{number}-{position}", state or "active", at)
        if one_thing_a_day([*log, event]):
            log.append(event)
    return log


def step(rng: random.Random, name: str, state: str, at: datetime) -> Event:
    changes = ("price_changed", "interval_changed", "quantity_changed", "plan_changed")
    ahead = at + timedelta(days=rng.randrange(2, 15), hours=rng.choice([0, 3]))
    likely = {
        "trialing": ("activated", "cancelled", "payment_failed", "cancel_scheduled", "paused"),
        "active": (
            "paused", "paused", "pause_scheduled", "pause_withdrawn", "payment_failed", "cancel_scheduled",
            "cancel_withdrawn", "cancelled", "expired", *changes,
        ),
        "past_due": ("payment_recovered", "cancelled", "expired", "price_changed", "renewed"),
        "paused": ("resumed", "resumed", "cancelled", "price_changed", "paused", "cancel_scheduled"),
        "cancelled": ("reactivated",),
        "expired": ("reactivated",),
    }  # fmt: skip
    kind = rng.choice(likely[state])
    effective = None
    if kind in ("pause_scheduled", "cancel_scheduled") or (kind == "paused" and rng.random() < 0.5):
        effective = ahead
    terms: dict[str, Any] = {}
    if kind in ("price_changed", "resumed", "reactivated") and rng.random() < 0.8:
        terms = {"price": Decimal(rng.choice(["12.99", "20.00", "7.3333"]))}
    if kind == "interval_changed":
        terms = {"interval": rng.choice(["month", "year"]), "count": rng.choice([1, 2])}
    if kind == "quantity_changed":
        terms = {"quantity": rng.randrange(1, 4)}
    if kind == "plan_changed":
        terms = {"plan": rng.choice(list(PLANS))}
    return Event(name, kind, at, 0, effective, **terms)


def one_thing_a_day(log: Sequence[Event]) -> bool:
    """What is said and what comes into force by itself: never two on one day, nor underneath a pause."""
    told = machine(log, "EUR", LAST)
    days = [business_day(event.at) for event in log]
    days += [business_day(event.effective) for event in log if event.effective and event.type != "trial_started"]
    if told.refused or len(set(days)) < len(days):
        return False
    return not any(
        close_of(told.intervals(), business_day(event.at) - timedelta(days=1))[0] == "paused"
        for event in log
        if event.type in ("activated", "payment_failed", "payment_recovered", "renewed")
    )


def table_row(name: str, customer: str, currency: str, log: Sequence[Event], day: date) -> Row | None:
    """What the shop's table shows of a subscription at the close of a day."""
    told = machine(log, currency, day)
    if not told.points:
        return None
    intervals = told.intervals()
    state, since = intervals[-1].state, intervals[-1].start
    until = told.until if told.paused else None
    ended = since if state in ENDS else None
    return {
        "subscription_key": f"files:{name}", "system": "files", "subscription_id": name, "customer_id": customer,
        "today_status": state, "plan_id": told.terms.plan, "price": told.terms.price,
        "billing_interval": told.terms.interval, "interval_count": told.terms.count, "quantity": told.terms.quantity,
        "currency": currency, "started_at": intervals[0].start,
        "trial_end": log[0].effective if state == "trialing" else None,
        "pause_start": told.pauses[-1].start if told.paused else told.pause_on, "pause_end": until,
        "cancel_at": told.cancel_on, "ended_at": ended, "cancelled_at": ended,
    }  # fmt: skip


def versions(daily: Mapping[date, Mapping[str, Row]]) -> list[Row]:
    """What a snapshot keeps of the rows of each day."""
    kept: list[Row] = []
    open_rows: dict[str, Row] = {}
    for day in sorted(daily):
        stamp = datetime.combine(day, time())
        for key, row in daily[day].items():
            old = open_rows.get(key)
            if old is not None and all(old.get(c) == row.get(c) for c in CHECKED):
                continue
            if old is not None:
                old["dbt_valid_to"] = stamp
            open_rows[key] = {**row, "dbt_valid_from": stamp, "dbt_valid_to": None}
            kept.append(open_rows[key])
        for key in set(open_rows) - set(daily[day]):
            open_rows.pop(key)["dbt_valid_to"] = stamp
    return kept


def days_of(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def seen(project: Project, daily: Mapping[date, Mapping[str, Row]], as_of: date) -> Any:
    """The warehouse of a shop whose table was looked at on these days."""
    today = daily[as_of].values()
    raw_names = {"today_status": "status", "billing_interval": "interval"}
    raw = [{raw_names.get(c, c): v for c, v in row.items() if c not in ("subscription_key", "system")} for row in today]
    plans = [{"plan_id": name, "price": price, "interval": "month"} for name, price in PLANS.items()]
    rates = [
        {"date": day, "from_currency": "USD", "to_currency": "EUR", "rate": f"{float(rate):.2f}"}
        for day, rate in RATES.items()
    ]
    con = project.connect({"subscriptions": raw, "plans": plans, "exchange_rates": rates})
    for name, (types, rows) in GIVEN.items():
        project.give(con, name, types, rows)
    project.give(con, "subscriptions_history", TYPES, versions(daily))
    project.run(con, *MODELS, as_of=as_of, given=[*GIVEN, "subscriptions_history"])
    return con


def closes(project: Project, con: Any, days: Sequence[date]) -> dict[tuple[str, date], tuple[Any, ...]]:
    """State, MRR, paused MRR and whether it is inferred, at each close."""
    found: dict[tuple[str, date], tuple[Any, ...]] = {}
    rows = project.query(con, "select * from intermediate.int_subscriptions__intervals order by valid_from")
    for row in rows:
        assert row["money_problem"] is None
        for day in days:
            if row["from_date"] <= day and (row["to_date"] is None or day < row["to_date"]):
                name = row["subscription_key"].removeprefix("files:")
                assert (name, day) not in found, "one state at a close"
                found[name, day] = (row["state"], row["mrr"], row["paused_mrr"], row["is_inferred"])
    return found


@settings(max_examples=many(25), deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 6), back=st.integers(0, 30))
def test_histories_seen_daily_from_the_start_equal_the_event_way_at_day_grain(seed: int, size: int, back: int) -> None:
    project = Project.compile()
    rng = random.Random(seed)
    logs = {
        f"s{n}": (rng.choice(["customer-0", "customer-1"]), rng.choice(["EUR", "USD"]), walk(rng, n))
        for n in range(size)
    }
    as_of = LAST - timedelta(days=back)
    days = days_of(START, as_of)
    daily = {
        day: {name: row for name, log in logs.items() if (row := table_row(name, *log, day)) is not None}
        for day in days
    }
    con = seen(project, daily, as_of)
    told = {name: machine(log, currency, as_of) for name, (_, currency, log) in logs.items()}
    machines = {name: one.intervals() if one.points else [] for name, one in told.items()}
    expected = {
        (name, day): (*close_of(intervals, day), False)
        for name, intervals in machines.items()
        for day in days
        if close_of(intervals, day)[0] is not None
    }
    found = closes(project, con, days)
    for key in expected | found:
        assert found.get(key) == expected.get(key), (key, logs[key[0]][2])

    accounts: dict[str, list[Any]] = {}
    for name, (customer, _, _) in logs.items():
        accounts.setdefault(KEYS[customer], []).append(machines[name])
    book = keep_book(accounts, START, as_of)
    movements = {
        (row["customer_key"], row["date"], row["movement"]): row["amount"]
        for row in project.query(con, "select * from marts.mrr_movements")
    }
    assert movements == {key: amount for key, amount in book.movements.items() if amount}
    assert project.query(con, "select * from intermediate.int_subscriptions__quarantined_events") == []

"""Intervals, movements and refused events of the shipped SQL against the plain machine, for generated histories."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.subscriptions.oracle import CHANGES, VOCABULARY, Book, Event, Machine, Policy, Terms, business_day, keep_book
from tests.support import Project
from tests.support.examples import many

START = datetime(2024, 1, 10)
DAYS = 90
AS_OF = date(2024, 3, 20)
PLANS = {"basic": Decimal("10.00"), "large": Decimal("25.50")}
KEYS = {f"customer-{n}": f"key-{n}" for n in range(40)}
GIVEN = {
    "int_identity__customer_ids": (
        {"system": "varchar", "customer_id": "varchar", "customer_key": "varchar"},
        [{"system": "files", "customer_id": name, "customer_key": key} for name, key in KEYS.items()],
    ),
    "int_identity__email_customers": ({"email": "varchar", "customer_key": "varchar"}, []),
}
MODELS = (
    "subscription_states", "subscriptions", "mrr_movements", "mrr_monthly", "subscription_pauses",
    "int_subscriptions__account_days", "int_subscriptions__quarantined_events", "int_subscriptions__live_spans",
)  # fmt: skip
# a history is a walk over these: mostly what makes sense, sometimes anything
LIKELY = (
    "renewed", "paused", "paused", "paused", "resumed", "resumed", "price_changed", "interval_changed",
    "pause_scheduled", "cancel_scheduled", "cancel_scheduled", "payment_failed", "payment_recovered", "cancelled",
    "reactivated", "reactivated", "plan_changed", "quantity_changed", "skipped",
)  # fmt: skip
Subscription = tuple[str, str, list[Event]]  # customer, currency, log


# dollars move by a cent a day
RATES = {
    (START + timedelta(days=n)).date(): Fraction(80 + (START + timedelta(days=n)).day, 100) for n in range(-1, DAYS + 2)
}


@st.composite
def logs(draw: st.DrawFn, number: int) -> list[Event]:
    size = draw(st.integers(1, 8))
    seed = draw(st.integers(0, 2**32))
    return invent(random.Random(seed), number, size)


def invent(rng: random.Random, number: int, size: int) -> list[Event]:
    """A log: a beginning, then a walk; instants repeat, sequences are sometimes missing."""
    now = START + timedelta(days=rng.randrange(12), hours=rng.choice([0, 9, 23]))
    events: list[Event] = []
    for position in range(size):
        if position == 0 and rng.random() < 0.93:
            kind = rng.choice(("created", "trial_started", "activated"))
        elif rng.random() < 0.9:
            kind = rng.choice(LIKELY)
        else:
            kind = rng.choice((*VOCABULARY, "nonsense"))
        effective = None
        if kind in ("pause_scheduled", "cancel_scheduled", "trial_started"):
            effective = now + timedelta(days=rng.randrange(-1, 20)) if rng.random() < 0.95 else None
        elif kind in ("paused", "cancelled", *CHANGES) and rng.random() < 0.4:
            effective = now + timedelta(days=rng.randrange(0, 25))
        terms: dict[str, Any] = {}
        if position == 0 or (kind in ("price_changed", "resumed") and rng.random() < 0.7):
            terms = {"price": Decimal(rng.choice(["10.00", "12.99", "7.3333"]))}
        if position == 0:
            terms |= {"interval": rng.choice(["day", "week", "month", "year"]), "count": rng.choice([None, 1, 3])}
        if kind == "plan_changed":
            terms = {"plan": rng.choice(list(PLANS)), "price": rng.choice([None, Decimal("9.99")])}
        if kind in ("resumed", "reactivated", "activated") and rng.random() < 0.4:
            terms["plan"] = rng.choice(list(PLANS))
        if kind == "interval_changed":
            terms = {"interval": rng.choice([None, "month"]), "count": rng.choice([1, 2])}
        if kind == "quantity_changed":
            terms = {"quantity": rng.randrange(0, 4)}
        sequence = rng.choice([None, position, position])
        events.append(Event(f"e{number}-{position}", kind, now, sequence, effective, **terms))
        if effective is not None and effective > now and rng.random() < 0.3:
            now = effective  # something is said in the very instant in which something is due
        else:
            now += rng.choice([timedelta(0), timedelta(hours=5), *[timedelta(days=d) for d in (1, 2, 5, 11)]])
    return events


def raw_of(subscriptions: Sequence[Subscription], rng: random.Random) -> dict[str, list[dict[str, Any]]]:
    """The raw tables, rows in any order."""
    rows, events = [], []
    for number, (customer, currency, log) in enumerate(subscriptions):
        rows.append(
            {
                "subscription_id": f"s{number}",
                "customer_id": customer,
                "status": "active",
                "started_at": log[0].at,
                "price": "33.00",
                "interval": "month",
                "currency": currency,
            }
        )
        events += [
            {
                "event_id": e.id,
                "subscription_id": f"s{number}",
                "type": e.type,
                "occurred_at": e.at,
                "sequence": e.sequence,
                "effective_at": e.effective,
                "plan_id": e.plan,
                "price": e.price,
                "interval": e.interval,
                "interval_count": e.count,
                "quantity": e.quantity,
            }
            for e in log
        ]
    rng.shuffle(rows)
    rng.shuffle(events)
    plans = [{"plan_id": name, "price": price, "interval": "month"} for name, price in PLANS.items()]
    rates = [
        {"date": day, "from_currency": "USD", "to_currency": "EUR", "rate": f"{float(rate):.2f}"}
        for day, rate in RATES.items()
    ]
    return {"subscriptions": rows, "subscription_events": events, "plans": plans, "exchange_rates": rates}


def machine_of(subscription: Subscription, policy: Policy, as_of: date) -> Machine:
    _, currency, log = subscription
    events = list(log)
    known = [e for e in events if business_day(e.at) <= as_of]
    if known and not any(e.type in ("created", "trial_started", "activated") for e in known):
        # a log without a beginning gets it from today's row, at today's price
        first = min(e.at for e in known)
        events.append(Event("", "activated", min(first, log[0].at), -1, None, None, Decimal("33.00"), "month", 1, 1))
    elif not known:
        events = [Event("", "activated", log[0].at, -1, None, None, Decimal("33.00"), "month", 1, 1)]
    terms = Terms(None, Decimal("33.00"), "month", 1, 1, as_of)
    machine = Machine(PLANS, RATES if currency == "USD" else None, policy, as_of, terms)
    machine.live_through(events)
    return machine


def warehouse(
    project: Project, subscriptions: Sequence[Subscription], as_of: date, seed: int
) -> duckdb.DuckDBPyConnection:
    con = project.connect(raw_of(subscriptions, random.Random(seed)))
    for name, (types, rows) in GIVEN.items():
        project.give(con, name, types, rows)
    project.run(con, *MODELS, as_of=as_of, given=GIVEN)
    return con


def found_intervals(project: Project, con: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[Any, ...]]]:
    """State and money only: what the machine tells, neighbours merged that differ in plan or quantity alone."""
    found: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for row in project.query(con, "select * from marts.subscription_states order by subscription_key, valid_from"):
        mine = found[row["subscription_key"].removeprefix("files:")]
        money = (row["mrr"] or Decimal(0), row["paused_mrr"] or Decimal(0))
        if mine:
            assert mine[-1][2] == row["valid_from"], "neither gap nor overlap"
            if (mine[-1][0], *mine[-1][3:]) == (row["state"], *money):
                mine[-1] = (*mine[-1][:2], row["valid_to"], *mine[-1][3:])
                continue
        mine.append((row["state"], row["valid_from"], row["valid_to"], *money))
    for mine in found.values():
        assert mine[-1][2] is None, "the last one holds until as-of"
    return dict(found)


def compare(project: Project, subscriptions: Sequence[Subscription], policy: Policy, as_of: date, seed: int) -> Book:
    con = warehouse(project, subscriptions, as_of, seed)
    machines = {f"s{n}": machine_of(s, policy, as_of) for n, s in enumerate(subscriptions)}
    lives = {
        key: [(i.state, i.start, i.until, i.mrr, i.paused) for i in machine.intervals()]
        for key, machine in machines.items()
        if machine.points
    }
    found = found_intervals(project, con)
    for key in lives | found:
        assert found.get(key) == lives.get(key), (key, subscriptions[int(key[1:])])

    refused = {
        row["event_key"].removeprefix("files:"): row["reason"]
        for row in project.query(con, "select * from intermediate.int_subscriptions__quarantined_events")
    }
    assert refused == {event: why for machine in machines.values() for event, why in machine.refused.items()}

    pauses = Counter(
        (row["subscription_key"].removeprefix("files:"), row["paused_at"], row["ended_at"], row["outcome"])
        for row in project.query(con, "select * from marts.subscription_pauses")
    )
    assert pauses == Counter(
        (key, p.start, p.end, p.outcome)
        for key, m in machines.items()
        for p in m.pauses
        if p.end is None or p.end > p.start
    )

    accounts: dict[str, list[Any]] = defaultdict(list)
    for number, (customer, _, _) in enumerate(subscriptions):
        accounts[KEYS[customer]].append(machines[f"s{number}"].intervals())
    book = keep_book(accounts, START.date(), as_of)
    movements = {
        (row["customer_key"], row["date"], row["movement"]): row["amount"]
        for row in project.query(con, "select * from marts.mrr_movements")
    }
    assert movements == {key: amount for key, amount in book.movements.items() if amount}
    for row in project.query(con, "select * from intermediate.int_subscriptions__account_days"):
        day = row["change_date"]
        assert (row["closing_mrr"], row["paused_closing"]) == book.balances[row["account_key"], day]
        for name in ("paused_in", "resumed", "paused_churn", "paused_change"):
            assert row[name] == book.paused.get((row["account_key"], day, name), Decimal(0)), name
    check_months(project, con, book, as_of)
    check_live_days(project, con, subscriptions, machines, as_of)
    return book


def check_months(project: Project, con: duckdb.DuckDBPyConnection, book: Book, as_of: date) -> None:
    accounts = {account for account, _ in book.balances}
    for row in project.query(con, "select * from marts.mrr_monthly"):
        month: date = row["month"]
        last = min((month.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1), as_of)
        opening, closing = (
            {a: book.balances.get((a, day), (Decimal(0), Decimal(0))) for a in accounts}
            for day in (month - timedelta(days=1), last)
        )
        paying = [a for a in accounts if opening[a][0] > 0]
        base = sum(opening[a][0] for a in paying)
        assert row["opening"] == sum(v[0] for v in opening.values())
        assert row["closing"] == sum(v[0] for v in closing.values())
        assert row["paused_opening"] == sum(v[1] for v in opening.values())
        assert row["paused_closing"] == sum(v[1] for v in closing.values())
        flows: dict[str, Decimal] = defaultdict(Decimal)
        for (_, day, name), amount in [*book.movements.items(), *book.paused.items()]:
            if month <= day <= last:
                flows[name] += amount
        for name in ("new", "expansion", "contraction", "churn", "reactivation", "pause", "resume",
                     "paused_in", "resumed", "paused_churn", "paused_change"):  # fmt: skip
            assert row[name] == flows[name], name
        assert row["is_complete"] == (last.month != (last + timedelta(days=1)).month)
        assert row["customers_opening"] == len(paying)
        assert row["customers_closing"] == sum(v[0] > 0 for v in closing.values())
        gained = flows["new"] + flows["reactivation"] + flows["expansion"]
        expected = {
            "quick_ratio": (gained, -flows["churn"] - flows["contraction"]),
            "paused_share": (row["paused_closing"], row["closing"] + row["paused_closing"]),
        }
        for name, (part, whole) in expected.items():
            share = float(part / whole) if row["is_complete"] and whole else None
            assert row[name] == (share if share is None else pytest.approx(share)), name
        if not row["is_complete"] or not paying:
            assert (row["nrr"], row["grr"], row["logo_churn"]) == (None, None, None)
            continue
        assert row["nrr"] == pytest.approx(float(sum(closing[a][0] for a in paying) / base))
        assert row["grr"] == pytest.approx(float(sum(min(closing[a][0], opening[a][0]) for a in paying) / base))
        assert row["nrr_ex_pause"] == pytest.approx(float(sum(sum(closing[a]) for a in paying) / base))
        assert row["grr_ex_pause"] == pytest.approx(
            float(sum(min(sum(closing[a]), opening[a][0]) for a in paying) / base)
        )
        assert row["logo_churn"] == pytest.approx(sum(closing[a][0] == 0 for a in paying) / len(paying))
        assert row["logo_churn_ex_pause"] == pytest.approx(sum(sum(closing[a]) == 0 for a in paying) / len(paying))


def check_live_days(
    project: Project,
    con: duckdb.DuckDBPyConnection,
    subscriptions: Sequence[Subscription],
    machines: dict[str, Machine],
    as_of: date,
) -> None:
    expected: set[tuple[str, date]] = set()
    for number, (customer, _, _) in enumerate(subscriptions):
        for interval in machines[f"s{number}"].intervals():
            if interval.state in ("trialing", "active", "past_due", "paused"):
                day = business_day(interval.start)
                end = business_day(interval.until) if interval.until else as_of + timedelta(days=1)
                while day < end:
                    expected.add((KEYS[customer], day))
                    day += timedelta(days=1)
    found: set[tuple[str, date]] = set()
    ends: dict[str, date] = {}
    for row in project.query(con, "select * from intermediate.int_subscriptions__live_spans order by live_from"):
        key, day = row["customer_key"], row["live_from"]
        assert key not in ends or ends[key] < day, "spans are merged"
        ends[key] = row["live_to"] or as_of + timedelta(days=1)
        while day < ends[key]:
            found.add((key, day))
            day += timedelta(days=1)
    assert found == expected


@pytest.fixture(scope="module")
def project() -> Project:
    return Project.compile()


@settings(max_examples=many(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_intervals_and_movements_equal_the_machine_in_any_order_of_arrival(
    project: Project, data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, 3))
    subscriptions = [
        (
            data.draw(st.sampled_from(["customer-0", "customer-1"])),
            data.draw(st.sampled_from(["EUR", "USD"])),
            data.draw(logs(n)),
        )
        for n in range(count)
    ]
    as_of = AS_OF + timedelta(days=data.draw(st.integers(-50, 20)))
    compare(project, subscriptions, Policy(), as_of, data.draw(st.integers(0, 99)))


@pytest.mark.parametrize(
    ("policy", "seed"),
    [(Policy(), 1), (Policy(paused_in_mrr=True), 2), (Policy(past_due_in_mrr=False), 3)],
    ids=["the default", "paused kept in MRR", "past due out of MRR"],
)
def test_hundreds_of_histories_and_every_movement_is_reached(policy: Policy, seed: int) -> None:
    project = Project.compile(paused_in_mrr=policy.paused_in_mrr, past_due_in_mrr=policy.past_due_in_mrr)
    rng = random.Random(seed)
    subscriptions = [
        (
            f"customer-{rng.randrange(40)}" if n > 80 else f"customer-{n % 40}",
            rng.choice(["EUR", "USD"]),
            invent(rng, n, rng.randrange(1, 12)),
        )
        for n in range(250 if seed == 1 else 120)
    ]
    book = compare(project, subscriptions, policy, AS_OF, seed)
    kinds = {kind for _, _, kind in book.movements}
    expected = {"new", "expansion", "contraction", "churn", "reactivation"}
    assert kinds == expected if policy.paused_in_mrr else kinds == expected | {"pause", "resume"}

"""The lifecycle against a day-by-day simulation written from METRICS.md alone, with loops and no SQL."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support import Project
from tests.support.examples import many

START = date(2024, 1, 1)
HORIZON = 150
STATES = {"registered", "registered_at_risk", "registered_lapsed", "new", "active", "reactivated", "at_risk", "lapsed"}
POLICY: dict[str, Any] = {
    "at_risk_after_days": 20,
    "lapsed_after_days": 40,
    "registered_at_risk_after_days": 10,
    "registered_lapsed_after_days": 25,
    "percentile_min_history_days": 31,
    "percentile_min_gaps": 4,
    "personal_floor_days": 14,
}
GIVEN = (
    "int_customers__order_days",
    "int_identity__customers",
    "int_customers__first_category",
    "int_subscriptions__live_spans",
    "int_engagement__interaction_days",
    "int_changes__lifecycle_run",
)
MODELS = ("lifecycle_history", "lifecycle_daily", "lifecycle_transitions", "lifecycle_thresholds")


@dataclass
class Person:
    """A customer as the simulation sees one; days are offsets from START."""

    key: str
    line: str
    seen: int
    orders: list[int] = field(default_factory=list)
    live: list[tuple[int, int | None]] = field(default_factory=list)
    contacts: list[int] = field(default_factory=list)


def day(offset: int) -> date:
    return START + timedelta(days=offset)


def month_of(offset: int) -> date:
    return day(offset).replace(day=1)


def disc(values: list[int], percentile: float) -> int:
    """percentile_disc: the smallest value whose share of values up to it reaches the percentile."""
    return sorted(values)[max(0, math.ceil(round(percentile * len(values), 9)) - 1)]


def thresholds(people: list[Person], line: str, silent_from: int, own: Person, method: str) -> tuple[int, int]:
    """(at risk, lapsed) in force on the day the silence began."""
    fixed = (POLICY["at_risk_after_days"], POLICY["lapsed_after_days"])
    month = month_of(silent_from)
    mates = [p for p in people if p.line == line]
    firsts = [day(min(p.orders)) for p in mates if p.orders]
    gaps = [(later - earlier, later) for p in mates for earlier, later in zip(p.orders, p.orders[1:], strict=False)]
    known = [gap for gap, later in gaps if day(later) < month]
    if method == "fixed" or not firsts:
        return fixed
    if (month - min(firsts)).days < POLICY["percentile_min_history_days"] or len(known) < POLICY["percentile_min_gaps"]:
        return fixed
    p50, p75, p90 = disc(known, 0.5), disc(known, 0.75), disc(known, 0.9)
    if method == "percentile":
        return p75, max(p90, p75 + 1)
    so_far = [o for o in own.orders if o <= silent_from]
    mine = [later - earlier for earlier, later in itertools.pairwise(so_far)]
    n = len(mine)
    m = (n * (disc(mine, 0.5) if mine else 0) + 5 * p50) / (n + 5)
    risk = max(2 * m, POLICY["personal_floor_days"])
    at_risk = math.floor(risk + 1e-9)
    return at_risk, max(math.floor(risk * p90 / p75 + 1e-9), at_risk + 1)


def simulate(people: list[Person], person: Person, until: int, method: str) -> dict[int, str]:
    """The person's state at the close of each day."""
    states: dict[int, str] = {}
    silent_from: int | None = None
    contact = person.seen
    ended_lapse = False
    limits = (0, 0)
    for today in range(until + 1):
        live = any(start <= today and (end is None or today < end) for start, end in person.live)
        ordered = today in person.orders
        if ordered:
            ended_lapse = states.get(today - 1) == "lapsed"
        if ordered or any(end == today for _, end in person.live):
            silent_from = today
            limits = thresholds(people, person.line, today, person, method)
        if today in person.contacts:
            contact = max(contact, today)
        orders = sum(o <= today for o in person.orders)
        if live:
            states[today] = "active"
        elif silent_from is not None:
            silence = today - silent_from
            within = "active"
            if orders and ended_lapse:
                within = "reactivated"
            elif orders == 1:
                within = "new"
            states[today] = "lapsed" if silence > limits[1] else "at_risk" if silence > limits[0] else within
        elif today >= person.seen:
            silence = today - contact
            if silence > POLICY["registered_lapsed_after_days"]:
                states[today] = "registered_lapsed"
            elif silence > POLICY["registered_at_risk_after_days"]:
                states[today] = "registered_at_risk"
            else:
                states[today] = "registered"
    return states


@st.composite
def person(draw: st.DrawFn, key: str) -> Person:
    orders = sorted(draw(st.sets(st.integers(0, HORIZON), max_size=7)))
    live: list[tuple[int, int | None]] = []
    start = draw(st.none() | st.integers(0, HORIZON))
    if start is not None:
        length = draw(st.none() | st.integers(1, 60))
        live.append((start, None if length is None else start + length))
    seen = draw(st.integers(0, HORIZON))
    seen = min([seen, *orders, *(s for s, _ in live)])
    contacts = draw(st.lists(st.integers(0, HORIZON), max_size=3))
    contacts = [c for c in contacts if c > seen]
    return Person(key, draw(st.sampled_from(["b2c", "b2b"])), seen, orders, live, contacts)


shops = st.integers(1, 6).flatmap(lambda n: st.tuples(*(person(f"c{i}") for i in range(n)))).map(list)


def build(project: Project, people: list[Person], as_of: int) -> duckdb.DuckDBPyConnection:
    """The lifecycle marts for these people; what lies after as-of does not exist."""
    con = project.connect({})
    project.give(
        con,
        "int_customers__order_days",
        {
            "customer_key": "varchar",
            "order_date": "date",
            "previous_order_date": "date",
            "orders": "bigint",
            "net_revenue": "decimal(18,2)",
        },
        [
            {
                "customer_key": p.key,
                "order_date": day(o),
                "previous_order_date": None if before is None else day(before),
                "orders": 1,
                "net_revenue": 1,
            }
            for p in people
            for before, o in itertools.pairwise([None, *p.orders])
            if o is not None and o <= as_of
        ],
    )
    project.give(
        con,
        "int_identity__customers",
        {"customer_key": "varchar", "account_type": "varchar", "country": "varchar", "first_seen_at": "timestamp"},
        [
            {"customer_key": p.key, "account_type": p.line, "country": "DE", "first_seen_at": f"{day(p.seen)} 12:00:00"}
            for p in people
            if p.seen <= as_of
        ],
    )
    project.give(con, "int_customers__first_category", {"customer_key": "varchar", "first_category": "varchar"}, [])
    project.give(
        con,
        "int_subscriptions__live_spans",
        {"customer_key": "varchar", "live_from": "date", "live_to": "date"},
        [
            {"customer_key": p.key, "live_from": day(s), "live_to": None if e is None or e > as_of else day(e)}
            for p in people
            for s, e in p.live
            if s <= as_of
        ],
    )
    project.give(
        con,
        "int_engagement__interaction_days",
        {"customer_key": "varchar", "interaction_date": "date"},
        [{"customer_key": p.key, "interaction_date": day(c)} for p in people for c in set(p.contacts) if c <= as_of],
    )
    project.run(con, *MODELS, as_of=day(as_of), given=GIVEN)
    return con


def states_of(project: Project, con: duckdb.DuckDBPyConnection, as_of: int) -> dict[str, dict[int, str]]:
    """The history unrolled to a state per customer and day; fails where intervals overlap."""
    found: dict[str, dict[int, str]] = defaultdict(dict)
    for row in project.query(con, "select * from marts.lifecycle_history"):
        first = (row["valid_from"] - START).days
        last = as_of + 1 if row["valid_to"] is None else (row["valid_to"] - START).days
        assert first < last, f"an empty or backward interval: {row}"
        for offset in range(first, last):
            assert offset not in found[row["customer_key"]], f"overlap: {row}"
            found[row["customer_key"]][offset] = row["state"]
    return found


@pytest.fixture(scope="module", params=["fixed", "percentile", "personal"])
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def project(method: str) -> Project:
    return Project.compile(lifecycle_method=method, lifecycle_business_line=["account_type"], **POLICY)


@settings(max_examples=many(25), deadline=None, suppress_health_check=list(HealthCheck))
@given(people=shops, as_of=st.integers(100, HORIZON))
# back on the very day that would have been the first lapsed one, and a day later: random gaps seldom meet it
@example(people=[Person("c0", "b2c", 0, [0, 41]), Person("c1", "b2b", 0, [0, 42])], as_of=120)
def test_history_equals_a_day_by_day_simulation(
    project: Project, method: str, people: list[Person], as_of: int
) -> None:
    con = build(project, people, as_of)
    known = [
        Person(p.key, p.line, p.seen, [o for o in p.orders if o <= as_of], p.live, p.contacts)
        for p in people
        if p.seen <= as_of
    ]
    expected = {p.key: simulate(known, p, as_of, method) for p in known}
    found = states_of(project, con, as_of)
    assert found == {key: states for key, states in expected.items() if states}
    assert {state for states in found.values() for state in states.values()} <= STATES

    # the day's population, and yesterday + entered − left = today
    population = Counter((offset, state) for states in expected.values() for offset, state in states.items())
    yesterday: Counter[str] = Counter()
    for row in project.query(con, 'select * from marts.lifecycle_daily order by "date"'):
        offset = (row["date"] - START).days
        assert row["customers"] == population[(offset, row["state"])]
        assert yesterday[row["state"]] + row["entered"] - row["left"] == row["customers"]
        entered = sum(s.get(offset) == row["state"] != s.get(offset - 1) for s in expected.values())
        assert row["entered"] == entered
        yesterday[row["state"]] = row["customers"]

    # the transitions between month closes
    closes = sorted(
        {
            min((month_of(o) + timedelta(days=32)).replace(day=1) - timedelta(days=1), day(as_of))
            for o in range(as_of + 1)
        }
    )
    expected_moves: Counter[tuple[date, str, str]] = Counter()
    for states in expected.values():
        before = "none"
        for close in closes:
            now = states.get((close - START).days)
            if now is not None:
                expected_moves[(close.replace(day=1), before, now)] += 1
                before = now
    moves = {
        (row["month"], row["from_state"], row["to_state"]): row["customers"]
        for row in project.query(con, "select * from marts.lifecycle_transitions")
    }
    assert moves == dict(expected_moves)


@settings(max_examples=many(8), deadline=None, suppress_health_check=list(HealthCheck))
@given(people=shops, early=st.integers(60, 120))
def test_a_rebuild_as_of_an_older_day_is_that_days_history(project: Project, people: list[Person], early: int) -> None:
    late = states_of(project, build(project, people, HORIZON), HORIZON)
    then = states_of(project, build(project, people, early), early)
    cut = {key: {o: s for o, s in states.items() if o <= early} for key, states in late.items()}
    assert then == {key: states for key, states in cut.items() if states}

"""Subscriptions follow what happened to them: each reason for which one is recomputed, that none can be forgotten, and
that whatever happens leaves what a full build makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.incremental.happens import Case, Change, Landed, added, agrees_after_each, nothing, rewritten, without
from tests.incremental.shop import Warehouse
from tests.support import Project
from tests.support.examples import SOAK

DAY = date(2024, 3, 1)
DONE = "int_changes__subscription_done"
FRONT, RUN = "int_changes__subscription_front", "int_changes__subscription_run"
EXAMPLES = settings(max_examples=80 if SOAK else 2, deadline=None, suppress_health_check=list(HealthCheck))
TABLES = ("subscriptions", "subscription_events", "plans", "customers", "identity_overrides", "exchange_rates")


def _at(day: int, hour: int = 12) -> datetime:
    return datetime.combine(DAY + timedelta(days=day), time(hour))


def _day(number: int) -> date:
    return DAY + timedelta(days=number)


def _project() -> Project:
    return Project.compile(incremental="always", incremental_max_share=1.0, discounts_in_mrr="running")


@dataclass
class Subscriptions(Warehouse):
    """A home that is refreshed up to the end of the subscription tier."""

    project: Project = field(default_factory=_project)
    until: str = DONE


class Book(Landed):
    """What stands landed of subscriptions."""

    def __init__(self) -> None:
        super().__init__()
        self.raw = {name: [] for name in TABLES}

    def row(self, key: str, customer: str = "c0", **values: Any) -> None:
        """A row of today's table, at ten a month of plan p unless it says otherwise."""
        says = {"status": "active", "started_at": _at(-60), "price": "10", "interval": "month", "plan_id": "p"}
        self.add("subscriptions", subscription_id=key, customer_id=customer, **{**says, **values})

    def event(self, key: str, type: str, day: int, number: str = "", **values: Any) -> None:
        """A word of the log."""
        row = {"event_id": number or f"{key}-{self.versions}", "subscription_id": key, "type": type}
        self.add("subscription_events", occurred_at=_at(day), **{**row, **values})

    def logged(self, key: str, customer: str = "c0", *, row: Mapping[str, Any] | None = None, **values: Any) -> None:
        """A row and the beginning of its log."""
        self.row(key, customer, **(row or {}))
        self.event(key, "activated", -60, f"{key}-0", **{"price": "10", **values})


def yesterday() -> Book:
    """What stood the day before: two rows that say something else today."""
    book = Book()
    book.row("said before", "c6", status="past_due", updated_at=_at(2))
    book.row("gone", "c6")
    return book


def shop() -> Book:
    """Subscriptions of which every kind of dependency has one."""
    book = Book()
    for plan in ("p", "q", "r"):
        book.add("plans", plan_id=plan, price="12", interval="month")
    book.logged("plain")
    book.logged("ended")
    book.event("ended", "cancelled", -10)
    # what is dated for a day to come
    for key, kind in (("leaves", "cancel_scheduled"), ("will pause", "pause_scheduled"), ("paused", "paused")):
        book.logged(key, f"of {key}")
        book.event(key, kind, -5, effective_at=_at(2))
    book.logged("dearer", "c1")
    book.event("dearer", "price_changed", -5, price="15", effective_at=_at(2))
    book.logged("coupon", "c1", discount_percent="50", discount_duration="months", discount_ends_at=_at(2))
    book.logged("later", "c1")
    book.event("later", "paused", 2)
    book.logged("corrected", "c1")
    book.event("corrected", "price_changed", -5, "corrected-1", price="11")
    book.event("corrected", "price_changed", -5, "corrected-1", price="14", updated_at=_at(2))
    book.logged("withdrawn", "c1")
    book.event("withdrawn", "paused", -5, deleted_at=_at(2))
    # an event of two subscriptions: the later has it
    book.logged("mine", "c2")
    book.logged("yours", "c2")
    book.event("mine", "paused", -5, "contested")
    book.event("yours", "paused", -5, "contested")
    book.event("nobody's", "paused", -5, "orphan")
    # a plan that the row names, another that an event does
    book.row("by plan", "c3")
    book.event("by plan", "activated", -60)
    book.logged("to plan", "c3")
    book.event("to plan", "plan_changed", -5, plan_id="q")
    book.logged("usd", "c4", row={"currency": "USD"})
    book.add("exchange_rates", date=_day(-60), from_currency="USD", to_currency="EUR", rate="0.9")
    # known by its row alone
    book.row("row", "c5")
    book.row("converts", "c5", status="paused", pause_start=_at(-5), trial_end=_at(2))
    book.row("row pauses", "c5", pause_start=_at(2), pause_end=_at(9))
    book.row("row leaves", "c5", cancelled_at=_at(2), cancel_at=_at(9))
    book.row("row left", "c5", status="cancelled", cancel_at=_at(2))
    book.row("row ends", "c5", ended_at=_at(2))
    book.row("starts", "c5", started_at=_at(2))
    book.row("deleted", "c5", deleted_at=_at(2))
    book.row("restated", "c5", price="11")
    book.row("restated", "c5", price="13", updated_at=_at(2))
    book.row("said before", "c6", price="20")
    # what a loader wrote has neither file nor line
    book.raw["subscription_events"].append({**_event("plain", "loaded"), **_LOADED})
    return book


_LOADED = {"_ritorno_file": None, "_ritorno_line": None, "_ritorno_batch": None}


_MONTHLY = {"interval": "month", "status": "active", "started_at": _at(-1)}


def _event(key: str, number: str) -> dict[str, Any]:
    return {"event_id": number, "subscription_id": key, "type": "renewed", "occurred_at": _at(-3)}


def _told(key: str, type: str = "paused", number: str = "", **values: Any) -> Change:
    def change(landed: Landed) -> None:
        row = {"event_id": number or "told", "subscription_id": key, "type": type, "occurred_at": _at(-1)}
        landed.add("subscription_events", **{**row, **values})

    return change


ROWS, EVENTS = "int_canonical__subscriptions", "int_canonical__subscription_events"
LOG, HISTORY, TERMS = "int_subscriptions__logged_events", "int_subscriptions__events", "int_subscriptions__terms"
IDS, EVENT_IDS, LIST = (
    "int_changes__subscription_ids",
    "int_changes__event_subscription_ids",
    "int_changes__subscriptions",
)
VALUED, ACCOUNTS = "int_changes__valued_subscriptions", "int_changes__subscription_accounts"
NEW = "inner join chunks on landed.batch = chunks.batch", "inner join chunks on false and landed.batch = chunks.batch"
GONE = "on standing.source_batch = chunks.batch", "on false and standing.source_batch = chunks.batch"
DUE = "standing.event_date > front.last_as_of_date", "false and standing.event_date > front.last_as_of_date"
STANDING = '"warehouse"."intermediate"."int_subscriptions__changes"'


def _not_due(column: str) -> tuple[str, str]:
    return f"{column} > front.due_from", f"false and {column} > front.due_from"


MERGE = added("identity_overrides", left_id="c0", right_id="c1", same_person=True, decided_at=_at(0))
CASES: Mapping[str, Case] = {
    "a subscription that came": Case(
        lambda landed: landed.add("subscriptions", subscription_id="new", customer_id="c0", started_at=_at(-1)),
        0, IDS, *NEW, until=ROWS,
    ),
    "a subscription whose file is forgotten": Case(
        without("subscriptions", subscription_id="row"), 0, IDS, *GONE, until=ROWS
    ),
    "a subscription whose day has come": Case(nothing, 2, IDS, *DUE, until=ROWS),
    "a row's correction whose day has come": Case(nothing, 2, IDS, *_not_due("standing.updated_at"), until=ROWS),
    "a row's deletion whose day has come": Case(nothing, 2, IDS, *_not_due("standing.deleted_at"), until=ROWS),
    "an event that came": Case(_told("plain"), 0, EVENT_IDS, *NEW, until=EVENTS),
    "a loader's event": Case(
        lambda landed: landed.raw["subscription_events"].append({**_event("ended", "more"), **_LOADED}),
        0, EVENT_IDS, *NEW, until=EVENTS,
    ),
    "an event whose file is forgotten": Case(
        without("subscription_events", event_id="plain-0"), 0, EVENT_IDS, *GONE, until=EVENTS
    ),
    "an event that is written over": Case(
        rewritten("subscription_events", {"event_id": "plain-0"}, price="11"), 0, "int_changes__subscription_chunks",
        "landed.row_hashes != kept.row_hashes", "false", until=EVENTS,
    ),
    "a chunk with a row less": Case(
        without("subscription_events", event_id="loaded"), 0, "int_changes__subscription_chunks",
        "full outer join kept", "inner join kept", until=EVENTS,
    ),
    "an event whose day has come": Case(nothing, 2, EVENT_IDS, *DUE, until=EVENTS),
    "an event's correction whose day has come": Case(
        nothing, 2, EVENT_IDS, *_not_due("standing.updated_at"), until=EVENTS
    ),
    "an event's deletion whose day has come": Case(
        nothing, 2, EVENT_IDS, *_not_due("standing.deleted_at"), until=EVENTS
    ),
    "events whose subscription is gone": Case(
        without("subscriptions", subscription_id="plain"), 0, EVENT_IDS,
        "where coalesce(standing.subscription_id, '') in (select subscription_ids.subscription_id"
        " from subscription_ids)",
        "where false", until=EVENTS,
    ),
    "an event that went to another subscription": Case(
        _told("ended", number="plain-0"), 0, EVENT_IDS,
        "where standing.event_id in (select changed_keys.row_id from changed_keys)", "where false", until=EVENTS,
    ),
    "an event that another has, though only its own changed": Case(
        _told("mine", "renewed"), 0, "int_changes__event_inputs",
        "where standing.event_id in (select keys.row_id from keys)", "where false", until=EVENTS,
    ),
    "what the log says": Case(
        _told("plain"), 0, LIST,
        'select subscription_id from "warehouse"."intermediate"."int_changes__event_subscription_ids"\n',
        'select subscription_id from "warehouse"."intermediate"."int_changes__event_subscription_ids" where false\n',
        until=LOG,
    ),
    "somebody else's subscriptions, after a merge": Case(
        MERGE, 0, LIST, "select subscription_key from changed_subscription_rows",
        "select subscription_key from changed_subscription_rows where false", until=TERMS, is_about_people=True,
    ),
    "a plan that rows name": Case(
        added("plans", plan_id="p", price="13", interval="month"), 0, LIST,
        "where accounts.plan_id in", "where false and accounts.plan_id in", until=TERMS,
    ),
    "a plan that events name": Case(
        added("plans", plan_id="q", price="13", interval="year"), 0, LIST,
        "where standing.plan_id in", "where false and standing.plan_id in", until=TERMS,
    ),
    "a plan that is gone": Case(
        without("plans", plan_id="q"), 0, LIST,
        "coalesce(plans.plan_id, kept_plans.plan_id)", "plans.plan_id", until=TERMS,
    ),
    "an effective date that has come": Case(
        nothing, 2, LIST, *_not_due("standing.effective_at"), until="int_subscriptions__lives"
    ),
    "a coupon's end that has come": Case(nothing, 2, LIST, *_not_due("standing.coupon_ends_at"), until=HISTORY),
    **{
        f"an inferred event whose day, {column}, has come": Case(
            nothing, 2, LIST, *_not_due(f"versions.{column}"), until="int_subscriptions__inferred_events"
        )
        for column in ("pause_start", "cancelled_at", "cancel_at", "ended_at", "updated_at")
    },
    "an exchange rate that was corrected": Case(
        added("exchange_rates", date=_day(-60), from_currency="USD", to_currency="EUR", rate="0.8"), 0, VALUED,
        "select subscription_key from converted_otherwise",
        "select subscription_key from converted_otherwise where false",
        until="int_subscriptions__intervals",
    ),
    "an exchange rate that is gone": Case(
        without("exchange_rates", rate="0.9"), 0, VALUED,
        "coalesce(exchange_rates.currency, kept_subscription_rates.currency)", "exchange_rates.currency",
        until="int_subscriptions__intervals",
    ),
    "the book of whom a subscription has now": Case(
        lambda landed: landed.add("subscriptions", subscription_id="new", customer_id="c0", price="7", **_MONTHLY),
        0, ACCOUNTS,
        "where subscription_key in (select subscriptions.subscription_key from subscriptions)", "where false",
        until="int_subscriptions__account_days",
    ),
    "the book of whom it had": Case(
        rewritten("subscriptions", {"subscription_id": "plain"}, customer_id="c2"), 0, ACCOUNTS,
        f"select standing.account_key from {STANDING} as standing where",
        f"select standing.account_key from {STANDING} as standing where false and",
        until="int_subscriptions__account_days",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop after its first two days."""
    path = tmp_path_factory.mktemp("subscriptions") / "base.duckdb"
    warehouse = Subscriptions()
    warehouse.refresh(yesterday().raw, _day(-1))
    warehouse.refresh(shop().raw, DAY)
    assert warehouse.differences(DAY) == {}
    warehouse.save(path)
    return path


def _is_of_subscriptions(model: str) -> bool:
    """Staging models are views, which nobody saved."""
    words = ("stg_", "subscription", "mrr_", "canonical__plans", "exchange_rates", "int_changes__")
    return any(word in model for word in words)


def _next(
    base: Path,
    changes: list[Change],
    days: int,
    until: str = DONE,
    edit: Mapping[str, tuple[str, str]] | None = None,
    *,
    is_about_people: bool = True,
    prepare: str = "select 1",
) -> tuple[set[str], Subscriptions]:
    warehouse, landed = Subscriptions(edit=edit or {}, until=until), shop()
    warehouse.rebuilt = None if is_about_people else _is_of_subscriptions
    warehouse.stand(base)
    warehouse.con.execute(prepare)
    for change in changes:
        change(landed)
    warehouse.refresh(landed.raw, _day(days))
    assert warehouse.decision(FRONT)["reason"] is None
    return set(warehouse.differences(_day(days))), warehouse


@pytest.mark.parametrize("name", CASES)
def test_no_reason_to_touch_a_subscription_can_be_forgotten_unseen(base: Path, name: str) -> None:
    case = CASES[name]
    edit = {case.model: (case.found, case.put)}
    differing, _ = _next(base, [case.change], case.days, case.until, edit, is_about_people=case.is_about_people)
    assert case.until in differing


@pytest.mark.parametrize("is_forgotten", [False, True])
def test_another_history_of_a_row_is_a_reason(base: Path, is_forgotten: bool) -> None:
    """A run that a check stopped leaves the state store without what it had seen."""
    history = "update snapshots.subscriptions_history set price = 21 where dbt_valid_to is not null and price = 10"
    rows = "select subscription_key from changed_subscription_rows"
    edit = {LIST: (rows, f"{rows} where false")} if is_forgotten else {}
    differing, _ = _next(base, [], 0, HISTORY, edit, is_about_people=False, prepare=history)
    assert (differing != set()) is is_forgotten


@pytest.mark.parametrize(("begin", "days"), [(0, 0), (1, 2), (2, 0), (3, 2)])
def test_what_happens_together_leaves_what_a_full_build_makes(base: Path, begin: int, days: int) -> None:
    changes = [case.change for case in list(CASES.values())[begin::4]]
    assert _next(base, changes, days)[0] == set()


@pytest.mark.parametrize(
    ("change", "days", "touched", "valued"),
    [
        (nothing, 0, set(), set()),
        (nothing, 1, set(), set()),
        (CASES["an event that came"].change, 1, {"files:plain"}, {"files:plain"}),
        (CASES["an exchange rate that was corrected"].change, 0, set(), {"files:usd"}),
    ],
)
def test_what_stands_open_is_not_touched_by_another_day(
    base: Path, change: Change, days: int, touched: set[str], valued: set[str]
) -> None:
    differing, warehouse = _next(base, [change], days, is_about_people=False)
    assert differing == set()
    assert (warehouse.touched(LIST), warehouse.touched(VALUED)) == (touched, valued)


INTERRUPTED = "(select front.is_interrupted and front.mode = 'incremental' from front)"
RATE = CASES["an exchange rate that was corrected"].change
LISTS: Mapping[str, tuple[Change, str, str, Change]] = {
    IDS: (CASES["a subscription that came"].change, EVENTS, ROWS, nothing),
    EVENT_IDS: (CASES["an event that came"].change, LOG, EVENTS, nothing),
    LIST: (MERGE, "int_subscriptions__exchange_rates", TERMS, nothing),
    VALUED: (RATE, "int_subscriptions__changes", "int_subscriptions__intervals", nothing),
    # its third customer, when the book of the first still has it
    ACCOUNTS: (
        CASES["the book of whom it had"].change,
        "int_subscriptions__account_days",
        "int_subscriptions__account_days",
        rewritten("subscriptions", {"subscription_id": "plain"}, customer_id="c5"),
    ),
}
"""What happens, before which model the run is killed, a table that may stand between two states, what happens then."""


@pytest.mark.parametrize("is_forgotten", [False, True])
@pytest.mark.parametrize("touched", LISTS)
def test_what_a_killed_run_had_built_is_built_again_though_its_cause_is_gone(
    base: Path, touched: str, is_forgotten: bool
) -> None:
    change, killed_before, table, then = LISTS[touched]
    edit = {touched: (f"where {INTERRUPTED}", "where false")} if is_forgotten else {}
    warehouse, landed = Subscriptions(edit=edit, rebuilt=None if change is MERGE else _is_of_subscriptions), shop()
    warehouse.stand(base)
    change(landed)
    warehouse.refresh(landed.raw, DAY, killed_before=killed_before)
    landed = shop()
    then(landed)
    warehouse.until = DONE if not is_forgotten else table
    warehouse.refresh(landed.raw, DAY)
    front = warehouse.decision(FRONT)
    assert (front["mode"], front["is_interrupted"]) == ("incremental", True)
    assert (table in warehouse.differences(DAY)) is is_forgotten
    assert is_forgotten or warehouse.differences(DAY) == {}


def test_why_everything_is_built(base: Path) -> None:
    def reasons(prepare: str = "select 1", as_of: date = DAY, edit: Mapping[str, tuple[str, str]] | None = None) -> Any:
        warehouse = Subscriptions(edit=edit or {}, until=RUN, rebuilt=_is_of_subscriptions)
        warehouse.stand(base)
        warehouse.con.execute(prepare)
        landed = shop()
        _told("plain")(landed)
        run = warehouse.refresh(landed.raw, as_of)
        return warehouse.decision(FRONT)["reason"], run["reason"]

    assert reasons() == (None, None)
    gone = "drop table intermediate.int_changes__subscription_done"
    assert reasons(gone) == ("no finished run to build on",) * 2
    assert reasons(as_of=_day(-1)) == (f"as of goes back from {DAY}",) * 2
    many = {FRONT: ("row_count * 1.0", "row_count * 0.0")}
    assert reasons(edit=many) == ("more rows changed than incremental_max_share",) * 2
    many = {RUN: ("sizes.subscriptions * 1.0", "sizes.subscriptions * 0.0")}
    assert reasons(edit=many) == (None, "more subscriptions changed than incremental_max_share")
    half = f"update intermediate.{RUN} set run_id = 'killed', mode = 'full'"
    assert reasons(half) == (None, "the last full build was interrupted")
    half = f"update intermediate.{FRONT} set run_id = 'killed', mode = 'full'"
    assert reasons(half) == ("the last full build was interrupted",) * 2


# --- whatever happens


keys = st.sampled_from([f"s{n}" for n in range(6)])
customers = st.sampled_from(["c0", "c1", "c2"])
near = st.integers(-6, 25).map(_at)
old = st.integers(-150, 5).map(_at)
prices = st.sampled_from(["10", "12.5", "0", None])
plans = st.sampled_from(["p", "q", None])
coupons = st.sampled_from([{}, {}, {"discount_percent": "50", "discount_duration": "forever"}])
TYPES = (
    "activated", "trial_started", "renewed", "plan_changed", "price_changed", "quantity_changed", "pause_scheduled",
    "pause_withdrawn", "paused", "resumed", "payment_failed", "payment_recovered", "cancel_scheduled",
    "cancel_withdrawn", "cancelled", "expired", "reactivated", "discount_changed", "unheard of",
)  # fmt: skip


@st.composite
def rows(draw: st.DrawFn) -> Change:
    """Today's row: new, or what it says now."""
    row = {
        "subscription_id": draw(keys), "customer_id": draw(customers), "plan_id": draw(plans), "price": draw(prices),
        "status": draw(st.sampled_from(["active", "active", "trialing", "paused", "past_due", "cancelled", "odd"])),
        "started_at": draw(old), "interval": draw(st.sampled_from(["month", "year", None])),
        "currency": draw(st.sampled_from(["EUR", "EUR", "USD"])), **draw(coupons),
        **draw(st.dictionaries(
            st.sampled_from(["trial_end", "pause_start", "pause_end", "cancel_at", "cancelled_at", "ended_at"]), near,
            max_size=3,
        )),
    }  # fmt: skip
    return lambda landed: landed.add("subscriptions", **row)


@st.composite
def events(draw: st.DrawFn) -> Change:
    """A word of the log, for now, late or dated; an event's number may come again, elsewhere too."""
    row = {
        "event_id": draw(st.sampled_from([f"e{n}" for n in range(20)])), "subscription_id": draw(keys),
        "type": draw(st.sampled_from(TYPES)), "occurred_at": draw(st.one_of(old, near)),
        "effective_at": draw(st.one_of(st.none(), near)), "plan_id": draw(plans), "price": draw(prices),
        "quantity": draw(st.sampled_from([None, None, "2"])), "deleted_at": draw(st.one_of(st.none(), st.none(), near)),
        **draw(st.one_of(
            coupons,
            near.map(lambda end: {
                "discount_amount": "3", "discount_duration": "months", "discount_ends_at": end
            }),
        )),
    }  # fmt: skip
    return lambda landed: landed.add("subscription_events", **row)


@st.composite
def gone(draw: st.DrawFn) -> Change:
    """A forgotten file, and the same rows once more."""
    table, number = draw(st.sampled_from(["subscriptions", "subscription_events"])), draw(st.integers(0, 40))
    is_repeated = draw(st.booleans())

    def change(landed: Landed) -> None:
        if not landed.raw[table]:
            return
        row = landed.raw[table][number % len(landed.raw[table])]
        if is_repeated:
            landed.versions += 1
            landed.raw[table].append({**row, "_ritorno_batch": landed.versions, "_ritorno_line": 2})
        else:
            landed.raw[table].remove(row)

    return change


others = st.one_of(
    st.tuples(st.sampled_from(["p", "q"]), st.sampled_from(["9", "11"]), st.sampled_from(["month", "week"])).map(
        lambda plan: added("plans", plan_id=plan[0], price=plan[1], interval=plan[2])
    ),
    st.tuples(st.integers(-150, 10), st.sampled_from(["0.9", "0.8"])).map(
        lambda rate: added("exchange_rates", date=_day(rate[0]), from_currency="USD", to_currency="EUR", rate=rate[1])
    ),
    st.tuples(customers, customers, st.booleans()).map(
        lambda said: added(
            "identity_overrides", left_id=said[0], right_id=said[1], same_person=said[2], decided_at=_at(-50)
        )
    ),
)
KILLED_BEFORE = (
    FRONT, ROWS, EVENTS, LIST, LOG, HISTORY, TERMS, "int_subscriptions__intervals", "int_subscriptions__account_days",
    "mrr_movements", "int_changes__kept_plans", DONE,
)  # fmt: skip


@st.composite
def refreshes(draw: st.DrawFn) -> list[tuple[list[Change], int, str | None]]:
    """What lands before each refresh, by how many days as-of moves, and before which model the run is killed."""
    first = draw(st.lists(st.one_of(rows(), events(), events()), min_size=6, max_size=14))
    later = st.tuples(
        st.lists(st.one_of(rows(), events(), events(), gone(), others), max_size=3),
        st.sampled_from([0, 1, 1, 1, 2, 10, -3]),
        st.sampled_from([None, None, *KILLED_BEFORE]),
    )
    return [(first, 0, None), *draw(st.lists(later, min_size=3, max_size=8 if SOAK else 5))]


@EXAMPLES
@given(refreshes())
def test_after_every_refresh_subscriptions_are_what_a_full_build_makes_soak(days: list[Any]) -> None:
    agrees_after_each(days, Subscriptions(), Book(), DAY)

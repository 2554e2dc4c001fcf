"""Lifecycles follow what happened to customers: each reason for which one is recomputed, that none can be forgotten,
and that whatever happens leaves what a full build makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ritorno.incremental import LIFECYCLE, is_of_lifecycle
from tests.incremental.happens import Case, Change, Landed, added, agrees_after_each, nothing, without
from tests.incremental.shop import Warehouse
from tests.support import Project
from tests.support.examples import SOAK

DAY = date(2024, 3, 10)
DONE, LIST = "int_changes__lifecycle_done", "int_changes__lifecycle_customers"
POINTS, HISTORY = "int_lifecycle__points", "lifecycle_history"
EXAMPLES = settings(max_examples=60 if SOAK else 1, deadline=None, suppress_health_check=list(HealthCheck))
TABLES = (
    "orders", "customers", "subscriptions", "subscription_events", "interactions", "identity_overrides", "refunds"
)  # fmt: skip
POLICY: Mapping[str, Any] = {
    "incremental": "always",
    "incremental_max_share": 1.0,
    "at_risk_after_days": 20,
    "lapsed_after_days": 40,
    "registered_at_risk_after_days": 10,
    "registered_lapsed_after_days": 25,
    "percentile_min_history_days": 31,
    "percentile_min_gaps": 3,
}


def _at(day: int, hour: int = 12) -> datetime:
    return datetime.combine(DAY + timedelta(days=day), time(hour))


def _day(number: int) -> date:
    return DAY + timedelta(days=number)


@dataclass
class Lifecycles(Warehouse):
    """A home that is refreshed up to the end of the lifecycle."""

    project: Project = field(default_factory=lambda: Project.compile(**POLICY))
    until: str = DONE

    @cached_property
    def kept(self) -> list[str]:
        """The lifecycle's tables; what comes before them is compared elsewhere."""
        nodes = map(self.project._node, self.project.order([self.until]))
        return [str(node["name"]) for node in nodes if is_of_lifecycle(node)]


EMPTY = (
    "crm_", "loyalty", "consent", "campaign", "support", "nps", "review", "referral", "products__", "value__",
    "rates__c", "rates__gaps", "plans",
)  # fmt: skip
"""Words in the names of models that have no rows here, or that no lifecycle asks for: the first run builds them."""


def _is_asked_for(model: str) -> bool:
    return not any(word in model for word in EMPTY)


def _is_asked_for_by_buyers(model: str) -> bool:
    return _is_asked_for(model) and ("subscription" not in model or model.startswith("int_changes__lifecycle"))


class Book(Landed):
    """What stands landed of people."""

    def __init__(self) -> None:
        super().__init__()
        self.raw = {name: [] for name in TABLES}

    def orders(self, customer: str, *days: int, **values: Any) -> None:
        """An order on each of these days."""
        for day in days:
            row = {"order_id": f"{customer} {day}", "ordered_at": _at(day), "total": "10"}
            self.add("orders", customer_id=customer, **{**row, **values})

    def registered(self, customer: str, day: int, **values: Any) -> None:
        """An account."""
        self.add("customers", customer_id=customer, created_at=_at(day), **values)

    def subscribed(self, customer: str, day: int) -> None:
        """A subscription that lives from this day on."""
        row = {"subscription_id": customer, "customer_id": customer, "price": "10", "interval": "month"}
        self.add("subscriptions", status="active", started_at=_at(day), **row)
        self.event(customer, "activated", day)

    def event(self, customer: str, type: str, day: int) -> None:
        """A word of the log."""
        row = {"event_id": f"{customer} {self.versions}", "subscription_id": customer, "type": type}
        self.add("subscription_events", occurred_at=_at(day), **row)


def shop() -> Book:
    """Business customers by the fixed thresholds of twenty and forty days, private ones by percentiles of the gaps that
    they had completed by the month before."""
    book = Book()
    for customer, days in (("c0", (-70, -65, -60, -53)), ("c1", (-70, -66, -61)), ("c2", (-69, -9))):
        book.orders(customer, *days)
    # who goes over to the other line, and who was there before
    book.orders("mover", -30)
    book.registered("mover", -31)
    book.registered("firm", -71, account_type="b2b")
    book.orders("firm", -70)
    # silences of business customers that come to a threshold two days on
    for customer, day in (("at risk", -19), ("lapses", -39)):
        book.registered(customer, day - 1, account_type="b2b")
        book.orders(customer, day)
    book.registered("silent", -9)
    book.registered("long silent", -24)
    book.registered("registered", -5)
    book.subscribed("subscriber", -20)
    book.orders("subscriber", -15)
    # in the west it is still today when she is first seen; her order doesn't count
    book.orders("west", 0, status="cancelled", store_timezone="Pacific/Honolulu", ordered_at=_at(1, 5))
    return book


ROWS = "int_changes__lifecycle_rows"
OF_ORDERS = "select customer_key from customers\n", "select customer_key from customers where false\n"


def _unhashed(cte: str) -> tuple[str, str]:
    return f"from {cte}\n", f"from {cte} where false\n"


CASES: Mapping[str, Case] = {
    "an order that came": Case(
        added("orders", order_id="new", customer_id="mover", ordered_at=_at(-1), total="5"), 0, LIST, *OF_ORDERS,
        until=POINTS,
    ),
    "an order that is gone": Case(without("orders", order_id="c2 -9"), 0, LIST, *OF_ORDERS, until=POINTS),
    "an account that is gone": Case(
        without("customers", customer_id="registered"), 0, LIST,
        "coalesce(lifecycle_rows.customer_key, kept_lifecycle_rows.customer_key)", "lifecycle_rows.customer_key",
        until=HISTORY,
    ),
    "a subscription that ended": Case(
        lambda landed: landed.add(
            "subscription_events", event_id="end", subscription_id="subscriber", type="cancelled", occurred_at=_at(-1)
        ),
        0, ROWS, *_unhashed("live_spans"), until=POINTS,
    ),
    "another business line": Case(
        lambda landed: landed.add("customers", customer_id="mover", created_at=_at(-31), account_type="b2b"),
        0, ROWS, *_unhashed("lines"), until=POINTS,
    ),
    "somebody who only registered came to look": Case(
        added(
            "interactions", event_id="i", customer_id="registered", type="visited", channel="web", occurred_at=_at(-1)
        ),
        0, ROWS, *_unhashed("contacts"), until=HISTORY,
    ),
    "a threshold of others' gaps": Case(
        without("orders", order_id="c0 -53"), 0, LIST,
        "inner join changed_thresholds on", "inner join changed_thresholds on false and", until=POINTS,
    ),
    "the day on which somebody is at risk": Case(
        nothing, 2, LIST, "standing.at_risk_days + 1", "standing.at_risk_days + 1000", until=HISTORY
    ),
    "the day on which somebody has lapsed": Case(
        nothing, 2, LIST, "standing.lapsed_days + 1", "standing.lapsed_days + 1000", until=HISTORY
    ),
    "the day on which a registration is at risk": Case(nothing, 2, LIST, "10 + 1", "10 + 1000", until=HISTORY),
    "the day on which a registration has lapsed": Case(nothing, 2, LIST, "25 + 1", "25 + 1000", until=HISTORY),
    "somebody first seen on what was tomorrow": Case(
        nothing, 1, "int_lifecycle__contacts", "and lines.first_seen_date <=", "and lines.first_seen_date <= 9 +",
        until=HISTORY,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop after its first day."""
    path = tmp_path_factory.mktemp("lifecycle") / "base.duckdb"
    warehouse = Lifecycles()
    warehouse.refresh(shop().raw, DAY)
    assert warehouse.differences(DAY) == {}
    warehouse.save(path)
    return path


def _next(
    base: Path,
    changes: list[Change],
    days: int,
    edit: Mapping[str, tuple[str, str]] | None = None,
    rebuilt: Callable[[str], bool] = _is_asked_for,
) -> tuple[set[str], Lifecycles]:
    warehouse, landed = Lifecycles(edit=edit or {}, rebuilt=rebuilt), shop()
    warehouse.stand(base)
    if edit and LIST not in edit:  # what is kept of the last run has the fault as well
        warehouse.refresh(landed.raw, DAY)
    for change in changes:
        change(landed)
    warehouse.refresh(landed.raw, _day(days))
    assert warehouse.decision(LIFECYCLE)["reason"] is None
    return set(warehouse.differences(_day(days))), warehouse


def _named(warehouse: Lifecycles) -> set[str]:
    """Touched customers by the names of their accounts."""
    named = warehouse.con.execute("select customer_key, customer_id from intermediate.int_identity__customer_ids")
    names = dict(named.fetchall())
    return {names[key] for key in warehouse.touched(LIST)}


@pytest.mark.parametrize("name", CASES)
def test_no_reason_to_touch_a_lifecycle_can_be_forgotten_unseen(base: Path, name: str) -> None:
    case = CASES[name]
    rebuilt = _is_asked_for if "subscription" in name else _is_asked_for_by_buyers
    differing, _ = _next(base, [case.change], case.days, {case.model: (case.found, case.put)}, rebuilt)
    assert case.until in differing


@pytest.mark.parametrize(("begin", "days"), [(0, 0), (1, 2), (2, 1), (3, 30)])
def test_what_happens_together_leaves_what_a_full_build_makes(base: Path, begin: int, days: int) -> None:
    assert _next(base, [case.change for case in list(CASES.values())[begin::4]], days)[0] == set()


@pytest.mark.parametrize(
    ("change", "days", "touched"),
    [
        (nothing, 0, set()),
        (nothing, 2, {"at risk", "lapses", "silent", "long silent", "west"}),
        (CASES["an order that came"].change, 0, {"mover"}),
        # private ones with a point in February or March
        (CASES["a threshold of others' gaps"].change, 0, {"c0", "c2", "mover", "subscriber"}),
    ],
)
def test_a_stay_that_is_merely_open_is_not_touched(base: Path, change: Change, days: int, touched: set[str]) -> None:
    differing, warehouse = _next(base, [change], days, rebuilt=_is_asked_for_by_buyers)
    assert differing == set()
    assert _named(warehouse) == touched


INTERRUPTED = "where (select before.is_interrupted from before)"


@pytest.mark.parametrize("is_forgotten", [False, True])
def test_what_a_killed_run_had_built_is_built_again_though_its_cause_is_gone(base: Path, is_forgotten: bool) -> None:
    """The file that caused it is forgotten: nothing but the list of the killed run tells of it."""
    edit = {LIST: (INTERRUPTED, "where false")} if is_forgotten else {}
    warehouse, landed = Lifecycles(edit=edit, rebuilt=_is_asked_for), shop()
    warehouse.stand(base)
    CASES["a subscription that ended"].change(landed)
    warehouse.refresh(landed.raw, DAY, killed_before=HISTORY)
    assert HISTORY in warehouse.differences(DAY)
    warehouse.refresh(shop().raw, DAY)
    run = warehouse.decision(LIFECYCLE)
    assert (run["mode"], run["is_interrupted"]) == ("incremental", True)
    assert (warehouse.differences(DAY) == {}) is not is_forgotten


@pytest.mark.parametrize("is_forgotten", [False, True])
def test_whom_a_finished_heavy_tier_touched_is_not_lost_where_the_run_was_killed_before_lifecycles(
    base: Path, is_forgotten: bool
) -> None:
    unfinished = "coalesce(before.done_run_id != heavy_before.done_run_id, true)"
    edit = {LIFECYCLE: (unfinished, "false")} if is_forgotten else {}
    warehouse = Lifecycles(edit=edit, rebuilt=_is_asked_for_by_buyers)
    warehouse.stand(base)
    landed = shop()
    CASES["an order that came"].change(landed)
    warehouse.until = "int_changes__done"
    warehouse.refresh(landed.raw, DAY)
    warehouse.until = DONE
    warehouse.refresh(landed.raw, DAY)
    run = warehouse.decision(LIFECYCLE)
    said = None if is_forgotten else "the last finished run of the heavy tier left the lifecycle unfinished"
    assert run["reason"] == said
    assert (warehouse.differences(DAY) == {}) is not is_forgotten


def test_why_everything_is_built(base: Path) -> None:
    def reason(prepare: str = "select 1", as_of: date = DAY, edit: Mapping[str, tuple[str, str]] | None = None) -> Any:
        warehouse = Lifecycles(edit=edit or {}, until=LIFECYCLE, rebuilt=_is_asked_for_by_buyers)
        warehouse.stand(base)
        warehouse.con.execute(prepare)
        landed = shop()
        CASES["an order that came"].change(landed)
        warehouse.refresh(landed.raw, as_of)
        return warehouse.decision(LIFECYCLE)["reason"]

    unfinished = "the last finished run of the heavy tier left the lifecycle unfinished"
    assert reason() is None
    assert reason("drop table intermediate.int_changes__done") == "no finished run to build on"
    assert reason(f"drop table intermediate.{DONE}") == unfinished
    assert reason(as_of=_day(-1)) == f"as of goes back from {DAY}"
    many = {LIFECYCLE: ("sizes.customers * 1.0", "sizes.customers * 0.0")}
    assert reason(edit=many) == "more lifecycles changed than incremental_max_share"
    half = f"update intermediate.{LIFECYCLE} set run_id = 'killed', mode = 'full'"
    assert reason(half) == "the last full build was interrupted"


# --- whatever happens


customers = st.sampled_from([f"c{n}" for n in range(5)])
days = st.integers(-120, 12)


@st.composite
def orders(draw: st.DrawFn) -> Change:
    """An order: new, or another word on one that is there."""
    row = {
        "order_id": draw(st.sampled_from([f"o{n}" for n in range(14)])), "customer_id": draw(customers),
        "ordered_at": _at(draw(days), draw(st.sampled_from([3, 12, 23]))), "total": "10",
        "status": draw(st.sampled_from(["paid", "paid", "paid", "cancelled"])),
        "store_timezone": draw(st.sampled_from([None, None, "Pacific/Honolulu"])),
    }  # fmt: skip
    return lambda landed: landed.add("orders", **row)


@st.composite
def others(draw: st.DrawFn) -> Change:
    """An account and its line, an interaction, a subscription and what becomes of it, who is who."""
    customer, other, day = draw(customers), draw(customers), draw(days)
    kind = draw(st.sampled_from(["b2c", "b2b"]))
    table, row = draw(
        st.sampled_from(
            [
                ("customers", {"customer_id": customer, "created_at": _at(day), "account_type": kind}),
                ("interactions", {
                    "customer_id": customer, "type": "visited", "channel": "web", "occurred_at": _at(day)
                }),
                ("subscriptions", {
                    "subscription_id": f"s {customer}", "customer_id": customer, "price": "10", "interval": "month",
                    "status": "active", "started_at": _at(-100),
                }),
                ("subscription_events", {
                    "subscription_id": f"s {customer}", "occurred_at": _at(day), "effective_at": _at(day + 9),
                    "type": draw(st.sampled_from(
                        ["activated", "paused", "cancel_scheduled", "cancelled", "reactivated"]
                    )),
                }),
                ("identity_overrides", {
                    "left_id": customer, "right_id": other, "same_person": kind == "b2b", "decided_at": _at(-99)
                }),
            ]
        )
    )  # fmt: skip
    number = "event_id" if table in ("interactions", "subscription_events") else None

    def change(landed: Landed) -> None:
        landed.add(table, **row, **({number: f"n{landed.versions}"} if number else {}))

    return change


@st.composite
def gone(draw: st.DrawFn) -> Change:
    """A forgotten file."""
    table, number = (
        draw(st.sampled_from(["orders", "orders", "interactions", "subscriptions"])),
        draw(st.integers(0, 40)),
    )

    def change(landed: Landed) -> None:
        if landed.raw[table]:
            del landed.raw[table][number % len(landed.raw[table])]

    return change


KILLED_BEFORE = (
    "orders", "int_changes__done", ROWS, LIST, LIFECYCLE, POINTS, HISTORY, "int_changes__kept_thresholds", DONE
)  # fmt: skip


@st.composite
def refreshes(draw: st.DrawFn) -> list[tuple[list[Change], int, str | None]]:
    """What lands before each refresh, by how many days as-of moves, and before which model the run is killed."""
    first = draw(st.lists(st.one_of(orders(), orders(), others()), min_size=8, max_size=16))
    later = st.tuples(
        st.lists(st.one_of(orders(), orders(), others(), gone()), max_size=3),
        st.sampled_from([0, 1, 1, 1, 2, 10, 30, -3]),
        st.sampled_from([None, None, None, *KILLED_BEFORE]),
    )
    return [(first, 0, None), *draw(st.lists(later, min_size=3, max_size=8 if SOAK else 5))]


@pytest.mark.parametrize("method", ["percentile", "personal"])
@EXAMPLES
@given(happenings=refreshes())
def test_after_every_refresh_lifecycles_are_what_a_full_build_makes_soak(method: str, happenings: list[Any]) -> None:
    warehouse = Lifecycles(project=Project.compile(**{**POLICY, "lifecycle_method": method}))
    warehouse.refresh({}, DAY)
    warehouse.rebuilt = _is_asked_for
    agrees_after_each(happenings, warehouse, Book(), DAY)

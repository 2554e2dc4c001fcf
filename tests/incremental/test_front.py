"""The front follows what landed: each reason for which an order is recomputed, and that none can be forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest

from tests.incremental.happens import Case, Change, Landed, added, nothing, rewritten, without
from tests.incremental.shop import Warehouse

DAY = date(2024, 3, 1)


def _at(day: date, hour: int = 12) -> datetime:
    return datetime.combine(day, time(hour))


def _day(number: int) -> date:
    return DAY + timedelta(days=number)


def shop() -> Landed:
    """Orders and lines of which every kind of dependency has one."""
    landed = Landed()
    for key in ("plain", "old", "moves", "other", "dear"):
        landed.add("orders", order_id=key, ordered_at=_at(_day(-20)), total="20", customer_id="c0")
        landed.add("order_items", order_id=key, order_item_id=f"{key}-1", product_id="p", quantity="1", unit_price="20")
    # a batch of two lines without id, which a newer one replaces
    landed.add("orders", order_id="lines", ordered_at=_at(_day(-9)), total="20", customer_id="c1")
    for product in ("p", "q"):
        landed.add("order_items", order_id="lines", product_id=product, quantity="1", unit_price="10")
    # days that are still to come
    landed.add("orders", order_id="future", ordered_at=_at(_day(2)), total="7", customer_id="c0")
    landed.add("orders", order_id="corrected", ordered_at=_at(_day(-5)), total="7", customer_id="c0")
    landed.add(
        "orders", order_id="corrected", ordered_at=_at(_day(-5)), total="8", customer_id="c0", updated_at=_at(_day(2))
    )
    landed.add("orders", order_id="deleted", ordered_at=_at(_day(-5)), customer_id="c0", deleted_at=_at(_day(2)))
    landed.add("orders", order_id="cancelled", ordered_at=_at(_day(-5)), customer_id="c0", cancelled_at=_at(_day(2)))
    landed.add(
        "order_items", order_id="plain", order_item_id="plain-2", product_id="q", quantity="1", unit_price="1",
        deleted_at=_at(_day(2)),
    )  # fmt: skip
    for version, stamp in (("2", _at(_day(-3))), ("3", _at(_day(2)))):
        landed.add(
            "order_items", order_id="old", order_item_id="old-2", product_id="q", quantity=version, unit_price="1",
            updated_at=stamp,
        )  # fmt: skip
    # the status of a deletion by the calendar of a store, whose day begins ten hours later
    landed.add(
        "orders", order_id="far", ordered_at=_at(_day(-5)), total="5", customer_id="c0", status="deleted",
        store_timezone="Pacific/Honolulu", deleted_at=_at(_day(3), 5),
    )  # fmt: skip
    # a line id of two orders, one of which never came
    landed.add("order_items", order_id="other", order_item_id="twice", product_id="p", quantity="2", unit_price="2")
    landed.add("order_items", order_id="never", order_item_id="twice", product_id="p", quantity="1", unit_price="2")
    # two orders claim one line: the later has it
    landed.add("order_items", order_id="moves", order_item_id="moved", product_id="p", quantity="1", unit_price="3")
    landed.add("order_items", order_id="plain", order_item_id="moved", product_id="p", quantity="1", unit_price="3")
    # in dollars, two on one day, one of them deleted: only the other needs the rate
    for key, deleted in (("usd", None), ("gone", _at(_day(-1)))):
        landed.add(
            "orders", order_id=key, ordered_at=_at(_day(-7)), total="10", currency="USD", customer_id="c2",
            deleted_at=deleted,
        )  # fmt: skip
    landed.add("exchange_rates", date=_day(-7), from_currency="USD", to_currency="EUR", rate="0.9")
    landed.add("payments", payment_id="y0", order_id="dear", paid_at=_at(_day(-4)), amount="20", status="success")
    landed.add("payments", payment_id="y1", order_id="other", paid_at=_at(_day(2)), amount="20", status="failed")
    landed.add("orders", order_id="guest", ordered_at=_at(_day(-4)), total="5", email="g@x.org")
    landed.add("refunds", refund_id="r", order_id="dear", refunded_at=_at(_day(-2)), amount="4")
    # what a loader wrote has neither file nor line
    for key in ("loaded", "loaded too"):
        landed.raw["orders"].append(
            {"order_id": key, "ordered_at": _at(_day(-6)), "total": "5", "customer_id": "c3", **_LOADED}
        )
    return landed


_LOADED = {"_ritorno_file": None, "_ritorno_line": None, "_ritorno_batch": None}


def _loaded(landed: Landed) -> None:
    landed.raw["orders"].append({"order_id": "loaded now", "ordered_at": _at(_day(-1)), "total": "1", **_LOADED})


ORDERS, ITEMS, PAYMENTS = "int_canonical__orders", "int_canonical__order_items", "int_canonical__payments"
CLASSIFIED, OWNERS = "int_orders__classified", "int_identity__order_customers"
IDS, ITEM_IDS, PAYMENT_IDS = "int_changes__order_ids", "int_changes__item_order_ids", "int_changes__payment_order_ids"
NEW = "inner join chunks on landed.batch = chunks.batch", "inner join chunks on false and landed.batch = chunks.batch"
GONE = "on standing.source_batch = chunks.batch", "on false and standing.source_batch = chunks.batch"
UPDATED = "standing.updated_at > front.due_from", "false and standing.updated_at > front.due_from"
DELETED = "standing.deleted_at > front.due_from", "false and standing.deleted_at > front.due_from"
EVENT = "standing.event_date > front.last_as_of_date", "false and standing.event_date > front.last_as_of_date"
STOOD = '"warehouse"."intermediate"."int_canonical__order_items"'
LINE = {"product_id": "p", "quantity": "1", "unit_price": "20"}
GUEST_ACCOUNT = {"customer_id": "c9", "email": "g@x.org", "created_at": _at(_day(-50))}
CASES: Mapping[str, Case] = {
    "an order that came": Case(
        added("orders", order_id="new", ordered_at=_at(_day(-1)), total="3"), 0, IDS, *NEW, until=ORDERS
    ),
    "an order whose file is forgotten": Case(without("orders", order_id="plain"), 0, IDS, *GONE, until=ORDERS),
    "an order that can be read no more and has no id now": Case(
        rewritten("orders", {"order_id": "plain"}, order_id=None), 0, IDS, *NEW, until=ORDERS
    ),
    "a row that an erasure wrote over": Case(
        rewritten("orders", {"order_id": "plain"}, email="erased-1@erased.invalid"), 0, "int_changes__chunks",
        "landed.row_hashes != kept.row_hashes", "false", until=ORDERS,
    ),
    "a chunk with a row less": Case(
        without("orders", order_id="loaded"), 0, "int_changes__chunks",
        "full outer join kept", "inner join kept", until=ORDERS,
    ),
    "a loader's row": Case(_loaded, 0, IDS, *NEW, until=ORDERS),
    "a loader's row that is gone": Case(without("orders", order_id="loaded too"), 0, IDS, *GONE, until=ORDERS),
    "an order whose day has come": Case(nothing, 2, IDS, *EVENT, until=ORDERS),
    "a correction whose day has come": Case(nothing, 2, IDS, *UPDATED, until=ORDERS),
    "a deletion whose day has come": Case(nothing, 2, IDS, *DELETED, until=ORDERS),
    "a line that came": Case(
        added("order_items", order_id="plain", order_item_id="plain-9", **LINE), 0, ITEM_IDS, *NEW, until=ITEMS
    ),
    "lines without id that newer ones replace": Case(
        added("order_items", order_id="lines", **LINE), 0, ITEM_IDS, *NEW, until=ITEMS
    ),
    "a line whose file is forgotten": Case(
        without("order_items", order_item_id="dear-1"), 0, ITEM_IDS, *GONE, until=ITEMS
    ),
    "a line's correction whose day has come": Case(nothing, 2, ITEM_IDS, *UPDATED, until=ITEMS),
    "a line's deletion whose day has come": Case(nothing, 2, ITEM_IDS, *DELETED, until=ITEMS),
    "lines whose order is gone": Case(
        without("orders", order_id="dear"), 0, ITEM_IDS,
        "where coalesce(standing.order_id, '') in (select order_ids.order_id from order_ids)", "where false",
        until=ITEMS,
    ),
    "a line that another order's line replaces, now that it has come itself": Case(
        added("orders", order_id="never", ordered_at=_at(_day(-1)), total="3"), 0, ITEM_IDS,
        f"as row_id from {STOOD} as standing where coalesce",
        f"|| '?' as row_id from {STOOD} as standing where coalesce",
        until=ITEMS,
    ),
    "a line that went to another order": Case(
        added("order_items", order_id="other", order_item_id="dear-1", **LINE), 0, ITEM_IDS,
        "where standing.order_item_id in (select changed_keys.row_id from changed_keys)", "where false", until=ITEMS,
    ),
    "a line that another order has, though only its own changed": Case(
        added("order_items", order_id="moves", order_item_id="moves-9", **LINE), 0, "int_changes__item_inputs",
        "where standing.order_item_id in (select keys.row_id from keys)", "where false", until=ITEMS,
    ),
    "a payment": Case(
        added("payments", payment_id="y9", order_id="plain", paid_at=_at(_day(-1)), amount="1", status="failed"), 0,
        PAYMENT_IDS, *NEW, until=PAYMENTS,
    ),
    "a payment whose file is forgotten": Case(
        without("payments", payment_id="y0"), 0, PAYMENT_IDS, *GONE, until=PAYMENTS
    ),
    "a payment whose day has come": Case(nothing, 2, PAYMENT_IDS, *EVENT, until=PAYMENTS),
    "what lines an order has": Case(
        added("order_items", order_id="plain", order_item_id="plain-9", **LINE), 0, "int_changes__front_orders",
        'select order_id from "warehouse"."intermediate"."int_changes__item_order_ids"\n',
        'select order_id from "warehouse"."intermediate"."int_changes__item_order_ids" where false\n',
        until=CLASSIFIED,
    ),
    "what paid for an order": Case(
        nothing, 2, "int_changes__front_orders",
        'select order_id from "warehouse"."intermediate"."int_changes__payment_order_ids"\n',
        'select order_id from "warehouse"."intermediate"."int_changes__payment_order_ids" where false\n',
        until=CLASSIFIED,
    ),
    "an exchange rate that was corrected": Case(
        added("exchange_rates", date=_day(-7), from_currency="USD", to_currency="EUR", rate="0.8"), 0,
        "int_changes__front_orders", "select order_id from converted_otherwise",
        "select order_id from converted_otherwise where false", until=CLASSIFIED,
    ),
    "a rate that no order needs any more": Case(
        without("orders", order_id="usd"), 0, "int_changes__front_orders",
        "coalesce(exchange_rates.currency, kept_rates.currency)", "exchange_rates.currency", until=CLASSIFIED,
    ),
    "a cancellation whose day has come": Case(
        nothing, 2, "int_changes__front_orders",
        "orders.cancelled_at > front.due_from", "false and orders.cancelled_at > front.due_from", until=CLASSIFIED,
    ),
    "a deletion whose day has come at the store": Case(
        nothing, 2, "int_changes__front_orders",
        "orders.deleted_at > front.due_from", "false and orders.deleted_at > front.due_from", until=CLASSIFIED,
    ),
    "an account that is somebody else's": Case(
        added("identity_overrides", left_id="c0", right_id="c1", same_person=True, decided_at=_at(DAY)), 0,
        "int_changes__owned_orders",
        "select order_id from of_customers", "select order_id from of_customers where false",
        until=OWNERS,
    ),
    "a guest who turns out to be an account": Case(
        added("customers", **GUEST_ACCOUNT), 0,
        "int_changes__owned_orders", "select order_id from of_guests", "select order_id from of_guests where false",
        until=OWNERS,
    ),
    "a refund": Case(
        rewritten("refunds", {"refund_id": "r"}, amount="5"), 0, "int_changes__owned_orders",
        "select order_id from changed_refunds\n    where", "select order_id from changed_refunds\n    where false and",
        until="int_changes__kept",
    ),
    "a refund that is gone": Case(
        without("refunds", refund_id="r"), 0, "int_changes__owned_orders",
        "coalesce(refunds.order_id, kept_refunds.order_id)", "refunds.order_id", until="int_changes__kept",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop after its first run."""
    path = tmp_path_factory.mktemp("front") / "base.duckdb"
    warehouse = Warehouse()
    warehouse.refresh(shop().raw, DAY)
    warehouse.save(path)
    return path


@dataclass
class Next:
    """The run after the first one, whose `warehouse` stands at `base`."""

    base: Path

    def differences(
        self, changes: Sequence[Change], days: int, until: str, edit: Mapping[str, tuple[str, str]]
    ) -> set[str]:
        warehouse, landed = Warehouse(edit=edit, until=until), shop()
        warehouse.stand(self.base)
        for change in changes:
            change(landed)
        as_of = _day(days)
        warehouse.refresh(landed.raw, as_of)
        assert warehouse.decision("int_changes__front")["reason"] is None
        return set(warehouse.differences(as_of))


@pytest.mark.parametrize("name", CASES)
def test_no_reason_to_touch_an_order_can_be_forgotten_unseen(base: Path, name: str) -> None:
    case = CASES[name]
    edit = {case.model: (case.found, case.put)}
    assert case.until in Next(base).differences([case.change], case.days, case.until, edit)


@pytest.mark.parametrize(("begin", "days"), [(0, 0), (1, 2), (2, 0), (3, 2)])
def test_what_happens_together_leaves_what_a_full_build_makes(base: Path, begin: int, days: int) -> None:
    """All at once would touch everything; a fourth of the reasons leaves most orders as they are."""
    changes = [case.change for case in list(CASES.values())[begin::4]]
    assert Next(base).differences(changes, days, "int_changes__kept", {}) == set()


INTERRUPTED = "(select front.is_interrupted and front.mode = 'incremental' from front)"
LISTS: Mapping[str, tuple[Change, str, str]] = {
    IDS: (CASES["an order that came"].change, ITEMS, ORDERS),
    ITEM_IDS: (CASES["a line that came"].change, "int_orders__items", ITEMS),
    PAYMENT_IDS: (CASES["a payment"].change, CLASSIFIED, PAYMENTS),
    "int_changes__front_orders": (CASES["an exchange rate that was corrected"].change, OWNERS, CLASSIFIED),
    "int_changes__owned_orders": (CASES["an account that is somebody else's"].change, "int_changes__run", OWNERS),
}
"""What happens, before which model the run is killed, and which table it had built by then."""


@pytest.mark.parametrize("is_forgotten", [False, True])
@pytest.mark.parametrize("touched", LISTS)
def test_what_a_killed_run_had_built_is_built_again_though_its_cause_is_gone(
    base: Path, touched: str, is_forgotten: bool
) -> None:
    change, killed_before, table = LISTS[touched]
    edit = {touched: (f"where {INTERRUPTED}", "where false")} if is_forgotten else {}
    warehouse, landed = Warehouse(edit=edit), shop()
    warehouse.stand(base)
    change(landed)
    warehouse.refresh(landed.raw, DAY, killed_before=killed_before)
    warehouse.until = table
    assert table not in warehouse.differences(DAY)
    run = warehouse.refresh(shop().raw, DAY)
    front = warehouse.decision("int_changes__front")
    assert (front["mode"], front["is_interrupted"]) == ("incremental", True), run
    assert (table in warehouse.differences(DAY)) is is_forgotten


def test_another_systems_orders_and_too_many_rows_build_the_front_in_full(base: Path) -> None:
    def reason(landed: Landed, prepare: str = "select 1", edit: Mapping[str, tuple[str, str]] | None = None) -> str:
        warehouse = Warehouse(edit=edit or {}, until="int_changes__front")
        warehouse.stand(base)
        warehouse.con.execute(prepare)
        warehouse.refresh(landed.raw, DAY)
        found = warehouse.decision("int_changes__front")
        assert (found["mode"] == "full") is (found["reason"] is not None)
        return str(found["reason"])

    assert reason(shop()) == "None"
    retail = shop()
    retail.raw["online_retail__lines"] = [
        {"Invoice": "1", "StockCode": "2", "Quantity": "1", "InvoiceDate": "2024-01-01", "Price": "1"}
    ]
    assert reason(retail) == "rows of online_retail.orders, of which only staging knows"
    many = shop()
    for row in many.raw["orders"]:
        row["email"] = "new@x.org"
    share = {"int_changes__front": ("row_count * 1.0", "row_count * 0.5")}
    assert reason(many, edit=share) == "more rows changed than incremental_max_share"
    assert reason(shop(), "drop table intermediate.int_changes__done") == "no finished run to build on"
    later = "update intermediate.int_changes__done set as_of_date = date '2024-03-02'"
    assert reason(shop(), later) == "as of goes back from 2024-03-02"

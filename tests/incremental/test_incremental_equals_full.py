"""Whatever happens to a shop's data between two refreshes, an incremental one leaves what a full one would."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.incremental.happens import Change, Landed, agrees_after_each
from tests.incremental.shop import Warehouse
from tests.support.examples import SOAK

BEGIN = date(2024, 3, 1)
EXAMPLES = settings(max_examples=60 if SOAK else 2, deadline=None, suppress_health_check=list(HealthCheck))
PLACE = ("updated_at", "_ritorno_batch", "_ritorno_line")
"""What `Landed.add` says of a row itself."""
CUSTOMERS, EMAILS = ["c0", "c1", "c2", "c3"], ["a@x.org", "b@x.org", "d@x.org"]


def _at(day: date) -> datetime:
    return datetime.combine(day, time(12))


orders = st.sampled_from([f"o{n}" for n in range(8)])
products = st.sampled_from(["p0", "p1", "p2"])
# around as-of, so that dates fall due between two refreshes; old ones for late rows
days = st.integers(-200, 25).map(lambda n: BEGIN + timedelta(days=n))
near = st.integers(-5, 25).map(lambda n: BEGIN + timedelta(days=n))
amounts = st.sampled_from(["10.00", "9.99", "0.01", "33.33", "0"])
whose = st.one_of(
    st.sampled_from(CUSTOMERS).map(lambda key: {"customer_id": key}),
    st.sampled_from(EMAILS).map(lambda email: {"email": email}),
    st.just({}),
)


@st.composite
def order(draw: st.DrawFn) -> Change:
    """An order with its lines: new, or a later word on one that is there (another customer, day, total, status)."""
    key, who, day = draw(orders), draw(whose), draw(days)
    rest = {
        "total": draw(amounts),
        "discount": draw(st.sampled_from([None, None, "1.00"])),
        "currency": draw(st.sampled_from(["EUR", "EUR", "USD"])),
        "status": draw(st.sampled_from(["paid", "paid", "cancelled"])),
        "cancelled_at": draw(st.one_of(st.none(), st.none(), near.map(_at))),
    }
    lines = draw(st.lists(st.tuples(products, st.sampled_from(["1", "2", "-1"]), amounts, st.booleans()), max_size=3))

    def change(landed: Landed) -> None:
        landed.add("orders", order_id=key, ordered_at=_at(day), **who, **rest)
        for number, (product, quantity, price, is_keyed) in enumerate(lines):
            line = {"order_item_id": f"{key}-{number}"} if is_keyed else {}
            landed.add("order_items", order_id=key, product_id=product, quantity=quantity, unit_price=price, **line)

    return change


@st.composite
def removed_order(draw: st.DrawFn) -> Change:
    """Deleted by its system on some day, or gone because its file was forgotten."""
    key, day, is_forgotten = draw(orders), draw(near), draw(st.booleans())

    def change(landed: Landed) -> None:
        if is_forgotten:
            landed.raw["orders"] = [row for row in landed.raw["orders"] if row["order_id"] != key]
            return
        versions = [row for row in landed.raw["orders"] if row["order_id"] == key]
        if versions:
            kept = {
                name: value
                for name, value in versions[-1].items()
                if name not in ("updated_at", "_ritorno_batch", "_ritorno_line")
            }
            landed.add("orders", **{**kept, "deleted_at": _at(day)})

    return change


@st.composite
def repeated(draw: st.DrawFn) -> Change:
    """The same content once more, in another batch."""
    table, number = draw(st.sampled_from(["orders", "order_items", "refunds"])), draw(st.integers(0, 30))

    def change(landed: Landed) -> None:
        if landed.raw[table]:
            row = landed.raw[table][number % len(landed.raw[table])]
            landed.versions += 1
            landed.raw[table].append({**row, "_ritorno_batch": landed.versions, "_ritorno_line": 2})

    return change


@st.composite
def refund(draw: st.DrawFn) -> Change:
    """On an order, on one of its lines, or on none at all; now or on a day to come."""
    row = {
        "refund_id": draw(st.sampled_from(["r0", "r1", "r2"])),
        "refunded_at": _at(draw(near)),
        "amount": draw(amounts),
        **draw(
            st.one_of(
                orders.map(lambda key: {"order_id": key}),
                orders.map(lambda key: {"order_id": key, "order_item_id": f"{key}-0"}),
                st.sampled_from(CUSTOMERS).map(lambda key: {"customer_id": key}),
            )
        ),
    }
    return lambda landed: landed.add("refunds", **row)


@st.composite
def other(draw: st.DrawFn) -> Change:
    """A payment, a rate, an account's address, and what people decided about who is who."""
    table, row = draw(
        st.one_of(
            st.tuples(
                st.just("payments"),
                st.fixed_dictionaries(
                    {
                        "payment_id": st.sampled_from(["y0", "y1"]),
                        "order_id": orders,
                        "paid_at": near.map(_at),
                        "amount": amounts,
                        "status": st.sampled_from(["success", "failed"]),
                    }
                ),
            ),
            st.tuples(
                st.just("exchange_rates"),
                st.fixed_dictionaries(
                    {
                        "date": days,
                        "from_currency": st.just("USD"),
                        "to_currency": st.just("EUR"),
                        "rate": st.sampled_from(["0.9", "0.91", "1.1"]),
                    }
                ),
            ),
            st.tuples(
                st.just("customers"),
                st.fixed_dictionaries(
                    {
                        "customer_id": st.sampled_from(CUSTOMERS),
                        "email": st.sampled_from([*EMAILS, None]),
                        "created_at": st.just(_at(BEGIN - timedelta(days=300))),
                    }
                ),
            ),
            st.tuples(
                st.just("identity_overrides"),
                st.fixed_dictionaries(
                    {
                        "left_id": st.sampled_from(CUSTOMERS),
                        "right_id": st.sampled_from(CUSTOMERS),
                        "same_person": st.booleans(),
                        "decided_at": st.just(_at(BEGIN)),
                    }
                ),
            ),
        )
    )
    return lambda landed: landed.add(table, **row)


changes = st.one_of(order(), order(), removed_order(), repeated(), refund(), other(), other())


KILLED_BEFORE = (
    "int_changes__front", "int_canonical__orders", "int_canonical__order_items", "int_orders__classified",
    "int_identity__order_customers", "int_changes__fingerprints", "orders", "int_products__purchases",
    "int_changes__kept", "int_changes__done",
)  # fmt: skip


@st.composite
def refreshes(draw: st.DrawFn) -> list[tuple[list[Change], int, int | None]]:
    """What lands before each refresh, by how many days as-of moves, and before which model the run is killed."""
    first = (draw(st.lists(order(), min_size=4, max_size=8)), 0, None)
    later = st.tuples(
        st.lists(changes, min_size=0, max_size=3),
        st.sampled_from([0, 1, 1, 1, 2, 10, -3]),
        st.sampled_from([None, None, *KILLED_BEFORE]),
    )
    return [first, *draw(st.lists(later, min_size=3, max_size=8 if SOAK else 5))]


@EXAMPLES
@given(refreshes())
def test_after_every_refresh_the_heavy_tier_is_what_a_full_build_makes_soak(days_of_a_shop: list[Any]) -> None:
    agrees_after_each(days_of_a_shop, Warehouse(), Landed(), BEGIN)


# --- one thing at a time: that it is seen, and that nothing else is recomputed


def shop() -> Landed:
    """Five orders of four customers, one of them anonymous, one in dollars, and a refund of a line."""
    landed = Landed()
    for number, who in enumerate(
        ({"customer_id": "c0"}, {"customer_id": "c0"}, {"customer_id": "c1"}, {"email": "a@x.org"}, {})
    ):
        day = BEGIN - timedelta(days=10 * number + 1)
        currency = "USD" if number == 2 else "EUR"
        landed.add("orders", order_id=f"o{number}", ordered_at=_at(day), total="20.00", currency=currency, **who)
        for line in range(2):
            landed.add(
                "order_items",
                order_item_id=f"o{number}-{line}",
                order_id=f"o{number}",
                product_id=f"p{line}",
                quantity="1",
                unit_price="10.00",
            )
        landed.add("exchange_rates", date=day, from_currency="USD", to_currency="EUR", rate="0.9")
    landed.add("customers", customer_id="c1", email="b@x.org", created_at=_at(BEGIN))
    landed.add("refunds", refund_id="r", order_id="o1", order_item_id="o1-0", refunded_at=_at(BEGIN), amount="4")
    return landed


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop after its first day."""
    path, warehouse = tmp_path_factory.mktemp("heavy-tier") / "base.duckdb", Warehouse()
    first = warehouse.refresh(shop().raw, BEGIN)
    assert (first["mode"], first["reason"]) == ("full", "no finished run to build on")
    warehouse.save(path)
    return path


def standing(base: Path) -> tuple[Warehouse, Landed]:
    """The warehouse after the first day, and what had landed."""
    warehouse = Warehouse()
    warehouse.stand(base)
    return warehouse, shop()


def _of(landed: Landed, table: str, **key: Any) -> Mapping[str, Any]:
    row = next(row for row in landed.raw[table] if all(row[name] == value for name, value in key.items()))
    return {name: value for name, value in row.items() if name not in PLACE}


def _forget(landed: Landed) -> None:
    landed.raw["orders"] = [row for row in landed.raw["orders"] if row["order_id"] != "o3"]


CASES: Mapping[str, tuple[Change, int, int]] = {
    "nothing new": (lambda landed: None, 0, 0),
    "a day without news": (lambda landed: None, 1, 0),
    "the same file in another batch": (
        lambda landed: landed.raw["orders"].extend(
            {**row, "_ritorno_batch": 99} for row in deepcopy(landed.raw["orders"])
        ),
        0,
        0,
    ),
    "a late order": (
        lambda landed: landed.add(
            "orders", order_id="o9", ordered_at=_at(date(2023, 1, 1)), total="5", customer_id="c1"
        ),
        0,
        1,
    ),
    "a corrected discount": (
        lambda landed: landed.add("orders", **{**_of(landed, "orders", order_id="o4"), "discount": "1"}),
        0,
        1,
    ),
    "a line's product": (
        lambda landed: landed.add(
            "order_items", **{**_of(landed, "order_items", order_item_id="o0-1"), "product_id": "p2"}
        ),
        0,
        1,
    ),
    "an order that is given to somebody else": (
        lambda landed: landed.add("orders", **{**_of(landed, "orders", order_id="o0"), "customer_id": "c1"}),
        0,
        2,
    ),
    "a customer whose only order is deleted": (
        lambda landed: landed.add("orders", **{**_of(landed, "orders", order_id="o2"), "deleted_at": _at(BEGIN)}),
        0,
        1,
    ),
    "a forgotten file": (_forget, 0, 1),
    "a refund": (
        lambda landed: landed.add("refunds", refund_id="s", order_id="o1", refunded_at=_at(BEGIN), amount="4"),
        0,
        1,
    ),
    "a refund that moves to another line": (
        lambda landed: landed.add(
            "refunds", refund_id="r", order_id="o1", order_item_id="o1-1", refunded_at=_at(BEGIN), amount="4"
        ),
        0,
        1,
    ),
    "an order of the day after, a day later": (
        lambda landed: landed.add(
            "orders", order_id="o9", ordered_at=_at(BEGIN + timedelta(days=1)), total="5", customer_id="c0"
        ),
        1,
        1,
    ),
    "a cancellation that comes due": (
        lambda landed: landed.add(
            "orders", **{**_of(landed, "orders", order_id="o0"), "cancelled_at": _at(BEGIN + timedelta(days=1))}
        ),
        1,
        1,
    ),
    "a corrected exchange rate": (
        lambda landed: landed.add(
            "exchange_rates", date=BEGIN - timedelta(days=21), from_currency="USD", to_currency="EUR", rate="0.8"
        ),
        0,
        1,
    ),
    "a failed payment": (
        lambda landed: landed.add(
            "payments", payment_id="y", order_id="o4", paid_at=_at(BEGIN), amount="20", status="failed"
        ),
        0,
        1,
    ),
    "a guest who turns out to be an account": (
        lambda landed: landed.add("customers", customer_id="c0", email="a@x.org", created_at=_at(BEGIN)),
        0,
        2,
    ),
    "a merge by hand": (
        lambda landed: landed.add(
            "identity_overrides", left_id="c0", right_id="c1", same_person=True, decided_at=_at(BEGIN)
        ),
        0,
        2,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_who_is_touched_and_nobody_else(base: Path, name: str) -> None:
    change, days_later, touched = CASES[name]
    warehouse, landed = standing(base)
    change(landed)
    as_of = BEGIN + timedelta(days=days_later)
    run = warehouse.refresh(landed.raw, as_of)
    assert (run["mode"], run["touched_customers"]) == ("incremental", touched)
    assert warehouse.differences(as_of) == {}


# --- the comparison can fail: what would be forgotten is seen


FAULTS: Mapping[str, tuple[str, str, str, Change]] = {
    "refunds left out of the fingerprint": (
        "int_changes__fingerprints",
        "+ coalesce(refunds.row_hashes, 0)",
        "",
        CASES["a refund that moves to another line"][0],
    ),
    "lines left out of the fingerprint": (
        "int_changes__fingerprints",
        "+ coalesce(hashed_items.row_hashes, 0)",
        "",
        CASES["a line's product"][0],
    ),
    "customers who are gone": (
        "int_changes__customers",
        "full outer join kept",
        "left join kept",
        CASES["a customer whose only order is deleted"][0],
    ),
    "a key that was merged away": (
        "int_changes__customers",
        "select former_customer_key as customer_key from changed_orders",
        "select customer_key from changed_orders",
        CASES["a merge by hand"][0],
    ),
    "orders that a customer had": (
        "int_changes__orders",
        'select order_key from "warehouse"."marts"."orders" where',
        'select order_key from "warehouse"."marts"."orders" where false and',
        CASES["a forgotten file"][0],
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_what_is_touched_is_seen(name: str) -> None:
    """The same changes without a fault are above. With it from the start: what is kept is faulty as well."""
    model, found, put, change = FAULTS[name]
    warehouse, landed = Warehouse(edit={model: (found, put)}), shop()
    warehouse.refresh(landed.raw, BEGIN)
    change(landed)
    assert warehouse.refresh(landed.raw, BEGIN)["mode"] == "incremental"
    assert warehouse.differences(BEGIN) != {}


def test_what_an_interrupted_run_was_about_to_touch_is_touched_again_though_its_cause_is_gone(base: Path) -> None:
    """Killed after one table, and then the file that caused it is forgotten: no fingerprint tells of it any more."""
    warehouse, landed = standing(base)
    before = deepcopy(landed.raw)
    landed.add("orders", order_id="o9", ordered_at=_at(BEGIN), total="5", customer_id="c0")
    warehouse.refresh(landed.raw, BEGIN, killed_before="order_items")
    assert warehouse.differences(BEGIN)
    run = warehouse.refresh(before, BEGIN)
    assert (run["mode"], run["is_interrupted"], run["touched_customers"]) == ("incremental", True, 1)
    assert warehouse.differences(BEGIN) == {}


def test_an_interrupted_full_build_is_built_in_full_again(base: Path) -> None:
    warehouse, landed = standing(base)
    assert warehouse.refresh(landed.raw, BEGIN - timedelta(days=1), killed_before="order_items")["mode"] == "full"
    run = warehouse.refresh(landed.raw, BEGIN)
    assert (run["mode"], run["reason"]) == ("full", "the last full build was interrupted")
    assert warehouse.differences(BEGIN) == {}


def test_an_as_of_that_goes_backward_builds_everything(base: Path) -> None:
    warehouse, landed = standing(base)
    run = warehouse.refresh(landed.raw, BEGIN - timedelta(days=1))
    assert (run["mode"], run["reason"]) == ("full", f"as of goes back from {BEGIN}")

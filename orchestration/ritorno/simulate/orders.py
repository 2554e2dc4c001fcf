"""What is in the orders, what they cost, how they were paid and what came back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ritorno.simulate import columns as c
from ritorno.simulate.clock import DAY, ZONES
from ritorno.simulate.columns import NEVER, Bools, Ints
from ritorno.simulate.people import FORMS, PHONE_FORMS, People, Profiles
from ritorno.simulate.purchases import (
    CANCELLED,
    DELETED,
    INVALID_STATUS,
    KINDS,
    NEGATIVE,
    SUBSCRIPTION,
    TEST,
    UNPAID,
    VALID_KINDS,
    Purchases,
)  # fmt: skip
from ritorno.simulate.shop import (
    CHANNELS,
    CURRENCIES,
    PRICE_FACTOR,
    STORE_ZONE,
    STORES,
    TAX_PER_MILLE,
    Shop,
    draw,
    share,
)  # fmt: skip

COUPONS = ("WELCOME10", "SUMMER15", "THANKYOU5", "FREE100")
COUPON_PER_MILLE = np.array([100, 150, 50, 1000])
ID_ROOM = 20_000_000
"""Order numbers per chunk."""

STATUSES = (
    "completed", "shipped", "delivered", "paid", "processing", "cancelled", "void", "failed", "draft", "refunded",
    "partially_refunded", " Completed ", "SHIPPED",
)  # fmt: skip
COMPLETED, PROCESSING, CANCELLED_STATUS, VOID, REFUNDED, PARTLY = 0, 4, 5, 6, 9, 10


@dataclass
class Lines:
    """Order lines, by order."""

    order: Ints
    product: Ints
    quantity: Ints
    price: Ints
    discount: Ints

    @property
    def n(self) -> int:
        """How many."""
        return len(self.order)

    @property
    def net(self) -> Ints:
        """Cents after the line's discount."""
        return self.quantity * self.price - self.discount


@dataclass
class Sales:
    """Orders with their money in cents of their currency."""

    bought: Purchases
    lines: Lines
    number: Ints
    first_line: Ints
    currency: Ints
    discount: Ints
    coupon: Ints
    tax: Ints
    shipping: Ints
    total: Ints
    tax_rate: Ints
    has_lines: Bools

    @property
    def ids(self) -> pa.Array:
        """The order ids."""
        return c.numbered("o-", self.number, 11)

    @property
    def valid(self) -> Bools:
        """Orders that count."""
        valid: Bools = np.isin(self.bought.kind, VALID_KINDS)
        return valid


def half_up(amount: Ints, per_mille: npt.NDArray[Any]) -> Ints:
    """amount × per_mille / 1000 rounded half away from zero, exactly."""
    product = amount * per_mille
    rounded: Ints = np.sign(product) * ((np.abs(product) * 2 + 1000) // 2000)
    return rounded


def make_sales(rng: np.random.Generator, shop: Shop, people: People, bought: Purchases, chunk: int) -> Sales:
    """Fill the orders: products, quantities, discounts, shipping, tax, total."""
    n = bought.n
    known = bought.person >= 0
    person = np.where(known, bought.person, 0)
    country = np.where(known, people.country[person], np.array([0, 0, 3, 4])[np.maximum(bought.store, 0)])
    currency = np.where(known, people.currency[person], np.array([0, 0, 1, 2])[np.maximum(bought.store, 0)])
    lines = _lines(rng, shop, people, bought, currency)
    first_line = np.searchsorted(lines.order, np.arange(n))
    goods = np.add.reduceat(lines.net, first_line) if n else np.array([], dtype=np.int64)
    sub = bought.kind == SUBSCRIPTION
    negative = bought.kind == NEGATIVE
    coupon = np.where(share(rng, 0.09, n) & ~sub & ~negative, draw(rng, np.array([0.5, 0.25, 0.23, 0.02]), n), -1)
    discount = np.where(coupon >= 0, half_up(goods, COUPON_PER_MILLE[np.maximum(coupon, 0)]), 0)
    free = (goods >= 5000) | sub | (bought.channel == 2) | negative | (coupon == 3)
    shipping = np.where(free, 0, 490)
    rate = TAX_PER_MILLE[country]
    tax = half_up(goods - discount + shipping, rate)
    return Sales(
        bought=bought,
        lines=lines,
        number=chunk * ID_ROOM + np.arange(n),
        first_line=first_line,
        currency=currency,
        discount=discount,
        coupon=coupon,
        tax=tax,
        shipping=shipping,
        total=goods - discount + shipping + tax,
        tax_rate=rate,
        # marketplaces deliver a few orders without their lines
        has_lines=~((bought.channel == 3) & share(rng, 0.03, n)),
    )


def _lines(rng: np.random.Generator, shop: Shop, people: People, bought: Purchases, currency: Ints) -> Lines:
    products = shop.products
    n = bought.n
    known = bought.person >= 0
    person = np.where(known, bought.person, 0)
    b2b = known & people.is_b2b[person]
    count = 1 + np.minimum(rng.poisson(np.where(b2b, 1.6, 0.75), n), 11)
    count = np.where(bought.kind == SUBSCRIPTION, 1, count)
    count = np.where((rng.random(n) < 0.0002) & (bought.kind != SUBSCRIPTION), 60, count)
    order = np.repeat(np.arange(n), count)
    first = np.cumsum(count) - count
    rank = np.arange(len(order)) - first[order]
    favourite = np.where(known, people.category[person], draw(rng, np.ones(8), n))
    product = products.draw(rng, favourite[order], 0.55)
    # the person's consumable, in the first order of every interval of its own
    regular = _is_due(shop, people, bought)
    product[first[regular]] = people.consumable[person[regular]]
    lead = product[first][order]
    product = np.where((rank == 1) & (rng.random(len(order)) < 0.25), products.partner[lead], product)
    product = products.on_sale(product, bought.instant[order])
    subscribed = bought.product[order] >= 0
    product = np.where(subscribed, bought.product[order], product)
    quantity = 1 + (rng.random(len(order)) < 0.18) + np.where(b2b[order], rng.poisson(4.0, len(order)), 0)
    quantity = np.where(subscribed, bought.quantity[order], quantity)
    quantity = np.where((bought.kind == NEGATIVE)[order], -1, quantity)
    price = np.round(products.price[product] * PRICE_FACTOR[currency[order]]).astype(np.int64)
    price = np.where(subscribed, bought.price[order], price)
    off = np.where((rng.random(len(order)) < 0.08) & ~subscribed & (quantity > 0), rng.integers(50, 300, len(order)), 0)
    return Lines(order, product, quantity, price, half_up(quantity * price, off))


def _is_due(shop: Shop, people: People, bought: Purchases) -> Ints:
    """Orders in which a person's consumable falls due: the first one in each interval since the first order."""
    eligible = np.flatnonzero((bought.person >= 0) & (bought.kind < SUBSCRIPTION))
    eligible = eligible[(people.number[bought.person[eligible]] % 10) < 5]
    by_person = eligible[np.argsort(bought.person[eligible], kind="stable")]
    person = bought.person[by_person]
    if not len(person):
        return by_person
    new = np.diff(person, prepend=-1) != 0
    began = bought.instant[by_person][np.maximum.accumulate(np.where(new, np.arange(len(person)), 0))]
    interval = (bought.instant[by_person] - began) // (shop.products.lasts[people.consumable[person]] * DAY)
    due: Ints = by_person[new | (np.diff(interval, prepend=-1) != 0)]
    return due


@dataclass
class Refunds:
    """Money back: `order` −1 names only the person."""

    order: Ints
    person: Ints
    instant: Ints
    amount: Ints
    line: Ints
    full: Bools
    reason: Ints


REASONS = ("damaged", "wrong item", "late", "changed mind", "goodwill")


def make_refunds(rng: np.random.Generator, shop: Shop, people: People, sales: Sales) -> Refunds:
    """One in twenty valid orders: whole, one line, or some of it; a few returns that name no order."""
    n = sales.bought.n
    chosen = np.flatnonzero(sales.valid & (sales.total > 0) & share(rng, 0.05, n))
    when = sales.bought.instant[chosen] + rng.integers(2 * DAY, 40 * DAY, len(chosen))
    chosen, when = chosen[when <= shop.clock.last], when[when <= shop.clock.last]
    kind = draw(rng, np.array([0.3, 0.45, 0.25]), len(chosen))
    count = np.diff(np.append(sales.first_line, sales.lines.n))[chosen]
    line = sales.first_line[chosen] + (rng.random(len(chosen)) * count).astype(np.int64)
    by_line = (kind == 1) & sales.has_lines[chosen]
    net = np.maximum(sales.lines.net[line], 0)
    after_coupon = np.where(
        sales.coupon[chosen] >= 0, net - half_up(net, COUPON_PER_MILLE[np.maximum(sales.coupon[chosen], 0)]), net
    )
    of_line = np.minimum(after_coupon + half_up(after_coupon, sales.tax_rate[chosen]), sales.total[chosen])
    part = half_up(sales.total[chosen], rng.integers(100, 500, len(chosen)))
    amount = np.where(kind == 0, sales.total[chosen], np.where(by_line, of_line, np.maximum(part, 1)))
    positive = amount > 0
    free = np.flatnonzero((sales.bought.kind == 0) & ~sales.bought.guest & share(rng, 0.002, n))
    free = free[sales.bought.instant[free] + 30 * DAY < shop.clock.last]
    return Refunds(
        order=np.concatenate([chosen[positive], np.full(len(free), -1)]),
        person=np.concatenate([sales.bought.person[chosen[positive]], sales.bought.person[free]]),
        instant=np.concatenate([when[positive], sales.bought.instant[free] + rng.integers(DAY, 30 * DAY, len(free))]),
        amount=np.concatenate([amount[positive], rng.integers(200, 2500, len(free))]),
        line=np.concatenate([np.where(by_line, line, -1)[positive], np.full(len(free), -1)]),
        full=np.concatenate([(kind == 0)[positive], np.zeros(len(free), dtype=np.bool_)]),
        reason=rng.integers(0, len(REASONS), int(positive.sum()) + len(free)),
    )


def refunds_table(people: People, profiles: Profiles, sales: Sales, refunds: Refunds, chunk: int) -> pa.Table:
    """The refunds as the shop's system lists them."""
    n = len(refunds.order)
    named = refunds.order >= 0
    return c.frame(
        "refunds",
        n,
        {
            "refund_id": c.numbered("r-", chunk * ID_ROOM + np.arange(n), 11),
            "order_id": c.numbered("o-", np.where(named, sales.number[np.maximum(refunds.order, 0)], -1), 11),
            "customer_id": c.keep(~named, profiles.account_id(np.where(named, -1, profiles.first[refunds.person]))),
            "refunded_at": c.instants(refunds.instant),
            "amount": c.money(refunds.amount),
            "order_item_id": c.numbered("i-", np.where(refunds.line >= 0, line_number(chunk, refunds.line), -1), 12),
            "reason": c.pick(REASONS, refunds.reason),
            "currency": c.pick(CURRENCIES, np.where(named, -1, people.currency[np.maximum(refunds.person, 0)])),
            "updated_at": c.instants(refunds.instant),
        },
    )


def line_number(chunk: int, line: Ints) -> Ints:
    """Numbers of order lines."""
    return chunk * 10 * ID_ROOM + line


@dataclass
class Batched:
    """Rows of a table, each with the month whose batch file brings it."""

    table: pa.Table
    month: Ints


def orders_tables(
    rng: np.random.Generator, shop: Shop, people: People, profiles: Profiles, sales: Sales, refunds: Refunds, chunk: int
) -> tuple[list[Batched], Batched]:
    """orders and order_items with late rows, earlier versions and corrections."""
    clock, bought, n = shop.clock, sales.bought, sales.bought.n
    status = _status(rng, sales, refunds)
    cancelled = _cancelled_at(rng, shop, sales)
    deleted = np.where(
        bought.kind == DELETED, np.minimum(bought.instant + rng.integers(3600, 20 * DAY, n), clock.last), NEVER
    )
    written = np.minimum(bought.instant + rng.integers(60, 3 * 3600, n), clock.last)
    late = np.where(share(rng, 0.01, n), rng.integers(20 * DAY, 50 * DAY, n), 0)
    settled = np.maximum(np.maximum(written, cancelled), deleted)
    corrected = share(rng, 0.02, n) & (written + 31 * DAY < clock.last)
    settled = np.where(corrected, np.maximum(settled, written + rng.integers(DAY, 30 * DAY, n)), settled)
    has_history = (settled > written) & (late == 0) & (corrected | share(rng, 0.5, n))
    month = clock.month_of(np.where(has_history, settled, bought.instant + late))
    now = _orders_frame(rng, people, profiles, sales, status, cancelled, deleted, settled)
    before = np.flatnonzero(has_history)
    earlier = _earlier_versions(now.take(before), written[before])
    first = Batched(earlier, clock.month_of(bought.instant[before]))
    return [Batched(now, month), first], _items(rng, shop, sales, written, late, chunk)


def _earlier_versions(rows: pa.Table, written: Ints) -> pa.Table:
    """The same orders as first delivered: still processing, nothing cancelled or deleted."""
    n = rows.num_rows
    nothing = c.instants(np.full(n, NEVER))
    for name, values in (
        ("status", c.pick(STATUSES, np.full(n, PROCESSING))),
        ("cancelled_at", nothing),
        ("deleted_at", nothing),
        ("updated_at", c.instants(written)),
        ("coupon_code", c.pick(COUPONS, np.full(n, -1))),
    ):
        rows = rows.set_column(rows.schema.get_field_index(name), name, values)
    return rows


def _status(rng: np.random.Generator, sales: Sales, refunds: Refunds) -> Ints:
    n = sales.bought.n
    status = np.array([0, 1, 2, 3, 11, 12])[draw(rng, np.array([0.5, 0.2, 0.2, 0.08, 0.01, 0.01]), n)]
    order = refunds.order[refunds.order >= 0]
    status[order] = np.where(refunds.full[refunds.order >= 0], REFUNDED, PARTLY)
    status = np.where(share(rng, 0.01, n) & (sales.bought.kind < SUBSCRIPTION), -1, status)  # null is valid
    status = np.where(sales.bought.kind == CANCELLED, CANCELLED_STATUS, status)
    return np.where(sales.bought.kind == INVALID_STATUS, rng.integers(VOID, REFUNDED, n), status)


def _cancelled_at(rng: np.random.Generator, shop: Shop, sales: Sales) -> Ints:
    """Most within hours, some weeks later; a few say cancelled without a date."""
    n = sales.bought.n
    delay = np.where(share(rng, 0.3, n), rng.integers(10 * DAY, 60 * DAY, n), rng.integers(600, 2 * DAY, n))
    when = np.minimum(sales.bought.instant + delay, shop.clock.last)
    return np.where((sales.bought.kind == CANCELLED) & share(rng, 0.95, n), when, NEVER)


def _orders_frame(
    rng: np.random.Generator, people: People, profiles: Profiles, sales: Sales, status: Ints, cancelled: Ints,
    deleted: Ints, updated: Ints,
) -> pa.Table:  # fmt: skip
    bought, n = sales.bought, sales.bought.n
    known = bought.person >= 0
    person = np.where(known, bought.person, 0)
    shared = known & (people.shared[person] > 0)
    profile = np.where(known, bought.profile, -1)
    form = np.where(share(rng, 0.05, n), rng.integers(0, FORMS, n), profiles.mail_form[np.maximum(profile, 0)])
    says_mail = known & (bought.guest | share(rng, 0.9, n))
    household = np.zeros(people.n, dtype=np.bool_)
    household[people.household[people.household >= 0]] = True
    household |= people.household >= 0
    says_phone = known & (shared | share(rng, 0.35, n)) & ~household[person]
    phone_form = np.where(
        share(rng, 0.2, n), rng.integers(0, PHONE_FORMS, n), profiles.phone_form[np.maximum(profile, 0)]
    )
    in_store = bought.store >= 0
    return c.frame(
        "orders",
        n,
        {
            "order_id": sales.ids,
            "ordered_at": c.instants(bought.instant),
            "total": c.money(sales.total),
            "customer_id": profiles.account_id(np.where(bought.guest, -1, profile)),
            "email": c.keep(says_mail, profiles.mail(profile, form)),
            "phone": c.keep(says_phone, profiles.phone(profile, phone_form)),
            "status": c.pick(STATUSES, status),
            "currency": c.pick(CURRENCIES, sales.currency),
            "discount": c.money(sales.discount),
            "tax": c.money(sales.tax),
            "shipping": c.money(sales.shipping),
            "cancelled_at": c.instants(cancelled),
            "is_test": c.flags(bought.kind == TEST),
            "channel": c.pick(CHANNELS, bought.channel),
            "store": c.pick(STORES, bought.store),
            "store_timezone": c.pick(ZONES, np.where(in_store, STORE_ZONE[np.maximum(bought.store, 0)], -1)),
            "coupon_code": c.pick(COUPONS, sales.coupon),
            "subscription_id": c.numbered("s-", bought.subscription, 9),
            "account_type": c.pick(("b2c", "b2b"), np.where(known, people.is_b2b[person], 0).astype(np.int64)),
            "updated_at": c.instants(updated),
            "deleted_at": c.instants(deleted),
        },
    )


def _items(rng: np.random.Generator, shop: Shop, sales: Sales, written: Ints, late: Ints, chunk: int) -> Batched:
    clock, lines = shop.clock, sales.lines
    index = np.flatnonzero(sales.has_lines[lines.order])
    order = lines.order[index]
    corrected = share(rng, 0.004, len(index)) & (late[order] == 0) & (written[order] + 40 * DAY < clock.last)
    rows = np.concatenate([index, index[corrected]])
    first = np.arange(len(rows)) >= len(index)
    fixed = np.concatenate([corrected, np.zeros(int(corrected.sum()), dtype=np.bool_)])
    updated = written[lines.order[rows]] + np.where(fixed, rng.integers(DAY, 38 * DAY, len(rows)), 0)
    brought = np.where(fixed, updated, sales.bought.instant[lines.order[rows]] + late[lines.order[rows]])
    quantity = lines.quantity[rows] + first  # as first keyed in: one too many
    table = c.frame(
        "order_items",
        len(rows),
        {
            "order_item_id": c.numbered("i-", line_number(chunk, rows), 12),
            "order_id": c.numbered("o-", sales.number[lines.order[rows]], 11),
            "product_id": c.numbered("p-", lines.product[rows], 5),
            "quantity": c.whole(quantity),
            "unit_price": c.money(lines.price[rows]),
            "discount": c.money(lines.discount[rows]),
            "updated_at": c.instants(updated),
        },
    )
    return Batched(table, clock.month_of(brought))


PAYMENT_KINDS = ("sale", "authorization", "capture", "void")
PAYMENT_STATUSES = ("success", "failed", "pending")
METHODS = ("card", "paypal", "invoice", "cash", "sepa")


def payments_table(rng: np.random.Generator, shop: Shop, sales: Sales, chunk: int) -> Batched:
    """Payments: sales, authorisations with captures, doubles, retries, voids; invoices leave no trace."""
    bought, n = sales.bought, sales.bought.n
    unpaid = bought.kind == UNPAID
    paid = (bought.kind != NEGATIVE) & (sales.total > 0) & ~unpaid & share(rng, 0.9, n)
    pattern = np.where(paid, draw(rng, np.array([0.75, 0.19, 0.02, 0.04]), n), -1)
    pattern = np.where(unpaid, 4 + draw(rng, np.array([0.4, 0.4, 0.2]), n), pattern)
    # by pattern: (kind, status, minutes later)
    shapes = {
        0: ((0, 0, 1),),
        1: ((1, 0, 1), (2, 0, 900)),
        2: ((0, 0, 1), (2, 0, 30)),  # a double: sale and capture of the same money
        3: ((0, 1, 1), (0, 0, 12)),
        4: ((0, 1, 1), (0, 1, 9)),
        5: ((1, 0, 1), (3, 0, 3000)),
        6: ((1, 2, 1),),
    }
    rows: list[tuple[Ints, int, int, int]] = []
    for code, steps in shapes.items():
        order = np.flatnonzero(pattern == code)
        rows += [(order, *step) for step in steps]
    order = np.concatenate([r[0] for r in rows])
    kind = np.concatenate([np.full(len(r[0]), r[1]) for r in rows])
    status = np.concatenate([np.full(len(r[0]), r[2]) for r in rows])
    minutes = np.concatenate([np.full(len(r[0]), r[3]) for r in rows])
    when = np.minimum(bought.instant[order] + minutes * 60, shop.clock.last)
    by_order = np.lexsort((minutes, order))
    order, kind, status, when = order[by_order], kind[by_order], status[by_order], when[by_order]
    method = np.where(bought.channel == 2, 3, draw(rng, np.array([0.5, 0.3, 0.1, 0, 0.1]), n))
    missing = share(rng, 0.05, len(order)) & (status == 0)
    table = c.frame(
        "payments",
        len(order),
        {
            "payment_id": c.numbered("y-", chunk * 3 * ID_ROOM + np.arange(len(order)), 11),
            "order_id": c.numbered("o-", sales.number[order], 11),
            "paid_at": c.instants(when),
            "amount": c.money(sales.total[order]),
            "kind": c.pick(PAYMENT_KINDS, kind),
            "status": c.pick(PAYMENT_STATUSES, np.where(missing, -1, status)),
            "method": c.pick(METHODS, method[order]),
            "updated_at": c.instants(when),
        },
    )
    return Batched(table, shop.clock.month_of(when))


def truth_orders(people: People, sales: Sales) -> dict[str, Any]:
    """Which order is whose, and whether it counts."""
    bought = sales.bought
    valid = sales.valid
    reason = np.where(valid, -1, bought.kind)
    names = [{"unpaid": "unpaid", "negative_total": "negative_total"}.get(k, k) for k in KINDS]
    return {
        "order_id": sales.ids,
        "person_id": c.numbered("h-", np.where(bought.person >= 0, people.number[np.maximum(bought.person, 0)], -1), 9),
        "kind": c.pick(KINDS, bought.kind),
        "is_valid": c.flags(valid),
        "invalid_reason": c.pick(names, reason),
        "ordered_at": c.instants(bought.instant),
        "net": c.money(sales.total - sales.tax - sales.shipping),
        "currency": c.pick(CURRENCIES, sales.currency),
    }

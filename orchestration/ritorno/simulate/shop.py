"""What the whole shop shares: products, plans, stores, exchange rates, campaigns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ritorno.simulate import columns as c
from ritorno.simulate.clock import DAY, Clock
from ritorno.simulate.columns import Bools, Floats, Ints

COUNTRIES = ("DE", "AT", "CH", "GB", "US", "NL")
COUNTRY_SHARE = np.array([0.58, 0.10, 0.06, 0.11, 0.09, 0.06])
CURRENCIES = ("EUR", "GBP", "USD")
COUNTRY_CURRENCY = np.array([0, 0, 0, 1, 2, 0])
PRICE_FACTOR = np.array([1.0, 0.86, 1.09])
TAX_PER_MILLE = np.array([190, 200, 81, 200, 70, 210])
CHANNELS = ("web", "app", "store", "marketplace", "phone", "subscription")
STORES = ("Berlin Mitte", "Hamburg Altona", "London Soho", "New York SoHo")
STORE_ZONE = np.array([0, 0, 1, 2])
ACQUISITION = ("search", "social", "email", "referral", "store", "marketplace", "affiliate")

# name, typical price in cents, consumable, days one unit lasts, lines' share
CATEGORIES: tuple[tuple[str, int, bool, int, float], ...] = (
    ("coffee", 1400, True, 28, 0.17),
    ("skin care", 2400, True, 56, 0.15),
    ("pet food", 3200, True, 35, 0.13),
    ("cleaning", 900, True, 42, 0.10),
    ("kitchen", 4500, False, 0, 0.14),
    ("home", 6500, False, 0, 0.12),
    ("garden", 5200, False, 0, 0.09),
    ("toys", 2600, False, 0, 0.10),
)
BRANDS = ("Alba", "Brisa", "Corvo", "Dorado", "Estela", "Faro", "Gala", "Horizonte")


@dataclass(frozen=True)
class Products:
    """The catalogue, ordered by category."""

    table: pa.Table
    price: Ints
    category: Ints
    launched: Ints
    substitute: Ints
    partner: Ints
    lasts: Ints
    cumulative: Floats
    edges: Floats
    consumables: Ints

    def draw(self, rng: np.random.Generator, favourite: Ints, share: float) -> Ints:
        """Products: with probability `share` from the favourite category, else from the whole shop."""
        u = rng.random(len(favourite))
        own = rng.random(len(favourite)) < share
        low, high = self.edges[favourite], self.edges[favourite + 1]
        u = np.where(own, low + u * (high - low), u)
        return np.minimum(np.searchsorted(self.cumulative, u, side="right"), len(self.price) - 1)

    def on_sale(self, product: Ints, instant: Ints) -> Ints:
        """The product, or what the shop sold in its place before its launch."""
        return np.where(self.launched[product] > instant, self.substitute[product], product)


def make_products(rng: np.random.Generator, clock: Clock, customers: int) -> Products:
    """A catalogue that grows with the shop: Zipf popularity within a category, some products launched late."""
    n = int(np.clip(240 + customers // 500, 240, 4000)) // len(CATEGORIES) * len(CATEGORIES)
    per = n // len(CATEGORIES)
    category = np.repeat(np.arange(len(CATEGORIES)), per)
    rank = np.tile(np.arange(per), len(CATEGORIES))
    typical = np.array([x[1] for x in CATEGORIES], dtype=np.float64)[category]
    price = np.maximum(np.round(typical * rng.lognormal(0, 0.45, n) / 10) * 10 - 1, 199).astype(np.int64)
    weight = np.array([x[4] for x in CATEGORIES])[category] / (rank + 4.0)
    weight_of = np.bincount(category, weight)
    weight *= (np.array([x[4] for x in CATEGORIES]) / weight_of)[category]
    cumulative = np.cumsum(weight) / weight.sum()
    edges = np.concatenate([[0.0], cumulative[per - 1 :: per]])
    start = clock.first_day * DAY
    late = (rng.random(n) < 0.1) & (rank > 0)
    launched = start - rng.integers(30, 1500, n) * DAY
    launched = np.where(late, start + (rng.random(n) * clock.days).astype(np.int64) * DAY, launched)
    consumable = np.array([x[2] for x in CATEGORIES])[category]
    lasts = np.array([x[3] for x in CATEGORIES])[category] * rng.choice([1, 1, 2], n)
    # a fixed companion in another category, so that affinity has something to find
    partner = (np.arange(n) + 3 * per + 1) % n
    in_stock = rng.random(n) > 0.05
    first_of_category = category * per
    table = c.frame(
        "products",
        n,
        {
            "product_id": c.numbered("p-", np.arange(n), 5),
            "name": pa.array(
                [
                    f"{BRANDS[(i * 7) % 8]} {CATEGORIES[k][0]} {r + 1}"
                    for i, (k, r) in enumerate(zip(category, rank, strict=True))
                ]
            ),
            "brand": c.pick(BRANDS, np.arange(n) * 7 % 8),
            "category": c.pick([x[0] for x in CATEGORIES], category),
            "price": c.money(price),
            "cost": c.money((price * rng.uniform(0.35, 0.7, n)).astype(np.int64)),
            "is_consumable": c.flags(consumable),
            "launched_at": c.instants(launched),
            "in_stock": c.flags(in_stock),
            "updated_at": c.instants(np.minimum(launched + DAY, clock.last)),
        },
    )
    return Products(
        table,
        price,
        category,
        launched,
        first_of_category,
        partner,
        lasts,
        cumulative,
        edges,
        np.flatnonzero(consumable & ~late),
    )


@dataclass(frozen=True)
class Plans:
    """The subscription plans; `unit` indexes UNITS."""

    table: pa.Table
    price: Ints
    unit: Ints
    count: Ints
    product: Ints
    trial_days: Ints


UNITS = ("day", "week", "month", "year")


def make_plans(products: Products) -> Plans:
    """Eight plans over four consumables: monthly ones in two sizes, four-weekly, yearly, thirty-day."""
    product = products.consumables[np.array([0, 1, 2, 3, 0, 1, 2, 3]) * (len(products.consumables) // 4)]
    unit = np.array([2, 2, 2, 1, 2, 3, 0, 1])
    count = np.array([1, 1, 2, 4, 3, 1, 30, 2])
    months = np.array([1, 1, 2, 1, 3, 12, 1, 0.5])
    price = np.round(products.price[product] * 0.9 * months).astype(np.int64)
    trial = np.array([14, 0, 0, 0, 0, 30, 14, 0])
    names = (
        "Monthly",
        "Monthly plus",
        "Two-monthly",
        "Four-weekly",
        "Quarterly",
        "Yearly",
        "Thirty days",
        "Fortnightly",
    )
    n = len(product)
    table = c.frame(
        "plans",
        n,
        {
            "plan_id": c.numbered("plan-", np.arange(n), 2),
            "name": pa.array(names),
            "price": c.money(price),
            "interval": c.pick(UNITS, unit),
            "interval_count": c.numbers(count),
            "product_id": c.numbered("p-", product, 5),
        },
    )
    return Plans(table, price, unit, count, product, trial)


def make_exchange_rates(rng: np.random.Generator, clock: Clock) -> pa.Table:
    """Daily rates to EUR: GBP given as GBP→EUR, USD as EUR→USD (the inverse pair); some days are missing."""
    days = np.arange(-12, clock.days)
    out: list[tuple[Ints, int, int, Ints]] = []
    for currency, level, inverse in ((1, 1.163, False), (2, 1.09, True)):
        walk = level * np.exp(np.cumsum(rng.normal(0, 0.003, len(days))) * 0.5)
        given = rng.random(len(days)) > 0.06
        given[: min(5, len(days))] = True
        if len(days) > 60:
            gap = int(rng.integers(20, len(days) - 10))
            given[gap : gap + 4] = False
        # no gap may exceed the policy's seven days: that case is dirt, not weather
        for i in range(5, len(days)):
            if not given[i - 5 : i].any():
                given[i] = True
        units = np.round(walk[given] * 1e6).astype(np.int64) * 100
        pair = (0, currency) if inverse else (currency, 0)
        out.append((days[given] + clock.first_day, pair[0], pair[1], units))
    day = np.concatenate([x[0] for x in out])
    source = np.concatenate([np.full(len(x[0]), x[1]) for x in out])
    target = np.concatenate([np.full(len(x[0]), x[2]) for x in out])
    order = np.lexsort((source, day))
    return c.frame(
        "exchange_rates",
        len(day),
        {
            "date": pa.array(day[order].astype("datetime64[D]")),
            "from_currency": c.pick(CURRENCIES, source[order]),
            "to_currency": c.pick(CURRENCIES, target[order]),
            "rate": c.rates(np.concatenate([x[3] for x in out])[order]),
        },
    )


ARMS = ("holdout", "a", "b")
ARM_SHARE = np.array([0.2, 0.4, 0.4])
EXTRA_ORDERS = ((0.0, 0.04, 0.08), (0.0, 0.0, 0.03), (0.0, 0.0, 0.0), (0.0, 0.06, 0.06))
"""True additional orders per assigned person by arm; campaigns go through these in turn (one is a placebo)."""
UPLIFT_DAYS = 14
CONVERSION_DAYS = 28


@dataclass(frozen=True)
class Campaigns:
    """The campaigns; `day` is when each began."""

    table: pa.Table
    day: Ints
    channel: Ints
    extra: Floats

    @property
    def started(self) -> int:
        """How many."""
        return len(self.day)


CAMPAIGN_CHANNELS = ("email", "sms", "push")


def make_campaigns(clock: Clock) -> Campaigns:
    """Two campaigns a year, each with a holdout."""
    n = max(1, round(2 * clock.days / 365.25))
    day = np.round((np.arange(n) + 0.6) * clock.days / (n + 0.4)).astype(np.int64)
    start = (day + clock.first_day) * DAY + 8 * 3600
    channel = np.array([0, 0, 1, 0, 2])[np.arange(n) % 5]
    names = ("Spring thanks", "Autumn list", "Try the new blend", "Come back")
    goals = ("second_order", "reactivation", "cross_sell", "reactivation")
    table = c.frame(
        "campaigns",
        n,
        {
            "campaign_id": c.numbered("camp-", np.arange(n), 3),
            "name": pa.array([f"{names[i % 4]} {i + 1}" for i in range(n)]),
            "started_at": c.instants(start),
            "ended_at": c.instants(start + CONVERSION_DAYS * DAY),
            "goal": c.pick(goals, np.arange(n) % 4),
            "channel": c.pick(CAMPAIGN_CHANNELS, channel),
        },
    )
    return Campaigns(table, day, channel, np.array([EXTRA_ORDERS[i % 4] for i in range(n)]))


@dataclass(frozen=True)
class Shop:
    """Everything that all chunks of customers share."""

    clock: Clock
    products: Products
    plans: Plans
    campaigns: Campaigns
    exchange_rates: pa.Table
    customers: int


def make_shop(seed: int, clock: Clock, customers: int) -> Shop:
    """The shop of a seed."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(0,))))
    products = make_products(rng, clock, customers)
    return Shop(
        clock, products, make_plans(products), make_campaigns(clock), make_exchange_rates(rng, clock), customers
    )


def share(rng: np.random.Generator, probability: float | Floats, n: int) -> Bools:
    """n coin flips."""
    return rng.random(n) < probability


def draw(rng: np.random.Generator, weights: Floats, n: int) -> Ints:
    """n codes by weight."""
    edges = np.cumsum(weights) / np.sum(weights)
    return np.minimum(np.searchsorted(edges, rng.random(n), side="right"), len(weights) - 1).astype(np.int64)

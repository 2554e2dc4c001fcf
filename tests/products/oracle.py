"""What the product marts must hold, in plain Python from METRICS.md and the glossary: loops over everything."""

from __future__ import annotations

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.products.shop import Order, Product, Shop

Policy = Mapping[str, Any]


def _products_of(order: Order) -> set[str]:
    return {line.product for line in order.lines if line.quantity > 0}


def _days(shop: Shop, customer: str, product: str) -> list[date]:
    """The days on which the customer bought the product."""
    return sorted({o.day for o in shop.orders if o.customer == customer and product in _products_of(o)})


def _quantile(values: Sequence[int], share: float) -> float:
    """Linear between neighbours, as percentile_cont."""
    place = share * (len(values) - 1)
    low = math.floor(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)


def repurchase(shop: Shop, policy: Policy) -> dict[str, dict[str, Any]]:
    """product_repurchase by product."""
    window = timedelta(days=policy["repurchase_window_days"])
    found: dict[str, dict[str, Any]] = {}
    for product in shop.products:
        bought = [days for customer in shop.customers if (days := _days(shop, customer, product.key))]
        if not bought:
            continue
        gaps = sorted((b - a).days for days in bought for a, b in itertools.pairwise(days))
        eligible = [days for days in bought if days[0] + window <= shop.as_of]
        back = [days for days in eligible if len(days) > 1 and days[1] <= days[0] + window]
        row: dict[str, Any] = {
            "buyers": len(bought),
            "repeat_buyers": sum(len(days) > 1 for days in bought),
            "purchase_days": sum(map(len, bought)),
            "eligible_buyers": len(eligible),
            "eligible_repeat_buyers": len(back),
            "repurchase_rate": len(back) / len(eligible) if eligible else None,
            "intervals": len(gaps),
        }
        shown = len(gaps) >= policy["repurchase_min_intervals"]
        mean = statistics.fmean(gaps) if shown else None
        row["interval_mean_days"] = mean
        row["interval_p25_days"] = _quantile(gaps, 0.25) if shown else None
        row["interval_median_days"] = _quantile(gaps, 0.5) if shown else None
        row["interval_p75_days"] = _quantile(gaps, 0.75) if shown else None
        row["interval_variation"] = statistics.stdev(gaps) / mean if mean is not None else None
        row["typical_interval_days"] = statistics.median_low(gaps) if shown else None
        row["subscription_verdict"] = _verdict(row, policy)
        row["subscription_score"] = _score(row, policy)
        row["is_subscription_candidate"] = row["subscription_verdict"] == "candidate"
        found[product.key] = row
    return found


def _verdict(row: Mapping[str, Any], policy: Policy) -> str:
    if row["repeat_buyers"] < policy["subscription_min_repeat_buyers"]:
        return "too_few_repeat_buyers"
    if row["intervals"] < policy["repurchase_min_intervals"]:
        return "too_few_intervals"
    if row["repurchase_rate"] is None:
        return "too_little_follow_up"
    if row["repurchase_rate"] < policy["subscription_min_repurchase_rate"]:
        return "rarely_repeated"
    return "irregular" if row["interval_variation"] > policy["subscription_max_variation"] else "candidate"


def _score(row: Mapping[str, Any], policy: Policy) -> float | None:
    if row["repurchase_rate"] is None or row["interval_variation"] is None:
        return None
    enough = min(1.0, row["repeat_buyers"] / policy["subscription_min_repeat_buyers"])
    often = min(1.0, row["repurchase_rate"] / policy["subscription_min_repurchase_rate"])
    return float(enough * often * (1 - min(1.0, row["interval_variation"])))


def affinity(shop: Shop, policy: Policy) -> dict[tuple[str, str], dict[str, Any]]:
    """product_affinity by ordered pair."""
    everything = [products for order in shop.orders if (products := _products_of(order))]
    baskets = [products for products in everything if len(products) <= policy["affinity_max_basket_products"]]
    orders = Counter(product for basket in baskets for product in basket)
    pairs = Counter(pair for basket in baskets for pair in itertools.permutations(sorted(basket), 2))
    return {
        (a, b): {
            "pair_orders": together,
            "product_orders": orders[a],
            "other_product_orders": orders[b],
            "baskets": len(baskets),
            "large_baskets": len(everything) - len(baskets),
            "support": Fraction(together, len(baskets)),
            "product_support": Fraction(orders[a], len(baskets)),
            "confidence": Fraction(together, orders[a]),
            "lift": Fraction(together * len(baskets), orders[a] * orders[b]),
        }
        for (a, b), together in pairs.items()
        if together >= policy["affinity_min_pair_orders"]
        and min(orders[a], orders[b]) >= policy["affinity_min_product_orders"]
    }


def recommendations(shop: Shop, policy: Policy) -> dict[str, list[tuple[str, str, str]]]:
    """(product, reason, because) by customer, best first; customers without any are left out."""
    lists = {c: _recommended(shop, c, policy) for c in shop.customers if c not in shop.tombstones}
    return {customer: found for customer, found in lists.items() if found}


def _sellable(shop: Shop) -> list[Product]:
    return [
        product
        for product in shop.products
        if product.is_listed
        and product.in_stock is not False
        and (product.launched is None or product.launched <= shop.as_of)
    ]


def _recommended(shop: Shop, customer: str, policy: Policy) -> list[tuple[str, str, str]]:
    history = {p.key: days for p in shop.products if (days := _days(shop, customer, p.key))}
    if not history:
        return []
    last_day = max(days[-1] for days in history.values())
    last = sorted(
        (key for key, days in history.items() if days[-1] == last_day),
        key=lambda key: (-_revenue(shop, customer, key, last_day), key),
    )
    proposals = [
        *_due(shop, customer, history, policy),
        *_newest(shop, last[0], "brand", history, policy),
        *_newest(shop, last[0], "category", history, policy),
        *_together(shop, last, history, policy),
    ]
    chosen: list[tuple[str, str, str]] = []
    for product, reason, because in proposals:
        known = {p for p, _, _ in chosen}
        if product in known or (reason.startswith("newest") and reason in {r for _, r, _ in chosen}):
            continue
        chosen.append((product, reason, because))
    return chosen[: policy["recommendations_per_customer"]]


def _revenue(shop: Shop, customer: str, product: str, day: date) -> Decimal:
    lines = [line for o in shop.orders if o.customer == customer and o.day == day for line in o.lines]
    return sum((line.net for line in lines if line.product == product and line.quantity > 0), Decimal(0))


def _quantity(shop: Shop, customer: str, product: str) -> int:
    lines = [line for order in shop.orders if order.customer == customer for line in order.lines]
    return sum(line.quantity for line in lines if line.product == product and line.quantity > 0)


def _due(shop: Shop, customer: str, history: Mapping[str, list[date]], policy: Policy) -> list[tuple[str, str, str]]:
    intervals = repurchase(shop, policy)
    due = []
    for product in _sellable(shop):
        if product.key not in history or not product.is_consumable:
            continue
        typical = intervals[product.key]["typical_interval_days"]
        since = (shop.as_of - history[product.key][-1]).days
        if typical is None or since > typical * policy["recommend_due_intervals"]:
            continue
        if since >= typical and since > policy["recommend_not_within_days"]:
            due.append(product.key)
    due.sort(key=lambda key: (-len(history[key]), -_quantity(shop, customer, key), key))
    return [(key, "replenish_due", key) for key in due]


def _newest(
    shop: Shop, last: str, shelf: str, history: Mapping[str, list[date]], policy: Policy
) -> list[tuple[str, str, str]]:
    label = next(getattr(product, shelf) for product in shop.products if product.key == last)
    if label is None:
        return []
    dated = [p for p in _sellable(shop) if getattr(p, shelf) == label and p.launched is not None]
    dated.sort(key=lambda p: (-(p.launched or date.min).toordinal(), p.key))
    newest = dated[: policy["recommend_newest_of"]]
    return [(p.key, f"newest_in_{shelf}", last) for p in newest if p.key not in history]


def _together(
    shop: Shop, last: Sequence[str], history: Mapping[str, list[date]], policy: Policy
) -> list[tuple[str, str, str]]:
    pairs = affinity(shop, policy)
    sellable = {product.key for product in _sellable(shop)}
    best: dict[str, tuple[Fraction, Fraction, str]] = {}
    for anchor in last:
        partners = [b for a, b in pairs if a == anchor and b in sellable and pairs[a, b]["lift"] > 1]
        partners.sort(key=lambda b, a=anchor: (-pairs[a, b]["confidence"], -pairs[a, b]["lift"], b))  # type: ignore[misc]
        for partner in partners[: policy["recommend_partners"]]:
            figures = pairs[anchor, partner]
            offer = (-figures["confidence"], -figures["lift"], anchor)
            best[partner] = min(best.get(partner, offer), offer)
    order = sorted(best, key=lambda partner: (best[partner][0], best[partner][1], partner))
    return [(partner, "bought_together", best[partner][2]) for partner in order if partner not in history]

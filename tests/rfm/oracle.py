"""RFM and cohorts in plain Python, written from METRICS.md and from nothing else: slow, obvious, one line a rule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

from tests.rfm.shop import Customer, Order, Shop

SEGMENTS = {
    "hibernating": ("12", "12"),
    "at_risk": ("12", "34"),
    "cant_lose_them": ("12", "5"),
    "about_to_sleep": ("3", "12"),
    "need_attention": ("3", "3"),
    "loyal_customers": ("34", "45"),
    "promising": ("4", "1"),
    "new_customers": ("5", "1"),
    "potential_loyalists": ("45", "23"),
    "champions": ("5", "45"),
}


def segment(r: int, f: int) -> str:
    """METRICS.md's default map: exactly one name fits."""
    (name,) = [name for name, (rs, fs) in SEGMENTS.items() if str(r) in rs and str(f) in fs]
    return name


def scores(values: Mapping[str, Any], worse: Callable[[Any, Any], bool]) -> dict[str, int]:
    """floor(5 × customers strictly worse / N) + 1."""
    everyone = len(values)
    return {
        key: int(Fraction(5 * sum(worse(other, value) for other in values.values()), everyone)) + 1
        for key, value in values.items()
    }


def _orders_of(shop: Shop) -> dict[str, list[Order]]:
    of: dict[str, list[Order]] = defaultdict(list)
    for order in shop.orders:
        if order.customer is not None:
            of[order.customer].append(order)
    return of


def _money_back(shop: Shop, customer: str) -> Decimal:
    return sum((refund.amount for refund in shop.refunds if refund.customer == customer), Decimal(0))


def rfm(shop: Shop, monetary: str = "total") -> dict[str, dict[str, Any]]:
    """customer → recency, frequency, monetary, the three scores and the segment."""
    of = _orders_of(shop)
    recency = {key: (shop.as_of - max(o.day for o in orders)).days for key, orders in of.items()}
    frequency = {key: len(orders) for key, orders in of.items()}
    net = {key: sum((o.net for o in orders), Decimal(0)) - _money_back(shop, key) for key, orders in of.items()}
    if monetary == "average":
        spent = {key: (net[key] / frequency[key]).quantize(Decimal("0.01"), ROUND_HALF_UP) for key in net}
    else:
        spent = net
    r = scores(recency, lambda other, own: other > own)
    f = scores(frequency, lambda other, own: other < own)
    m = scores(spent, lambda other, own: other < own)
    return {
        key: {
            "recency_days": recency[key],
            "frequency": frequency[key],
            "monetary": spent[key],
            "r_score": r[key],
            "f_score": f[key],
            "m_score": m[key],
            "rfm_segment": segment(r[key], f[key]),
        }
        for key in of
    }


def month_of(day: date) -> date:
    return day.replace(day=1)


def next_month(month: date) -> date:
    return (month + timedelta(days=32)).replace(day=1)


def transitions(shop: Shop) -> dict[tuple[date, str, str], int]:
    """(month, from, to) → customers: the whole RFM done again as of every finished month end."""
    days = [order.day for order in shop.orders if order.customer is not None]
    counts: dict[tuple[date, str, str], int] = defaultdict(int)
    if not days:
        return counts
    before: dict[str, str] = {}
    month = month_of(min(days))
    while next_month(month) - timedelta(days=1) <= shop.as_of:
        end = next_month(month) - timedelta(days=1)
        known = Shop(end, [order for order in shop.orders if order.day <= end])
        now = {key: row["rfm_segment"] for key, row in rfm(known).items()}
        for key, name in now.items():
            counts[(month, before.get(key, "prospect"), name)] += 1
        before, month = now, next_month(month)
    return counts


@dataclass(frozen=True)
class _Entry:
    period: int
    orders: int
    net: Decimal


def _calendar_period(first: date, day: date) -> int:
    return (day.year - first.year) * 12 + day.month - first.month


def _window(first: date, day: date) -> int:
    """K with first+30(k−1)+1 <= day <= first+30k, by trying one after the other."""
    k = 0
    while day > first + timedelta(days=30 * k):
        k += 1
    return k


def _first_category(orders: Sequence[Order]) -> str:
    first = min(orders, key=lambda order: order.day)  # min keeps the earlier of equals, as the shop numbers them
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for category, net in first.lines:
        if category is not None:
            totals[category] += net
    return min(totals, key=lambda name: (-totals[name], name)) if totals else "unknown"


def _cuts(customer: Customer | None, orders: Sequence[Order]) -> dict[str, str]:
    known = customer or Customer("", account_type=None)
    return {
        "all": "all",
        "acquisition_channel": known.channel or "unknown",
        "first_category": _first_category(orders),
        "country": known.country or "unknown",
        "account_type": known.account_type or "unknown",
    }


def _share(part: Decimal | int, whole: Decimal | int) -> float | None:
    return float(part) / float(whole) if whole else None


def _cell(members: Iterable[tuple[Sequence[_Entry], bool]], period: int, rolling: bool) -> dict[str, Any]:
    """One cell from (entries, is this period over for the customer) of every member."""
    everyone = list(members)
    eligible = [entries for entries, is_over in everyone if is_over]
    all_entries = [entries for entries, _ in everyone]
    counted = eligible if rolling else all_entries

    def active(of: Sequence[Sequence[_Entry]], later: bool = False) -> int:
        return sum(
            any(e.orders and (e.period == period or (later and e.period > period)) for e in entries) for entries in of
        )

    def net(of: Sequence[Sequence[_Entry]], keep: Callable[[int], bool]) -> Decimal:
        return sum((e.net for entries in of for e in entries if keep(e.period)), Decimal(0))

    start = net(eligible, lambda p: p == 0)
    return {
        "cohort_size": len(everyone),
        "eligible_customers": len(eligible),
        "active_customers": active(counted),
        "active_customers_to_date": active(all_entries),
        "active_or_later_customers": active(counted, later=True),
        "orders": sum(e.orders for entries in all_entries for e in entries if e.period == period),
        "net_revenue": net(all_entries, lambda p: p == period),
        "cumulative_net_revenue": net(all_entries, lambda p: p <= period),
        "retention": _share(active(eligible), len(eligible)),
        "unbounded_retention": _share(active(eligible, later=True), len(eligible)),
        "revenue_retention": _share(net(eligible, lambda p: p == period), start) if start > 0 else None,
        "cumulative_revenue_per_customer": _share(net(eligible, lambda p: p <= period), len(eligible)),
        "is_complete": len(eligible) == len(everyone),
    }


def cohorts(shop: Shop) -> dict[tuple[str, date | None, int, str, str], dict[str, Any]]:
    """(cohort_type, cohort_month, period, cut, cut_value) → the cell."""
    of = _orders_of(shop)
    known = {customer.key: customer for customer in shop.customers}
    cells: dict[tuple[str, date | None, int, str, str], dict[str, Any]] = {}
    for cohort_type in ("calendar_month", "rolling_30d"):
        rolling = cohort_type == "rolling_30d"
        number = _window if rolling else _calendar_period
        groups: dict[tuple[date | None, str, str], list[tuple[date, list[_Entry]]]] = defaultdict(list)
        for key, orders in of.items():
            first = min(order.day for order in orders)
            entries = [_Entry(number(first, order.day), 1, order.net) for order in orders]
            entries += [
                _Entry(max(number(first, refund.day), 0), 0, -refund.amount)
                for refund in shop.refunds
                if refund.customer == key
            ]
            for cut, value in _cuts(known.get(key), orders).items():
                groups[(month_of(first), cut, value)].append((first, entries))
                if rolling:
                    groups[(None, cut, value)].append((first, entries))
        for (cohort, cut, value), members in groups.items():
            begun = max(number(first, shop.as_of) for first, _ in members)
            for period in range(begun + 1):
                judged = [(entries, _is_over(rolling, first, period, shop.as_of)) for first, entries in members]
                cells[(cohort_type, cohort, period, cut, value)] = _cell(judged, period, rolling)
    return cells


def _is_over(rolling: bool, first: date, period: int, as_of: date) -> bool:
    if rolling:
        return (as_of - first).days >= 30 * period
    month = month_of(first)
    for _ in range(period):
        month = next_month(month)
    return next_month(month) - timedelta(days=1) <= as_of

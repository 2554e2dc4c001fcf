"""What the campaign models must hold, in plain Python from METRICS.md and the glossary: loops over everything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.campaigns.shop import Assignment, Campaign, Order, Shop, Touch, business_day

HOURS = {
    ("email", "opened"): 120, ("email", "clicked"): 120, ("sms", "clicked"): 120,
    ("push", "push_opened"): 24, ("push", "opened"): 24, ("push", "clicked"): 24,
}  # fmt: skip


def _arm(name: str, policy: Mapping[str, Any]) -> str:
    plain = name.strip().lower()
    return "holdout" if plain in policy["holdout_arms"] else plain


def _known(shop: Shop) -> dict[str, Campaign]:
    """Campaigns begun by as-of, and those only named by something that is."""
    found = {c.id: c for c in shop.campaigns}
    named = [a.campaign for a in shop.assignments if business_day(a.at) <= shop.as_of]
    named += [t.campaign for t in shop.touches if t.campaign and business_day(t.at) <= shop.as_of]
    for name in named:
        found.setdefault(name, Campaign(name))
    return {k: c for k, c in found.items() if c.started is None or business_day(c.started) <= shop.as_of}


def _end(campaign: Campaign, assigned: date, policy: Mapping[str, Any]) -> date:
    if campaign.ended is None:
        return assigned + timedelta(days=policy["campaign_open_window_days"])
    return business_day(campaign.ended) + timedelta(days=policy["campaign_window_days"])


def _outcome(records: list[Assignment], campaign: Campaign, policy: Mapping[str, Any]) -> str:
    if len({_arm(a.arm, policy) for a in records}) > 1:
        return "contaminated"
    first = min(a.at for a in records)
    return "late" if campaign.ended is not None and first > campaign.ended else "analysed"


def _person(shop: Shop, key: str, records: list[Assignment], campaign: Campaign, policy: Mapping[str, Any]) -> Any:
    """(orders, spend, spend before, ordered before, first day, last day) of one analysed person."""
    first = min(a.at for a in records)
    day = business_day(first)
    end = _end(campaign, day, policy)
    mine = [o for o in shop.orders if o.customer == key and business_day(o.at) <= shop.as_of]
    after = [o for o in mine if o.at > first and business_day(o.at) <= end]
    before = [o for o in mine if o.at <= first]
    recent = [o for o in before if business_day(o.at) >= day - timedelta(days=policy["campaign_before_days"])]
    as_long = [o for o in before if business_day(o.at) >= day - (end - day)]
    spent = sum((o.net + o.refunded for o in recent), Decimal(0))
    return len(after), sum((o.net for o in after), Decimal(0)), spent, bool(as_long), day, end


def arms(shop: Shop, policy: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """The sums by campaign and arm, all variants together where there are several."""
    known = _known(shop)
    records: dict[str, dict[str | None, list[Assignment]]] = defaultdict(lambda: defaultdict(list))
    for a in shop.assignments:
        if business_day(a.at) <= shop.as_of and a.campaign in known:
            records[a.campaign][(shop.accounts or {}).get(a.account)].append(a)
    stays: dict[str, list[tuple[str, date, date]]] = defaultdict(list)
    people: dict[tuple[str, str], Any] = {}
    for campaign, by_person in records.items():
        for key, theirs in by_person.items():
            if key is not None and _outcome(theirs, known[campaign], policy) == "analysed":
                people[campaign, key] = _person(shop, key, theirs, known[campaign], policy)
                stays[key].append((campaign, *people[campaign, key][4:]))
    found = {}
    for campaign, by_person in records.items():
        names = {_arm(a.arm, policy) for theirs in by_person.values() for a in theirs}
        variants = names - {"holdout"}
        for name in [*names, *(["all_variants"] if len(variants) > 1 else [])]:
            members = variants if name == "all_variants" else {name}
            row: dict[str, Any] = dict.fromkeys(
                ("recorded", "unidentified", "contaminated", "contaminated_customers", "late", "repeated", "assigned",
                 "overlapping_customers", "converters", "baseline_converters", "orders"), 0)  # fmt: skip
            lists: list[tuple[int, Decimal, Decimal]] = []
            for key, theirs in by_person.items():
                mine = [a for a in theirs if _arm(a.arm, policy) in members]
                row["recorded"] += len(mine)
                if not mine:
                    continue
                outcome = "unidentified" if key is None else _outcome(theirs, known[campaign], policy)
                if outcome != "analysed":
                    row[outcome] += len(mine)
                    row["contaminated_customers"] += outcome == "contaminated"
                    continue
                assert key is not None
                orders, spend, before, ordered_before, first, last = people[campaign, key]
                row["assigned"] += 1
                row["repeated"] += len(mine) - 1
                row["converters"] += orders > 0
                row["orders"] += orders
                row["baseline_converters"] += ordered_before
                row["overlapping_customers"] += any(
                    other != campaign and begin <= last and first <= end for other, begin, end in stays[key]
                )
                lists.append((orders, spend, before))
            columns = list(zip(*lists, strict=True)) if lists else [(), (), ()]
            row["spend"], row["spend_before"] = sum(columns[1], Decimal(0)), sum(columns[2], Decimal(0))
            row["orders_squares"] = _centred(columns[0], columns[0])
            row["spend_squares"] = _centred(columns[1], columns[1])
            row["spend_before_squares"] = _centred(columns[2], columns[2])
            row["spend_cross"] = _centred(columns[1], columns[2])
            found[campaign, name] = row
    return found


def _centred(xs: Any, ys: Any) -> float:
    """Σ (x − x̄)(y − ȳ), exactly."""
    if not xs:
        return 0.0
    a, b = [Fraction(x) for x in xs], [Fraction(y) for y in ys]
    x, y = sum(a) / len(a), sum(b) / len(b)
    return float(sum((i - x) * (j - y) for i, j in zip(a, b, strict=True)))


def credits(shop: Shop) -> dict[str, tuple[str, str, Decimal]]:
    """Order → (campaign, channel, revenue) of its last touch."""
    known = _known(shop)
    found = {}
    for n, order in enumerate(o for o in shop.orders if business_day(o.at) <= shop.as_of):
        last: tuple[datetime, str, Touch] | None = None
        for m, touch in enumerate(shop.touches):
            if _earns(shop, touch, order, known):
                last = max(last or (touch.at, f"e{m:03}", touch), (touch.at, f"e{m:03}", touch), key=lambda t: t[:2])
        if last is not None:
            found[f"o{n:03}"] = (str(last[2].campaign), last[2].channel.lower(), order.net)
    return found


def _earns(shop: Shop, touch: Touch, order: Order, known: Mapping[str, Campaign]) -> bool:
    hours = HOURS.get((touch.channel.lower(), touch.kind.lower()))
    return (
        hours is not None
        and touch.campaign in known
        and not touch.is_bot
        and business_day(touch.at) <= shop.as_of
        and order.customer is not None
        and (shop.accounts or {}).get(touch.account) == order.customer
        and touch.at <= order.at <= touch.at + timedelta(hours=hours)
    )

"""Loyalty point by point and day by day, written from METRICS.md: slow, literal, and nothing like what ships.

Every point is a thing of its own with a history; no lot has a count. A tier is looked at on every single day.
"""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from ritorno.loyalty.ledger import Event
from ritorno.loyalty.tiers import Change, Tier

_GIVES_FIRST = {"earn": 0, "adjust": 1, "reverse": 2}
_THEN = {"expire": 3, "reverse": 4, "adjust": 5, "redeem": 6}


@dataclass
class Point:
    """One point of one lot."""

    lot: str
    ends: datetime | None
    where: str = "held"  # held | redeemed | expired | gone
    redeemed_by: str | None = None
    redeemed_turn: int = -1
    is_settled: bool = False


@dataclass
class Shop:
    """All points of one member, in the order in which they came."""

    points: list[Point] = field(default_factory=list)
    order_of_lot: dict[str, str | None] = field(default_factory=dict)
    claimed: dict[str, int] = field(default_factory=dict)
    unconfirmed: int = 0
    turn: int = 0
    outcomes: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    unrecovered: dict[str, int] = field(default_factory=dict)
    snapshots: list[tuple[datetime, int]] = field(default_factory=list)

    def held(self) -> list[Point]:
        return [point for point in self.points if point.where == "held"]

    def let_time_pass(self, now: datetime) -> None:
        for moment in sorted({point.ends for point in self.held() if point.ends is not None and point.ends <= now}):
            for point in self.held():
                if point.ends == moment:
                    point.where = "expired"
                    self.unconfirmed += 1

    def refuse(self, event: Event, reason: str) -> None:
        self.outcomes[event.key] = ("refused", reason)

    def hear(self, event: Event) -> None:
        self.turn += 1
        count = abs(event.points)
        self.outcomes[event.key] = ("applied", None)
        if event.kind not in ("earn", "redeem", "expire", "adjust", "reverse"):
            return self.refuse(event, "unknown_type")
        if not count:
            return self.refuse(event, "no_points")
        if event.kind == "earn" and event.points < 0:
            return self.refuse(event, "wrong_sign")
        if event.kind == "reverse" and event.order is not None:
            return self.hear_reversal(event, count)
        if event.kind == "expire":
            return self.hear_expiry(event, count)
        if event.kind == "redeem" or event.points < 0:
            if count > len(self.held()):
                return self.refuse(event, "more_than_balance")
            for point in self.held()[:count]:
                point.where = "redeemed"
                point.redeemed_by = event.order if event.kind == "redeem" else None
                point.redeemed_turn = self.turn
            return None
        self.points += [Point(event.key, event.expires_at) for _ in range(count)]
        self.order_of_lot[event.key] = event.order if event.kind == "earn" else None
        return None

    def hear_expiry(self, event: Event, count: int) -> None:
        known = min(count, self.unconfirmed)
        if count - known > len(self.held()):
            return self.refuse(event, "more_than_balance")
        self.unconfirmed -= known
        if count == known:
            self.outcomes[event.key] = ("confirmed", None)
            return None
        mine = event.order
        soonest = sorted(
            self.held(),
            key=lambda point: (
                mine is None or self.order_of_lot[point.lot] != mine,
                point.ends is None,
                point.ends or datetime.max,
            ),
        )
        for point in soonest[: count - known]:
            point.where = "expired"
        return None

    def hear_reversal(self, event: Event, count: int) -> None:
        if event.points > 0:
            spent = [point for point in self.points if point.where == "redeemed" and point.redeemed_by == event.order]
            ever = event.order in self.redeeming_orders
            if count > len(spent):
                return self.refuse(event, "more_than_redeemed" if ever else "nothing_to_reverse")
            # what was taken last comes back first; within one taking the youngest lot
            numbered = sorted(spent, key=lambda point: (point.redeemed_turn, self.points.index(point)))
            for point in numbered[len(numbered) - count :]:
                point.where, point.redeemed_by = "held", None
            return None
        lots = [lot for lot, order in self.order_of_lot.items() if order == event.order]
        if not lots:
            return self.refuse(event, "nothing_to_reverse")
        if count > sum(self.size(lot) - self.claimed.get(lot, 0) for lot in lots):
            return self.refuse(event, "more_than_earned")
        lost = 0
        for lot in lots:
            claim = min(count, self.size(lot) - self.claimed.get(lot, 0))
            count -= claim
            self.claimed[lot] = self.claimed.get(lot, 0) + claim
            lost += self.claw_back(lot, claim)
        self.unrecovered[event.key] = lost
        return None

    def claw_back(self, lot: str, claim: int) -> int:
        own = [point for point in self.held() if point.lot == lot][:claim]
        for point in own:
            point.where = "gone"
        claim -= len(own)
        dead = [p for p in self.points if p.lot == lot and p.where == "expired" and not p.is_settled][:claim]
        for point in dead:
            point.is_settled = True
        claim -= len(dead)
        others = self.held()[:claim]
        for point in others:
            point.where = "gone"
        return claim - len(others)

    def size(self, lot: str) -> int:
        return sum(1 for point in self.points if point.lot == lot)

    redeeming_orders: set[str | None] = field(default_factory=set)


def follow(events: Sequence[Event]) -> Shop:
    """Everything that happens to one member."""

    def turn(event: Event) -> tuple[datetime, int, str]:
        gives = event.points > 0 and event.kind in _GIVES_FIRST
        return event.at, (_GIVES_FIRST if gives else _THEN).get(event.kind, 7), event.key

    shop = Shop()
    for event in sorted(events, key=turn):
        shop.let_time_pass(event.at)
        shop.hear(event)
        if event.kind == "redeem" and shop.outcomes[event.key][0] == "applied":
            shop.redeeming_orders.add(event.order)
        shop.let_time_pass(event.at)
        shop.snapshots.append((event.at, len(shop.held())))
    return shop


def months_later(day: date, months: int) -> date:
    """The same day `months` later, or the last of a shorter month."""
    year, month = day.year + (day.month - 1 + months) // 12, (day.month - 1 + months) % 12 + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def tier_by_day(changes: Sequence[Change], tiers: Sequence[Tier], joined: date, as_of: date) -> list[str]:
    """The tier on each day from joining to as-of, by looking at each day."""
    found: list[str] = []
    current: Tier | None = None
    since, reviews, grace_until = joined, 1, date.min
    in_grace = False
    day = joined
    while day <= as_of:
        points = sum(change.points for change in changes if change.day <= day)
        spend = sum(change.spend for change in changes if change.day <= day)
        held = {tier.rank: (points if tier.basis == "points" else spend) >= tier.threshold for tier in tiers}
        best = max((tier for tier in tiers if held[tier.rank]), key=lambda t: t.rank, default=tiers[0])
        if current is None or best.rank > current.rank or (in_grace and day > grace_until):
            current, since, reviews, in_grace = best, day, 1, False
        elif in_grace and best.rank == current.rank:
            in_grace = False
            while months_later(since, reviews * (current.review_months or 0)) <= day:
                reviews += 1
        elif not in_grace and current.review_months and day == months_later(since, reviews * current.review_months):
            if best.rank < current.rank:
                in_grace, grace_until = True, day + timedelta(days=current.grace_days)
            else:
                reviews += 1
        found.append(current.name)
        day += timedelta(days=1)
    return found

"""A member's tier, stay by stay: up at once, down only at a review and after its grace.

What qualifies is a step function of days: points earned, or spend, within the last twelve months. The day it reaches
a tier's threshold the member is in that tier. On each review day (every `review_months` since the tier was reached) the
member keeps a tier whose threshold still holds; otherwise days of grace begin, and whoever reaches the threshold within
them keeps the tier. The day after, the member falls to the tier that then holds.
"""

from __future__ import annotations

import calendar
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Tier:
    """One tier of one audience.

    Attributes:
        name: what it is called.
        rank: 0 for the lowest, which everybody has.
        basis: points or spend: what its threshold is measured in.
        threshold: points, or cents of spend, within twelve months.
        review_months: how long it holds before it is looked at again; None: for ever.
        grace_days: how long it holds after a review that it failed.
    """

    name: str
    rank: int
    basis: str
    threshold: int
    review_months: int | None
    grace_days: int


@dataclass(frozen=True, slots=True)
class Change:
    """From `day` on so much more (or less) qualifies."""

    day: date
    points: int = 0
    spend: int = 0


@dataclass(frozen=True, slots=True)
class Stay:
    """An unbroken time in one tier.

    Attributes:
        tier: which.
        since: its first day.
        until: the first day of the next stay; None while it lasts.
        cause: joined, upgraded or downgraded.
        review_on: the next review, or the one that was failed; None if there is none.
        grace_until: the last day of grace, while it runs or ran.
    """

    tier: Tier
    since: date
    until: date | None
    cause: str
    review_on: date | None
    grace_until: date | None


class Qualifying:
    """What qualifies on each day, as a step function."""

    def __init__(self, changes: Iterable[Change], tiers: Sequence[Tier]) -> None:
        """Args: changes: in any order, several a day allowed. tiers: of the member's audience."""
        points: dict[date, int] = defaultdict(int)
        spend: dict[date, int] = defaultdict(int)
        for change in changes:
            points[change.day] += change.points
            spend[change.day] += change.spend
        self._days = sorted(points)
        self._values: list[tuple[int, int]] = []
        self._tiers: list[Tier] = []
        total_points = total_spend = 0
        for day in self._days:
            total_points += points[day]
            total_spend += spend[day]
            self._values.append((total_points, total_spend))
            self._tiers.append(reached(tiers, total_points, total_spend))
        self._lowest = reached(tiers, 0, 0)

    def values(self, day: date) -> tuple[int, int]:
        """Points and spend that qualify on that day."""
        at = bisect_right(self._days, day) - 1
        return self._values[at] if at >= 0 else (0, 0)

    def tier(self, day: date) -> Tier:
        """The tier whose threshold holds on that day."""
        at = bisect_right(self._days, day) - 1
        return self._tiers[at] if at >= 0 else self._lowest

    def first_after(self, day: date, rank: int) -> date | None:
        """The first day after `day` on which a tier of this rank or higher holds and something changed."""
        for at in range(bisect_right(self._days, day), len(self._days)):
            if self._tiers[at].rank >= rank:
                return self._days[at]
        return None


def reached(tiers: Sequence[Tier], points: int, spend: int) -> Tier:
    """The highest tier whose threshold holds; the lowest is everybody's."""
    holding = [tier for tier in tiers if (points if tier.basis == "points" else spend) >= tier.threshold]
    return max(holding, key=lambda tier: tier.rank, default=min(tiers, key=lambda tier: tier.rank))


def stays(qualifying: Qualifying, joined: date, as_of: date) -> list[Stay]:
    """Every stay from the day of joining to `as_of`; the last one has no end."""
    found: list[Stay] = []
    since, cause = joined, "joined"
    while True:
        stay = _stay(qualifying, qualifying.tier(since), since, cause, as_of)
        found.append(stay)
        if stay.until is None:
            return found
        cause = "upgraded" if qualifying.tier(stay.until).rank > stay.tier.rank else "downgraded"
        since = stay.until


def _stay(qualifying: Qualifying, tier: Tier, since: date, cause: str, as_of: date) -> Stay:
    up = qualifying.first_after(since, tier.rank + 1)
    if up is not None and up > as_of:
        up = None
    reviews = 0
    while True:
        reviews += 1
        review_on = None if tier.review_months is None else add_months(since, reviews * tier.review_months)
        if up is not None and (review_on is None or up <= review_on):
            return Stay(tier, since, up, cause, review_on, None)
        if review_on is None or review_on > as_of:
            return Stay(tier, since, None, cause, review_on, None)
        if qualifying.tier(review_on).rank >= tier.rank:
            continue
        grace_until = review_on + tier.grace_days * DAY
        regained = qualifying.first_after(review_on, tier.rank)
        if regained is not None and regained <= min(grace_until, as_of):
            if up is not None and up <= regained:
                return Stay(tier, since, up, cause, review_on, grace_until)
            continue
        until = grace_until + DAY
        return Stay(tier, since, until if until <= as_of else None, cause, review_on, grace_until)


def add_months(day: date, months: int) -> date:
    """The same day of a later month, or that month's last."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))

"""Membership day by day in plain Python, written from docs/segments.md and METRICS.md, with no SQL and no state store.

It keeps what a person would keep on paper: for each person and segment, the days of runs on which they were a member.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from ritorno.segments.engine import Rules


@dataclass(frozen=True)
class Day:
    """What a run of a day sees: who is eligible by segment, who may be a member, and who is whom."""

    day: date
    eligible: Mapping[str, frozenset[str]]
    people: frozenset[str]
    keys: Mapping[str, str]


@dataclass
class Stay:
    """A stay on paper."""

    entered: date
    left: date | None = None
    doubtful_since: date | None = None


@dataclass
class Book:
    """All stays by (segment, customer), as of the last run."""

    stays: dict[tuple[str, str], list[Stay]] = field(default_factory=dict)

    def members(self, segment: str) -> set[str]:
        return {key for (name, key), stays in self.stays.items() if name == segment and stays[-1].left is None}


def follow(days: Sequence[Day], rules: Sequence[Rules]) -> Book:
    """What the book says after these days, in this order."""
    book = Book()
    for day in days:
        book = _turn_page(book, day, {rule.segment: rule for rule in rules})
    return book


def _turn_page(book: Book, today: Day, rules: Mapping[str, Rules]) -> Book:
    page = Book(_unite(book, today))
    wanted: dict[str, dict[str, bool]] = {}
    for name, rule in rules.items():
        eligible = today.eligible.get(name, frozenset()) & today.people
        members = page.members(name)
        for key in eligible | members:
            stays = page.stays.get((name, key), [])
            if key in members:
                stay = stays[-1]
                if key in eligible:
                    stay.doubtful_since = None
                    wish = True
                else:
                    stay.doubtful_since = stay.doubtful_since or today.day
                    wish = key in today.people and today.day < stay.doubtful_since + timedelta(days=rule.grace_days)
            else:
                rest = timedelta(days=rule.cooldown_days)
                wish = key in eligible and all(s.left is not None and s.left + rest <= today.day for s in stays)
            if wish:
                wanted.setdefault(key, {})[name] = True
    for (name, key), stays in page.stays.items():
        if stays[-1].left is None and not _keeps(name, wanted.get(key, {}), rules):
            stays[-1].left = today.day
    for key, names in wanted.items():
        for name in names:
            stays = page.stays.setdefault((name, key), [])
            open_stay = bool(stays) and stays[-1].left is None
            just_left = bool(stays) and stays[-1].left == today.day
            if not open_stay and not just_left and _keeps(name, names, rules):
                stays.append(Stay(today.day))
    page.stays = {where: stays for where, stays in page.stays.items() if stays}
    return page


def _keeps(name: str, wanted: Mapping[str, bool], rules: Mapping[str, Rules]) -> bool:
    """Whether the segment keeps somebody whom these segments want."""
    if name not in wanted:
        return False
    group = rules[name].group
    rivals = [rules[other].priority or 0 for other in wanted if rules[other].group == group and group is not None]
    return not rivals or rules[name].priority == min(rivals)


def _unite(book: Book, today: Day) -> dict[tuple[str, str], list[Stay]]:
    """Stays under today's keys; those of people who are one are laid over each other, day by day."""
    together: dict[tuple[str, str], list[Stay]] = {}
    for (name, key), stays in book.stays.items():
        copies = [Stay(stay.entered, stay.left, stay.doubtful_since) for stay in stays]
        together.setdefault((name, today.keys.get(key, key)), []).extend(copies)
    return {where: _overlay(stays, today.day) for where, stays in together.items()}


def _overlay(stays: list[Stay], today: date) -> list[Stay]:
    first = min(stay.entered for stay in stays)
    covered = [
        any(stay.entered <= day and (stay.left is None or day < stay.left) for stay in stays)
        for day in (first + timedelta(days=n) for n in range((today - first).days))
    ]
    found: list[Stay] = []
    for n, inside in enumerate([*covered, None]):
        day = first + timedelta(days=n)
        if inside and (not found or found[-1].left is not None):
            found.append(Stay(day))
        elif inside is False and found and found[-1].left is None:
            found[-1].left = day
    open_stays = [stay for stay in stays if stay.left is None]
    if open_stays:
        doubts = [stay.doubtful_since for stay in open_stays]
        found[-1].doubtful_since = None if None in doubts else max(d for d in doubts if d is not None)
    elif found and found[-1].left is None:
        found[-1].left = max(stay.left for stay in stays if stay.left is not None)
    return found

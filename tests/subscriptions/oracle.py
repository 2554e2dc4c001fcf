"""Subscriptions as METRICS.md tells them: a machine that takes one event after the other, and a book kept day by day.

Plain Python, no windows and no SQL: written from METRICS.md and docs/subscriptions.md alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

VOCABULARY = (
    "created", "trial_started", "activated", "renewed", "plan_changed", "price_changed", "quantity_changed",
    "interval_changed", "pause_scheduled", "pause_withdrawn", "paused", "resumed", "skipped", "payment_failed",
    "payment_recovered", "cancel_scheduled", "cancel_withdrawn", "cancelled", "expired", "reactivated",
)  # fmt: skip
STARTS = ("created", "trial_started", "activated")
ENDS = ("cancelled", "expired")
CHANGES = ("plan_changed", "price_changed", "quantity_changed", "interval_changed")
TERMS = (*STARTS, *CHANGES, "resumed", "reactivated")
YEARLY = {"year": 1, "month": 12, "week": 52, "day": 365}
BERLIN, UTC = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
ZERO = Decimal(0)

Rates = Mapping[date, Fraction]


@cache
def business_day(instant: datetime) -> date:
    return instant.replace(tzinfo=UTC).astimezone(BERLIN).date()


@dataclass(frozen=True)
class Event:
    """A row of the log, as delivered."""

    id: str
    type: str
    at: datetime
    sequence: int | None = None
    effective: datetime | None = None
    plan: str | None = None
    price: Decimal | None = None
    interval: str | None = None
    count: int | None = None
    quantity: int | None = None
    reason: str | None = None


def meant(event: Event) -> str:
    """A cancellation for a later day is a scheduled one, a schedule for a time that has come is none."""
    if event.effective is None:
        return event.type
    if event.type == "cancelled" and event.effective > event.at:
        return "cancel_scheduled"
    if event.type in ("cancel_scheduled", "pause_scheduled") and event.effective <= event.at:
        return {"cancel_scheduled": "cancelled", "pause_scheduled": "paused"}[event.type]
    return event.type


@dataclass(frozen=True)
class Policy:
    paused_in_mrr: bool = False
    past_due_in_mrr: bool = True


@dataclass
class Terms:
    plan: str | None
    price: Decimal | None
    interval: str | None
    count: int
    quantity: int
    since: date


@dataclass(frozen=True)
class Interval:
    """Half-open; `until` None while it holds."""

    state: str
    start: datetime
    until: datetime | None
    mrr: Decimal
    paused: Decimal


@dataclass
class Pause:
    start: datetime
    end: datetime | None = None
    outcome: str = "paused"


@dataclass
class Machine:
    """One subscription. What is due fires before what is said in the same instant; an end there wins over all of it."""

    plans: Mapping[str, Decimal]
    rates: Rates | None
    policy: Policy
    as_of: date
    terms: Terms
    started: bool = False
    ended: str | None = None
    paused: bool = False
    until: datetime | None = None
    payment: str = "active"
    has_paid: bool = False
    has_failed: bool = False
    recovered: bool = False
    has_resumed: bool = False
    came_back: bool = False
    cancel_on: datetime | None = None
    pause_on: datetime | None = None
    changes: list[tuple[datetime, Event]] = field(default_factory=list)
    lives: int = 0
    points: list[tuple[datetime, tuple[Any, ...]]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    pauses: list[Pause] = field(default_factory=list)

    def live_through(self, events: Sequence[Event]) -> None:
        ordered = sorted(
            (event for event in events if business_day(event.at) <= self.as_of),
            key=lambda e: (
                e.at, e.sequence is None, e.sequence or 0,
                VOCABULARY.index(meant(e)) if e.type in VOCABULARY else 99, e.id,
            ),
        )  # fmt: skip
        for position, event in enumerate(ordered):
            self.fire(event.at, ends_now=any(meant(e) in ENDS and e.at == event.at for e in ordered[position:]))
            self.say(event)
        self.fire(datetime(2100, 1, 1), ends_now=False)

    def fire(self, now: datetime, *, ends_now: bool) -> None:
        """Everything that is due by now, in order of time."""
        while True:
            due: list[tuple[datetime, int, str, Event | None]] = []
            if self.cancel_on is not None:
                due.append((self.cancel_on, 0, "cancel", None))
            if self.until is not None:
                due.append((self.until, 1, "resume", None))
            if self.pause_on is not None:
                due.append((self.pause_on, 2, "pause", None))
            due += [(at, 3, "change", event) for at, event in self.changes]
            due = [d for d in due if d[0] <= now and business_day(d[0]) <= self.as_of]
            if not due:
                return
            at, _, what, event = min(due, key=lambda d: d[:2])
            if what != "cancel" and at == now and ends_now:
                return
            if what == "cancel":
                self.end("cancelled", at)
            elif what == "resume":
                self.until = None
                self.unpause(at, "resumed")
            elif what == "pause":
                self.pause_on = None
                self.pause(at)
            else:
                assert event is not None
                self.changes.remove((at, event))
                self.take_terms(event, at)
            self.note(at)

    def say(self, event: Event) -> None:
        kind = meant(event)
        later = event.effective is not None and event.effective > event.at
        problem = self.problem(kind, event)
        if problem:
            if problem != "repeated":
                self.refused[event.id] = problem
            return
        effective = event.effective if later else None
        self.apply(kind, event, effective)
        self.note(event.at)

    def problem(self, kind: str, event: Event) -> str | None:
        """Why it changes nothing."""
        if kind not in VOCABULARY:
            return "unknown_type"
        if kind in ("pause_scheduled", "cancel_scheduled") and event.effective is None:
            return "no_effective_date"
        if not self.started:
            return None if kind in STARTS else "before_start"
        if self.ended and kind != "reactivated":
            return "repeated" if kind == self.ended else "after_end"
        if kind == "created":
            return "repeated"
        if kind == "reactivated" and not self.ended and self.cancel_on is None:
            again, self.came_back = self.came_back, True
            return "repeated" if again else "not_ended"
        if kind == "cancel_withdrawn" and self.cancel_on is None:
            return "nothing_scheduled"
        if kind == "pause_withdrawn" and self.pause_on is None:
            return "nothing_scheduled"
        if kind == "resumed" and not self.paused and self.pause_on is None:
            again, self.has_resumed = self.has_resumed, True
            return "repeated" if again else "resume_without_pause"
        if kind == "payment_recovered" and self.payment != "past_due":
            return "repeated" if self.recovered else "recovered_without_failure"
        if kind == "trial_started" and self.has_paid:
            return "trial_after_payment"
        return None

    def apply(self, kind: str, event: Event, effective: datetime | None) -> None:
        if kind in STARTS and not self.started:
            self.started = True
            self.begin_life()
        if kind in TERMS:
            if kind in CHANGES and effective is not None:
                self.changes.append((effective, event))
            else:
                self.take_terms(event, event.at)
        if kind == "reactivated":
            if self.ended:
                self.begin_life()
                self.came_back = True
            elif self.cancel_on is not None:
                # takes the cancellation back; the word stands as the latest about the end
                self.cancel_on = None
                self.came_back = True
        elif kind == "trial_started":
            self.payment = "trialing"
        elif kind in ("activated", "renewed"):
            self.payment, self.has_paid, self.recovered = "active", True, False
        elif kind == "payment_failed":
            self.payment, self.has_paid, self.recovered = "past_due", True, False
        elif kind == "payment_recovered":
            self.payment, self.recovered = "active", True
        elif kind == "pause_scheduled":
            self.pause_on = effective
        elif kind == "pause_withdrawn":
            self.pause_on = None
        elif kind == "paused":
            self.pause_on = None
            if effective is not None:
                self.until = effective
            self.pause(event.at)
        elif kind == "resumed":
            self.pause_on = None
            self.until = None
            self.has_resumed = True
            if self.paused:
                self.unpause(event.at, "resumed")
        elif kind == "cancel_scheduled":
            self.cancel_on = effective
        elif kind == "cancel_withdrawn":
            self.cancel_on = None
        elif kind in ENDS:
            self.end(kind, event.at)

    def begin_life(self) -> None:
        self.ended, self.lives = None, self.lives + 1
        self.paused, self.until, self.pause_on, self.cancel_on, self.changes = False, None, None, None, []
        self.payment, self.has_paid, self.recovered, self.has_resumed = "active", False, False, False

    def pause(self, at: datetime) -> None:
        self.has_resumed = False
        if not self.paused:
            self.paused = True
            self.pauses.append(Pause(at))

    def unpause(self, at: datetime, outcome: str) -> None:
        self.paused = False
        self.has_resumed = self.has_resumed or outcome == "resumed"
        self.pauses[-1].end, self.pauses[-1].outcome = at, outcome

    def end(self, kind: str, at: datetime) -> None:
        if self.paused:
            self.unpause(at, "cancelled")
        self.ended, self.came_back = kind, False
        self.until = self.pause_on = self.cancel_on = None
        self.changes = []

    def take_terms(self, event: Event, at: datetime) -> None:
        before = (self.terms.price, self.terms.interval, self.terms.count)
        first, plan_before = not self.points, self.terms.plan
        if event.plan is not None:
            self.terms.plan = event.plan
        is_change = event.plan is not None and plan_before not in (None, event.plan)
        listed = self.plans.get(self.terms.plan or "") if event.plan is not None or first else None
        takes_list = listed is not None and (event.type == "plan_changed" or first or is_change)
        if event.price is not None:
            self.terms.price = event.price
        elif takes_list:
            self.terms.price = listed
        if event.interval is not None:
            self.terms.interval, self.terms.count = event.interval, event.count or 1
        elif takes_list:
            self.terms.interval, self.terms.count = "month", event.count or 1
        elif event.count is not None:
            self.terms.count = event.count
        if event.quantity is not None:
            self.terms.quantity = event.quantity
        if first or before != (self.terms.price, self.terms.interval, self.terms.count):
            self.terms.since = business_day(at)

    def monthly(self) -> Decimal:
        if self.ended or self.payment == "trialing":
            return ZERO
        if self.payment == "past_due" and not self.policy.past_due_in_mrr:
            return ZERO
        rate = Fraction(1) if self.rates is None else self.rates.get(self.terms.since)
        if rate is None or self.terms.price is None or self.terms.interval not in YEARLY:
            return ZERO
        value = Fraction(self.terms.price) * self.terms.quantity * YEARLY[self.terms.interval] * rate
        cents = value * 100 / (12 * self.terms.count)
        return Decimal(int(cents + Fraction(1, 2))) / 100

    def note(self, at: datetime) -> None:
        amount = self.monthly()
        state = self.ended or ("paused" if self.paused else self.payment)
        held = state == "paused" and not self.policy.paused_in_mrr
        self.points.append((at, (state, ZERO if held else amount, amount if held else ZERO)))

    def intervals(self) -> list[Interval]:
        last = dict(self.points)  # of one instant the last counts
        merged: list[tuple[datetime, tuple[Any, ...]]] = []
        for at, what in sorted(last.items()):
            if not merged or merged[-1][1] != what:
                merged.append((at, what))
        ends = [at for at, _ in merged[1:]]
        return [
            Interval(state, at, until, mrr, paused)
            for (at, (state, mrr, paused)), until in zip(merged, [*ends, None], strict=True)
        ]


def close_of(intervals: Sequence[Interval], day: date) -> tuple[str | None, Decimal, Decimal]:
    """State, MRR and paused MRR at the close of a day."""
    found: tuple[str | None, Decimal, Decimal] = (None, ZERO, ZERO)
    for interval in intervals:
        if business_day(interval.start) <= day:
            found = (interval.state, interval.mrr, interval.paused)
    return found


@dataclass
class Book:
    """Every account's movements, day by day."""

    movements: dict[tuple[str, date, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    paused: dict[tuple[str, date, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    balances: dict[tuple[str, date], tuple[Decimal, Decimal]] = field(default_factory=dict)


def keep_book(accounts: Mapping[str, Sequence[Sequence[Interval]]], first: date, as_of: date) -> Book:
    """accounts: the intervals of each of its subscriptions."""
    book = Book()
    for account, subscriptions in accounts.items():
        ever = False
        for offset in range((as_of - first).days + 1):
            day = first + timedelta(days=offset)
            yesterday = [close_of(s, day - timedelta(days=1)) for s in subscriptions]
            today = [close_of(s, day) for s in subscriptions]
            opening, opening_paused = sum(c[1] for c in yesterday), sum(c[2] for c in yesterday)
            closing, closing_paused = sum(c[1] for c in today), sum(c[2] for c in today)
            rest = ZERO
            for (_, mrr_before, paused_before), (state, mrr, paused) in zip(yesterday, today, strict=True):
                change = mrr - mrr_before
                held = paused - paused_before
                if state == "paused" and paused > 0 and mrr_before > 0:
                    book.movements[account, day, "pause"] -= mrr_before
                    book.paused[account, day, "paused_in"] += mrr_before
                    change += mrr_before
                    held -= mrr_before
                if paused_before > 0 and state in ("active", "past_due", "trialing"):
                    book.movements[account, day, "resume"] += paused_before
                    book.paused[account, day, "resumed"] += paused_before
                    change -= paused_before
                    held += paused_before
                if paused_before > 0 and state in ENDS:
                    book.paused[account, day, "paused_churn"] += paused_before
                    held += paused_before
                book.paused[account, day, "paused_change"] += held
                rest += change
            if rest > 0:
                if not ever:
                    name = "new"
                elif opening == 0 and opening_paused == 0:
                    name = "reactivation"
                else:
                    name = "expansion"
            else:
                name = "churn" if closing == 0 and closing_paused == 0 else "contraction"
            if rest:
                book.movements[account, day, name] += rest
            ever = ever or closing > 0
            book.balances[account, day] = (Decimal(closing), Decimal(closing_paused))
    return book

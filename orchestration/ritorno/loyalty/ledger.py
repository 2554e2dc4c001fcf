"""An account's points as lots: what each event adds to or takes from which lot, or why it can't.

The rules (docs: models/docs/loyalty.md). Earning and a positive adjustment open a lot. Redeeming and a negative
adjustment take from the lots oldest first, all or nothing. A lot ends at its `expires_at` by itself, before anything
that happens at that instant; an `expire` event confirms what has ended, and takes what it names beyond that. A reversal
takes an order's points back out of their lot, then what was redeemed of them out of the others; or gives back what an
order redeemed, to the lots it came from. No lot and no balance is ever below zero.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime

KINDS = ("earn", "redeem", "expire", "adjust", "reverse")

_TURN = {"earn": 0, "adjust": 1, "reverse": 2, "expire": 3}
"""Of events at one instant, what gives comes before what takes."""
_LAST_TURN = 7


@dataclass(frozen=True, slots=True)
class Event:
    """What the source says happened to an account.

    Attributes:
        key: the event's key.
        kind: earn, redeem, expire, adjust or reverse; anything else is refused.
        points: as the source signs them.
        at: when, UTC.
        day: its business day.
        counts_until: the first day on which points earned on `day` qualify for no tier any more.
        expires_at: when a lot that it opens ends; None for never.
        order: the order it belongs to.
    """

    key: str
    kind: str
    points: int
    at: datetime
    day: date
    counts_until: date
    expires_at: datetime | None = None
    order: str | None = None

    @property
    def turn(self) -> tuple[datetime, int, str]:
        """Where it stands among the events of its account."""
        gives = self.points > 0 and self.kind in ("earn", "adjust", "reverse")
        return self.at, _TURN[self.kind] if gives else self._taking_turn, self.key

    @property
    def _taking_turn(self) -> int:
        return {"expire": 3, "reverse": 4, "adjust": 5, "redeem": 6}.get(self.kind, _LAST_TURN)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger: so many points into or out of one lot.

    Attributes:
        event: the event's key; None where a lot ended by itself.
        kind: the event's kind; expire where a lot ended by itself.
        at: when.
        lot: key of the event that opened the lot.
        points: signed.
        left: what the lot holds afterwards.
        balance: what the account holds afterwards.
    """

    event: str | None
    kind: str
    at: datetime
    lot: str
    points: int
    left: int
    balance: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an event.

    Attributes:
        event: the event's key.
        outcome: applied, confirmed (an expiry that had happened already) or refused.
        reason: why it was refused.
        applied: points that it moved, signed.
        settled: points that it reverses which had expired, so that nothing was left to take.
        unrecovered: points that it reverses which had been spent, and which the balance could not replace.
    """

    event: str
    outcome: str
    reason: str | None = None
    applied: int = 0
    settled: int = 0
    unrecovered: int = 0


@dataclass(frozen=True, slots=True)
class Qualification:
    """Points earned, or taken back, that qualify for a tier from `day` until `until` (exclusive)."""

    day: date
    until: date
    points: int


@dataclass(slots=True)
class Posting:
    """All that the events of one account come to."""

    entries: list[Entry] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    qualifications: list[Qualification] = field(default_factory=list)


def post(events: Iterable[Event]) -> Posting:
    """Post an account's events, whatever order they come in; what is left of each lot ends when it must, even later."""
    account = _Account()
    for event in sorted(events, key=lambda one: one.turn):
        account.end_lots(event.at)
        account.post(event)
        account.end_lots(event.at)
    account.end_lots(None)
    return account.posting


@dataclass(slots=True)
class _Lot:
    key: str
    number: int
    points: int
    expires_at: datetime | None
    counts_until: date
    left: int = 0
    expired: int = 0
    """What it lost at its end, as far as no reversal has been settled with it."""
    reversed: int = 0


class _Account:
    """Lots in the order they were opened, and what later events need to remember."""

    def __init__(self) -> None:
        self.posting = Posting()
        self.balance = 0
        self._lots: list[_Lot] = []
        self._first_open = 0
        self._ends: list[tuple[datetime, int]] = []
        self._earned: dict[str, list[_Lot]] = {}
        self._redeemed: dict[str, list[list[int]]] = {}
        self._unconfirmed = 0

    def post(self, event: Event) -> None:
        """Apply one event, or refuse it."""
        if event.kind not in KINDS:
            self._refuse(event, "unknown_type")
        elif event.points == 0:
            self._refuse(event, "no_points")
        elif event.kind == "earn" and event.points < 0:
            self._refuse(event, "wrong_sign")
        elif event.kind == "expire":
            self._expire(event, abs(event.points))
        elif event.kind == "redeem":
            self._redeem(event, abs(event.points))
        elif event.kind == "reverse" and event.order is not None:
            (self._give_back if event.points > 0 else self._take_back)(event, event.order, abs(event.points))
        elif event.points > 0:
            self._open(event)
        else:
            self._redeem(event, -event.points)

    def end_lots(self, until: datetime | None) -> None:
        """End the lots whose time is over at `until` (included); None: all that will ever end."""
        while self._ends and (until is None or self._ends[0][0] <= until):
            at, number = heapq.heappop(self._ends)
            lot = self._lots[number]
            if lot.left:
                lot.expired += lot.left
                self._unconfirmed += lot.left
                self._enter(None, "expire", at, lot, -lot.left)

    def _open(self, event: Event) -> None:
        lot = _Lot(event.key, len(self._lots), event.points, event.expires_at, event.counts_until)
        self._lots.append(lot)
        self._enter(event.key, event.kind, event.at, lot, event.points)
        if event.expires_at is not None:
            # what ended before it began ends where it began: the ledger goes forward only
            heapq.heappush(self._ends, (max(event.expires_at, event.at), lot.number))
        if event.kind == "earn":
            self.posting.qualifications.append(Qualification(event.day, event.counts_until, event.points))
            if event.order is not None:
                self._earned.setdefault(event.order, []).append(lot)
        self._apply(event, event.points)

    def _redeem(self, event: Event, points: int) -> None:
        if points > self.balance:
            self._refuse(event, "more_than_balance")
            return
        for lot, taken in self._take(event, points, self._oldest_first()):
            if event.kind == "redeem" and event.order is not None:
                self._redeemed.setdefault(event.order, []).append([lot.number, taken])
        self._apply(event, -points)

    def _expire(self, event: Event, points: int) -> None:
        confirmed = min(points, self._unconfirmed)
        rest = points - confirmed
        if rest > self.balance:
            self._refuse(event, "more_than_balance")
            return
        self._unconfirmed -= confirmed
        if not rest:
            self.posting.verdicts.append(Verdict(event.key, "confirmed"))
            return
        named = self._earned.get(event.order or "", [])
        soonest = sorted(
            (lot for lot in self._lots[self._first_open :] if lot.left),
            key=lambda lot: (lot not in named, lot.expires_at is None, lot.expires_at or datetime.max, lot.number),
        )
        for lot, taken in self._take(event, rest, iter(soonest)):
            lot.expired += taken
        self._apply(event, -rest)

    def _take_back(self, event: Event, order: str, points: int) -> None:
        """Points that an order earned: out of its lots, then what was redeemed of them out of the others."""
        lots = self._earned.get(order, [])
        if not lots:
            self._refuse(event, "nothing_to_reverse")
            return
        if points > sum(lot.points - lot.reversed for lot in lots):
            self._refuse(event, "more_than_earned")
            return
        rest, settled, applied = points, 0, 0
        for lot in lots:
            claim = min(rest, lot.points - lot.reversed)
            if not claim:
                continue
            rest -= claim
            lot.reversed += claim
            self.posting.qualifications.append(Qualification(event.day, lot.counts_until, -claim))
            own = min(claim, lot.left)
            gone = min(claim - own, lot.expired)
            lot.expired -= gone
            settled += gone
            other = min(claim - own - gone, self.balance - own)
            applied += own + other
            for _ in self._take(event, own, iter([lot])):
                pass
            for _ in self._take(event, other, self._oldest_first()):
                pass
        verdict = Verdict(event.key, "applied", None, -applied, settled, points - settled - applied)
        self.posting.verdicts.append(verdict)

    def _give_back(self, event: Event, order: str, points: int) -> None:
        """Points that an order redeemed: what was taken last comes back first, to the lot it came from."""
        taken = self._redeemed.get(order, [])
        if not taken:
            self._refuse(event, "nothing_to_reverse")
            return
        if points > sum(part[1] for part in taken):
            self._refuse(event, "more_than_redeemed")
            return
        rest = points
        for part in reversed(taken):
            back = min(rest, part[1])
            if not back:
                continue
            rest -= back
            part[1] -= back
            lot = self._lots[part[0]]
            self._enter(event.key, event.kind, event.at, lot, back)
            self._first_open = min(self._first_open, lot.number)
            if lot.expires_at is not None and lot.expires_at <= event.at:
                heapq.heappush(self._ends, (event.at, lot.number))
        self._apply(event, points)

    def _oldest_first(self) -> Iterator[_Lot]:
        while self._first_open < len(self._lots) and not self._lots[self._first_open].left:
            self._first_open += 1
        for number in range(self._first_open, len(self._lots)):
            yield self._lots[number]

    def _take(self, event: Event, points: int, lots: Iterator[_Lot]) -> Iterator[tuple[_Lot, int]]:
        for lot in lots:
            if not points:
                return
            taken = min(points, lot.left)
            if taken:
                points -= taken
                self._enter(event.key, event.kind, event.at, lot, -taken)
                yield lot, taken

    def _enter(self, event: str | None, kind: str, at: datetime, lot: _Lot, points: int) -> None:
        lot.left += points
        self.balance += points
        self.posting.entries.append(Entry(event, kind, at, lot.key, points, lot.left, self.balance))

    def _apply(self, event: Event, points: int) -> None:
        self.posting.verdicts.append(Verdict(event.key, "applied", None, points))

    def _refuse(self, event: Event, reason: str) -> None:
        self.posting.verdicts.append(Verdict(event.key, "refused", reason))

"""Lots against points, and tiers against days: what ships, and an oracle that shares nothing with it."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from itertools import groupby

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ritorno.loyalty.ledger import Event, Posting, post
from ritorno.loyalty.tiers import Change, Qualifying, Tier, stays
from tests.loyalty import oracle
from tests.support.examples import many

EXAMPLES = settings(max_examples=many(150), deadline=None, suppress_health_check=list(HealthCheck))
START = datetime(2024, 1, 1)

# few orders, few instants and small numbers: overdrafts, ties and reversals of redeemed earns are the rule
orders = st.sampled_from(["o1", "o2", None])
instants = st.integers(0, 30).map(lambda n: START + timedelta(days=n))
kinds = st.sampled_from(["earn", "earn", "earn", "redeem", "redeem", "expire", "adjust", "reverse", "reverse", "gift"])
lives = st.sampled_from([None, None, 5, 10, 0, -1])


@st.composite
def events(draw: st.DrawFn) -> list[Event]:
    drawn = []
    for number in range(draw(st.integers(1, 14))):
        kind, at, life = draw(kinds), draw(instants), draw(lives)
        size = draw(st.integers(0, 6))
        down = kind in ("redeem", "expire") or (kind in ("adjust", "reverse") and draw(st.booleans()))
        down = down != draw(st.sampled_from([False] * 9 + [True]))
        drawn.append(
            Event(
                key=f"e{number:02}",
                kind=kind,
                points=-size if down else size,
                at=at,
                day=at.date(),
                counts_until=oracle.months_later(at.date(), 12),
                expires_at=None if life is None else at + timedelta(days=life),
                order=draw(orders),
            )
        )
    return drawn


def _until(posting: Posting, at: datetime) -> int:
    return sum(entry.points for entry in posting.entries if entry.at <= at)


@EXAMPLES
@given(events())
def test_every_verdict_and_the_balance_at_every_instant_are_those_of_single_points(drawn):
    posting, shop = post(drawn), oracle.follow(drawn)
    verdicts = {verdict.event: (verdict.outcome, verdict.reason) for verdict in posting.verdicts}
    assert verdicts == shop.outcomes
    assert {v.event: v.unrecovered for v in posting.verdicts if v.unrecovered} == {
        key: lost for key, lost in shop.unrecovered.items() if lost
    }
    for at, together in groupby(shop.snapshots, key=lambda snapshot: snapshot[0]):
        assert _until(posting, at) == list(together)[-1][1], at


@EXAMPLES
@given(events())
def test_what_each_lot_holds_is_what_its_points_say(drawn):
    last = max(event.at for event in drawn)
    held: dict[str, int] = {}
    for entry in post(drawn).entries:
        if entry.at <= last:
            held[entry.lot] = held.get(entry.lot, 0) + entry.points
    shop = oracle.follow(drawn)
    assert held == {lot: sum(p.lot == lot for p in shop.held()) for lot in shop.order_of_lot}


@EXAMPLES
@given(events(), st.randoms(use_true_random=False))
def test_balance_is_ledger_is_lots_and_never_below_zero_whatever_order_events_come_in(
    drawn: list[Event], chance: random.Random
):
    posting = post(drawn)
    balance, lots = 0, dict.fromkeys((entry.lot for entry in posting.entries), 0)
    for entry in posting.entries:
        balance += entry.points
        lots[entry.lot] += entry.points
        assert (entry.balance, entry.left) == (balance, lots[entry.lot])
        assert balance == sum(lots.values())
        assert min(balance, entry.left) >= 0
        assert entry.points
    assert [entry.at for entry in posting.entries] == sorted(entry.at for entry in posting.entries)
    shuffled = chance.sample(drawn, len(drawn))
    assert post(shuffled) == posting


@EXAMPLES
@given(events(), st.integers(0, 31))
def test_what_happened_up_to_a_day_does_not_depend_on_what_came_later(drawn, days):
    cut = START + timedelta(days=days)
    earlier = post([event for event in drawn if event.at <= cut])
    whole = [entry for entry in post(drawn).entries if entry.at <= cut]
    assert [entry for entry in earlier.entries if entry.at <= cut] == whole


TIERS = (
    Tier("basic", 0, "points", 0, None, 0),
    Tier("silver", 1, "points", 10, 2, 15),
    Tier("gold", 2, "spend", 100, 1, 45),  # its grace outlasts its next review
    Tier("black", 3, "points", 30, 3, 40),
)
days = st.integers(0, 400).map(lambda n: START.date() + timedelta(days=n))
amounts = st.builds(
    lambda day, stays_for, points, spend: [
        Change(day, points, spend),
        Change(day + timedelta(days=stays_for), -points, -spend),
    ],
    days,
    st.sampled_from([20, 45, 60, 90, 366]),
    st.integers(0, 12),
    st.sampled_from([0, 0, 60, 100]),
)


@EXAMPLES
@given(st.lists(amounts, max_size=10))
def test_the_tier_of_every_day_is_that_of_looking_at_every_day(drawn):
    changes = [change for pair in drawn for change in pair]
    joined, as_of = START.date(), START.date() + timedelta(days=450)
    found = stays(Qualifying(changes, TIERS), joined, as_of)
    by_day = [
        stay.tier.name for stay in found for _ in range(((stay.until or as_of + timedelta(days=1)) - stay.since).days)
    ]
    assert by_day == oracle.tier_by_day(changes, TIERS, joined, as_of)


def test_a_review_at_the_end_of_a_month_stays_at_its_end():
    """31 January, then 29 February, then 31 March: never 29 March."""
    tiers = (TIERS[0], Tier("silver", 1, "points", 10, 1, 0))
    changes = [Change(date(2024, 1, 31), points=10), Change(date(2024, 3, 30), points=-10)]
    (joined, silver, down) = stays(Qualifying(changes, tiers), date(2024, 1, 1), date(2024, 12, 31))
    assert (joined.until, silver.review_on, down.since) == (date(2024, 1, 31), date(2024, 3, 31), date(2024, 4, 1))


def _event(key: str, kind: str, points: int, day: int, order: str | None = None) -> Event:
    at = START + timedelta(days=day)
    return Event(key, kind, points, at, at.date(), oracle.months_later(at.date(), 12), None, order)


def test_of_a_redemption_given_back_in_part_the_youngest_points_come_back():
    drawn = [
        _event("old", "earn", 5, 0),
        _event("young", "earn", 5, 1),
        _event("reward", "redeem", -8, 2, "o1"),
        _event("return", "reverse", 4, 3, "o1"),
    ]
    assert [(entry.lot, entry.points) for entry in post(drawn).entries[-2:]] == [("young", 3), ("old", 1)]


def test_a_returned_order_whose_points_are_spent_takes_the_oldest_others_and_forgives_the_rest():
    drawn = [
        _event("bought", "earn", 10, 0, "o1"),
        _event("reward", "redeem", -8, 1),
        _event("other", "earn", 3, 2),
        _event("return", "reverse", -10, 3, "o1"),
    ]
    posting = post(drawn)
    assert [(entry.lot, entry.points) for entry in posting.entries[-2:]] == [("bought", -2), ("other", -3)]
    assert (posting.entries[-1].balance, posting.verdicts[-1].unrecovered) == (0, 5)
    assert sum(one.points for one in posting.qualifications) == 3

"""When people buy: the process whose parameters are the truth, and everything that comes on top of it.

Organic buying is MBG/NBD in the operational clock of the seasons: the first order when the person arrives, then a
Poisson process at the person's own rate, and after every order day (the first included) the person leaves for good with
the person's own probability. Orders that aren't valid (cancelled, tests, unpaid …) are extra ones, so that they never
thin the process of the valid ones.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from ritorno.simulate.clock import DAY
from ritorno.simulate.columns import NEVER, Bools, Ints
from ritorno.simulate.people import GUEST, People, Profiles
from ritorno.simulate.shop import ARM_SHARE, STORE_ZONE, UPLIFT_DAYS, Shop, draw, share

(
    ORGANIC, SAME_DAY, CAMPAIGN, SUBSCRIPTION, CANCELLED, TEST, INVALID_STATUS, UNPAID, NEGATIVE, DELETED, WALK_IN,
) = range(11)  # fmt: skip
KINDS = (
    "organic", "same_day", "campaign", "subscription", "cancelled", "test", "invalid_status", "unpaid",
    "negative_total", "deleted", "walk_in",
)  # fmt: skip
VALID_KINDS = (ORGANIC, SAME_DAY, CAMPAIGN, SUBSCRIPTION, WALK_IN)
EXTRA_SHARE = {CANCELLED: 0.025, TEST: 0.005, INVALID_STATUS: 0.006, UNPAID: 0.012, NEGATIVE: 0.003, DELETED: 0.003}
"""Orders that aren't valid, per organic order."""


@dataclass
class Purchases:
    """Orders before their contents. `profile` −1: nobody knows whose."""

    person: Ints
    profile: Ints
    guest: Bools
    instant: Ints
    kind: Ints
    channel: Ints
    store: Ints
    subscription: Ints
    product: Ints
    quantity: Ints
    price: Ints

    @property
    def n(self) -> int:
        """How many."""
        return len(self.person)

    def take(self, index: Ints) -> Purchases:
        """Some of them."""
        return Purchases(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


def concat(parts: list[Purchases]) -> Purchases:
    """All of them, by time."""
    whole = Purchases(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Purchases)})
    return whole.take(np.lexsort((whole.kind, whole.person, whole.instant)))


@dataclass
class Organic:
    """Organic orders by person and time, and what became of the person."""

    person: Ints
    instant: Ints
    channel: Ints
    store: Ints
    ticket: Bools
    """The order led to a support ticket."""
    badly_handled: Bools
    left_at: Ints
    """When the person dropped out (always right after an order), NEVER: alive at the end."""
    left_over_care: Bools


def organic(rng: np.random.Generator, shop: Shop, people: People) -> Organic:
    """Every organic order of the chunk."""
    clock = shop.clock
    buyer = np.flatnonzero(people.buys)
    begin = clock.operational(people.start[buyer])
    room = clock.season[-1] - begin
    allowed = rng.geometric(np.clip(people.dropout[buyer], 1e-9, 1.0))  # order days until drop-out
    arrivals = rng.poisson(people.rate[buyer] / 7.0 * room)
    owner = np.repeat(np.arange(len(buyer)), arrivals)
    moments = np.sort(owner + rng.random(len(owner)))  # sorted within each person by one sort
    owner = np.minimum(moments.astype(np.int64), len(buyer) - 1)
    rank = np.arange(len(owner)) - (np.cumsum(arrivals) - arrivals)[owner]
    stays = rank < (allowed - 1)[owner]
    owner, time = owner[stays], (moments - owner)[stays]
    repeat = begin[owner] + time * room[owner]
    who = np.concatenate([np.arange(len(buyer)), owner])
    day = clock.calendar(np.concatenate([begin, repeat]))
    order = np.argsort(who + day / (clock.days + 1.0), kind="stable")
    who, on_day = who[order], np.minimum(day[order].astype(np.int64), clock.days - 1)
    person = buyer[who]
    channel, store = _where(rng, people, person)
    instant = clock.at(rng, on_day, STORE_ZONE[np.maximum(store, 0)])
    order = np.lexsort((instant, person))
    person, instant, channel, store = person[order], instant[order], channel[order], store[order]
    made = np.bincount(who, minlength=len(buyer))
    left = np.full(people.n, NEVER)
    last_at = np.cumsum(made) - 1
    gone = made == allowed
    left[buyer[gone]] = instant[last_at[gone]]
    return _care(
        rng,
        people,
        Organic(
            person,
            instant,
            channel,
            store,
            share(rng, 0.03, len(person)),
            np.zeros(len(person), dtype=np.bool_),
            left,
            np.zeros(people.n, dtype=np.bool_),
        ),
    )


def _care(rng: np.random.Generator, people: People, found: Organic) -> Organic:
    """A badly handled ticket makes three in ten leave: their later orders never happen."""
    found.badly_handled = found.ticket & share(rng, 0.3, len(found.person))
    leaves = found.badly_handled & share(rng, 0.3, len(found.person))
    limit = np.full(people.n, np.iinfo(np.int64).max)
    np.minimum.at(limit, found.person[leaves], found.instant[leaves])
    kept = found.instant <= limit[found.person]
    affected = limit != np.iinfo(np.int64).max
    left = np.where(affected, limit, found.left_at)
    return Organic(
        found.person[kept], found.instant[kept], found.channel[kept], found.store[kept],
        found.ticket[kept], found.badly_handled[kept], left, affected,
    )  # fmt: skip


def _where(rng: np.random.Generator, people: People, person: Ints) -> tuple[Ints, Ints]:
    """Channel and store (−1) of orders; companies don't shop in stores."""
    channel = draw(rng, np.array([0.62, 0.17, 0.13, 0.05, 0.03]), len(person))
    channel = np.where(people.is_b2b[person] & (channel == 2), 0, channel)
    by_country = np.array([0, 0, 0, 2, 3, 1])
    store = by_country[people.country[person]]
    store = np.where((store == 0) & share(rng, 0.4, len(person)), 1, store)
    return channel, np.where(channel == 2, store, -1)


def first_orders(people: People, found: Organic) -> Ints:
    """The first organic order of each person, NEVER: none."""
    first = np.full(people.n, np.iinfo(np.int64).max)
    np.minimum.at(first, found.person, found.instant)
    return np.where(first == np.iinfo(np.int64).max, NEVER, first)


@dataclass
class Assignments:
    """Persons in the arms of campaigns."""

    campaign: Ints
    person: Ints
    arm: Ints
    instant: Ints
    extra: Ints
    """The additional order the campaign caused, NEVER: none."""


def assign(rng: np.random.Generator, shop: Shop, people: People, first: Ints) -> Assignments:
    """For each campaign three in ten of those who have ordered; arms drawn before anything is sent."""
    clock, campaigns = shop.clock, shop.campaigns
    parts: list[tuple[Ints, ...]] = []
    for k in range(campaigns.started):
        instant = int((campaigns.day[k] + clock.first_day) * DAY + 7 * 3600)
        known = np.flatnonzero((first != NEVER) & (first < instant - DAY) & (people.shared == 0))
        person = known[share(rng, 0.3, len(known))]
        arm = draw(rng, ARM_SHARE, len(person))
        persuaded = share(rng, campaigns.extra[k][arm], len(person))
        when = instant + 7200 + (rng.random(len(person)) * UPLIFT_DAYS * DAY).astype(np.int64)
        extra = np.where(persuaded, when, NEVER)
        parts.append(
            (
                np.full(len(person), k),
                person,
                arm,
                np.full(len(person), instant),
                clock.until_now(extra),
            )
        )
    columns = [np.concatenate(x) for x in zip(*parts, strict=True)]
    campaign, person, arm, instants_, extra_ = columns
    return Assignments(campaign, person, arm, instants_, extra_)


def purchases(
    rng: np.random.Generator, shop: Shop, people: People, profiles: Profiles, found: Organic, assigned: Assignments,
    renewals: Purchases,
) -> Purchases:  # fmt: skip
    """All orders of the chunk, by time."""
    parts = [_known(rng, people, profiles, found.person, found.instant, ORGANIC, found.channel, found.store)]
    again = np.flatnonzero(share(rng, 0.015, len(found.person)) & (found.instant % DAY < 20 * 3600))
    soon = np.minimum(found.instant[again] + rng.integers(600, 3600, len(again)), shop.clock.last)
    parts.append(
        _known(rng, people, profiles, found.person[again], soon, SAME_DAY, found.channel[again], found.store[again])
    )
    won = np.flatnonzero(assigned.extra != NEVER)
    channel, store = _where(rng, people, assigned.person[won])
    parts.append(_known(rng, people, profiles, assigned.person[won], assigned.extra[won], CAMPAIGN, channel, store))
    for kind, probability in EXTRA_SHARE.items():
        like = np.flatnonzero(share(rng, probability, len(found.person)))
        like = like[people.shared[found.person[like]] == 0]
        moved = found.instant[like] + rng.integers(-3 * DAY, 10 * DAY, len(like))
        # never before the person's account: a first order that doesn't count still comes after registering
        moved = np.clip(moved, profiles.created[profiles.first[found.person[like]]] + 30, shop.clock.last)
        channel, store = _where(rng, people, found.person[like])
        parts.append(_known(rng, people, profiles, found.person[like], moved, kind, channel, store))
    parts.append(_walk_ins(rng, shop, round(len(found.person) * 0.012)))
    parts.append(renewals)
    return concat(parts)


def _known(
    rng: np.random.Generator, people: People, profiles: Profiles, person: Ints, instant: Ints, kind: int, channel: Ints,
    store: Ints,
) -> Purchases:  # fmt: skip
    """Orders of known people, each through one of the profiles they had by then."""
    n = len(person)
    first = profiles.first[person]
    slot = (rng.random(n) * people.contacts[person]).astype(np.int64)
    profile = np.where(profiles.created[first + slot] < instant, first + slot, first)
    guest = people.role[person] == GUEST
    guest |= share(rng, 0.06, n) & (people.household[person] < 0) & ~people.is_b2b[person] & (profile == first)
    none = np.full(n, -1, dtype=np.int64)
    return Purchases(person, profile, guest, instant, np.full(n, kind), channel, store, none, none, none, none)


def _walk_ins(rng: np.random.Generator, shop: Shop, n: int) -> Purchases:
    """Till receipts without any identifier: revenue of nobody."""
    store = draw(rng, np.array([4.0, 2, 2, 1]), n)
    day = shop.clock.calendar(rng.random(n) * shop.clock.season[-1]).astype(np.int64)
    instant = shop.clock.at(rng, np.minimum(day, shop.clock.days - 1), STORE_ZONE[store])
    none = np.full(n, -1, dtype=np.int64)
    return Purchases(
        none, none, none >= -1, instant, np.full(n, WALK_IN), np.full(n, 2), store, none, none, none, none
    )  # fmt: skip

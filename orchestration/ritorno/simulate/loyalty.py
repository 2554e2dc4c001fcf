"""The loyalty ledger: points earned by orders, free after thirty days, gone after a year; oldest first.

Points can be spent only thirty days after they were earned, and a refund within that time takes back the whole lot. So
a lot taken back was never touched, and what is redeemed or expires follows from two running sums per member.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ritorno.simulate import columns as c
from ritorno.simulate.clock import DAY
from ritorno.simulate.columns import NEVER, Ints
from ritorno.simulate.orders import ID_ROOM, Refunds, Sales
from ritorno.simulate.people import B2B, BUYER, People, Profiles
from ritorno.simulate.shop import Shop, share

TYPES = ("earn", "redeem", "expire", "adjust", "reverse")
EARN, REDEEM, EXPIRE, ADJUST, REVERSE = range(len(TYPES))
VESTS, EXPIRES = 30 * DAY, 365 * DAY
_FREE = 9
"""A lot becomes spendable: no event of the table."""


def ledger(
    rng: np.random.Generator, shop: Shop, people: People, profiles: Profiles, sales: Sales, refunds: Refunds, chunk: int
) -> pa.Table:
    """The events of the chunk's members, by member and time."""
    member = (people.role == BUYER) & (people.number % 20 < 7)
    member |= (people.role == B2B) & (people.number % 5 < 3)
    bought = sales.bought
    person0 = np.maximum(bought.person, 0)
    earning = np.flatnonzero(
        (bought.person >= 0) & member[person0] & sales.valid & (sales.total >= 100)
        & (bought.instant >= profiles.created[profiles.first[person0]])
    )  # fmt: skip
    given = earning[share(rng, 0.01, len(earning))]
    lot_order = np.concatenate([earning, given])
    lot_kind = np.repeat([EARN, ADJUST], [len(earning), len(given)])
    person = bought.person[lot_order]
    at = bought.instant[lot_order] + np.where(lot_kind == ADJUST, 3600, 0)
    points = np.where(lot_kind == EARN, sales.total[lot_order] // 100, 250)
    reversed_at = _reversals(sales, refunds, lot_order, lot_kind, at)
    vests = np.where(reversed_at == NEVER, points, 0)

    tries = earning[share(rng, 0.25, len(earning))]
    rows = [
        (person, at, lot_kind, points, lot_order),
        (person, at + VESTS, np.full(len(at), _FREE), vests, lot_order),
        (person, at + EXPIRES, np.full(len(at), EXPIRE), vests, lot_order),
        (
            bought.person[tries],
            bought.instant[tries] + 60,
            np.full(len(tries), REDEEM),
            np.zeros(len(tries), dtype=np.int64),
            tries,
        ),
        (person, reversed_at, np.full(len(at), REVERSE), points, lot_order),
    ]
    who, when, kind, amount, order = (np.concatenate(x) for x in zip(*rows, strict=True))
    keep = (when != NEVER) & (when <= shop.clock.last)
    who, when, kind, amount, order = who[keep], when[keep], kind[keep], amount[keep], order[keep]
    # at the same instant: expire before free before redeem
    urgency = np.array([2, 3, 0, 2, 2, 0, 0, 0, 0, 1])[kind]
    sort = np.lexsort((order, urgency, when, who))
    who, when, kind, amount, order = who[sort], when[sort], kind[sort], amount[sort], order[sort]
    signed = _balance(who, kind, amount)
    shown = (kind != _FREE) & (signed != 0)
    profile = profiles.first[who[shown]]
    lot = (kind[shown] == EARN) | (kind[shown] == ADJUST)
    n = int(shown.sum())
    return c.frame(
        "loyalty_events",
        n,
        {
            "event_id": c.numbered("l-", chunk * ID_ROOM + np.arange(n), 11),
            "customer_id": profiles.account_id(profile),
            "points": c.numbers(signed[shown]),
            "type": c.pick(TYPES, kind[shown]),
            "occurred_at": c.instants(when[shown]),
            "expires_at": c.instants(np.where(lot, when[shown] + EXPIRES, NEVER)),
            "order_id": c.numbered("o-", np.where(kind[shown] == ADJUST, -1, sales.number[order[shown]]), 11),
            "updated_at": c.instants(when[shown]),
        },
    )


def _reversals(sales: Sales, refunds: Refunds, lot_order: Ints, lot_kind: Ints, at: Ints) -> Ints:
    """When a full refund takes a lot back, NEVER where it doesn't."""
    back = np.full(sales.bought.n, NEVER)
    whole = refunds.full & (refunds.order >= 0)
    back[refunds.order[whole]] = refunds.instant[whole]
    when = back[lot_order]
    return np.where((lot_kind == EARN) & (when != NEVER) & (when < at + VESTS), when, NEVER)


def _balance(who: Ints, kind: Ints, amount: Ints) -> Ints:
    """Signed points of each event; one step per rank within a member, all members at once."""
    signed = np.where((kind == EARN) | (kind == ADJUST), amount, np.where(kind == REVERSE, -amount, 0))
    if not len(who):
        return signed
    members, member = np.unique(who, return_inverse=True)
    free = np.zeros(len(members), dtype=np.int64)  # points that ever became spendable
    used = np.zeros(len(members), dtype=np.int64)  # redeemed or expired
    due = np.zeros(len(members), dtype=np.int64)  # points of the lots that have reached their end
    rank = np.arange(len(who)) - np.searchsorted(who, who)
    by_rank = np.argsort(rank, kind="stable")
    edges = np.searchsorted(rank[by_rank], np.arange(int(rank.max()) + 2))
    for k in range(len(edges) - 1):
        now = by_rank[edges[k] : edges[k + 1]]
        m, what, points = member[now], kind[now], amount[now]
        free[m] += np.where(what == _FREE, points, 0)
        due[m] += np.where(what == EXPIRE, points, 0)
        gone = np.where(what == EXPIRE, np.maximum(due[m] - used[m], 0), 0)
        spendable = free[m] - used[m]
        gone = np.where((what == REDEEM) & (spendable >= 500), spendable // 100 * 100, gone)
        used[m] += gone
        signed[now] -= gone
    return signed

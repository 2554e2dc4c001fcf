"""Subscriptions: an event log, today's table that agrees with it, and the orders they cause.

All subscriptions of a chunk take their billing dates in step: at each, a subscription renews, skips, changes, fails to
pay, pauses or ends. Events after the span's end haven't happened; today's table shows what is scheduled.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ritorno.simulate import columns as c
from ritorno.simulate.clock import DAY
from ritorno.simulate.columns import NEVER, Bools, Ints
from ritorno.simulate.people import SLOTS, People, Profiles
from ritorno.simulate.purchases import SUBSCRIPTION, Purchases
from ritorno.simulate.shop import CURRENCIES, PRICE_FACTOR, UNITS, Shop, draw, share

EVENTS = (
    "created", "trial_started", "activated", "renewed", "plan_changed", "price_changed", "quantity_changed",
    "pause_scheduled", "paused", "resumed", "skipped", "payment_failed", "payment_recovered", "cancel_scheduled",
    "cancelled", "expired", "reactivated", "discount_changed",
)  # fmt: skip
(
    CREATED, TRIAL_STARTED, ACTIVATED, RENEWED, PLAN_CHANGED, PRICE_CHANGED, QUANTITY_CHANGED, PAUSE_SCHEDULED, PAUSED,
    RESUMED, SKIPPED, PAYMENT_FAILED, PAYMENT_RECOVERED, CANCEL_SCHEDULED, CANCELLED, EXPIRED, REACTIVATED,
    DISCOUNT_CHANGED,
) = range(len(EVENTS))  # fmt: skip
STATES = ("trialing", "active", "past_due", "paused", "cancelled", "expired")
TRIALING, ACTIVE, PAST_DUE, ON_PAUSE, ENDED, RUN_OUT = range(len(STATES))
REASONS = ("too_much_left", "too_expensive", "travelling", "payment_failed", "trial_not_converted", "other", "fraud")
COUPONS = ("quarter", "loyal", "five_off", "first_half", "none")
"""A fifth less for three months, a tenth or five units of money for ever, half of the first invoice; no coupon."""
QUARTER, LOYAL, FIVE_OFF, FIRST_HALF, NO_COUPON = range(len(COUPONS))
COUPON_PERCENT = np.array([20, 10, 0, 50, 0])
COUPON_CENTS = np.array([0, 0, 500, 0, 0])
DURATIONS = ("months", "forever", "once", "none")
COUPON_DURATION = np.array([0, 1, 1, 2, 3])
QUARTER_DAYS = 92
WORD = (CREATED, DISCOUNT_CHANGED)
"""Events that say something about the coupon; the others leave it as it was."""
BILLING = (ACTIVATED, RENEWED, PAYMENT_RECOVERED, RESUMED, REACTIVATED)


@dataclass
class Running:
    """The subscriptions of a chunk."""

    table: pa.Table
    events: pa.Table
    renewals: Purchases
    truth: dict[str, Any]


@dataclass
class _Life:
    """State of every subscription while the billing dates pass; `log` gathers the events."""

    shop: Shop
    rng: np.random.Generator
    person: Ints
    profile: Ints
    currency: Ints
    plan: Ints
    price: Ints
    quantity: Ints
    state: Ints
    due: Ints
    pause_start: Ints
    pause_end: Ints
    cancel_at: Ints
    cancelled: Ints
    ended: Ints
    reason: Ints
    pauses: Ints
    comebacks: Ints
    coupon: Ints
    """Of COUPONS, -1 none."""
    coupon_end: Ints
    log: list[tuple[Ints, ...]] = field(default_factory=list)

    def happen(
        self, who: Ints, kind: int, when: Ints, *, effective: Ints | None = None, reason: Ints | None = None
    ) -> Bools:
        """Log an event for those whose time has come; true where it has happened by now."""
        done = when <= self.shop.clock.last
        at = who[done]
        none = np.full(len(at), NEVER)
        self.log.append(
            (
                at, np.full(len(at), kind), when[done], np.full(len(at), len(self.log)), self.plan[at], self.price[at],
                self.quantity[at], none if effective is None else effective[done],
                np.full(len(at), -1) if reason is None else reason[done], self.coupon[at], self.coupon_end[at],
            )
        )  # fmt: skip
        return done

    def step(self, when: Ints, who: Ints) -> Ints:
        """One billing period later."""
        unit, count = self.shop.plans.unit[self.plan[who]], self.shop.plans.count[self.plan[who]]
        days = np.array([1, 7, 0, 0])[unit] * count
        months = np.array([0, 0, 1, 12])[unit] * count
        day = (when // DAY).astype("datetime64[D]")
        month = day.astype("datetime64[M]")
        into = (day - month).astype(np.int64)
        target = month + months
        length = ((target + 1).astype("datetime64[D]") - target.astype("datetime64[D]")).astype(np.int64)
        moved = (target.astype("datetime64[D]") + np.minimum(into, length - 1)).astype(np.int64)
        following: Ints = np.where(months > 0, moved, when // DAY + days) * DAY + when % DAY
        return following


def make_subscriptions(
    rng: np.random.Generator, shop: Shop, people: People, profiles: Profiles, first: Ints
) -> Running:
    """Subscriptions of the chunk's subscribers, some with two."""
    subscribers = np.flatnonzero(people.subscriber)
    person = np.sort(np.concatenate([subscribers, subscribers[share(rng, 0.12, len(subscribers))]]))
    life = _begin(rng, shop, people, profiles, person, first)
    limit = int(shop.clock.days / 7) + 5
    for _ in range(limit):
        if not _pass_due(life):
            break
    return _finish(shop, people, profiles, life)


def _begin(
    rng: np.random.Generator, shop: Shop, people: People, profiles: Profiles, person: Ints, first: Ints
) -> _Life:
    n = len(person)
    profile = profiles.first[person]
    earliest = np.maximum(first[person], profiles.created[profile])
    room = np.maximum(shop.clock.last - DAY - earliest, 1)
    started = earliest + np.minimum(3600 + (rng.random(n) ** 1.5 * room).astype(np.int64), room)
    started = np.minimum(started, shop.clock.last)  # whoever arrives in the last second subscribes in it
    plan = draw(rng, np.array([0.24, 0.2, 0.1, 0.14, 0.1, 0.08, 0.08, 0.06]), n)
    currency = people.currency[person]
    never, zero = np.full(n, NEVER), np.zeros(n, dtype=np.int64)
    life = _Life(
        shop=shop,
        rng=rng,
        person=person,
        profile=profile,
        currency=currency,
        plan=plan,
        price=_list_price(shop, plan, currency),
        quantity=1 + share(rng, 0.15, n).astype(np.int64),
        state=zero.copy(),
        due=started.copy(),
        pause_start=never.copy(),
        pause_end=never.copy(),
        cancel_at=never.copy(),
        cancelled=never.copy(),
        ended=never.copy(),
        reason=zero - 1,
        pauses=zero.copy(),
        comebacks=zero.copy(),
        coupon=zero - 1,
        coupon_end=never.copy(),
    )
    everyone = np.arange(n)
    # by their numbers, not by chance: no other draw of the shop depends on who has a coupon
    lot = (people.number[person] * 7 + _nth(person) * 3) % 20
    _give(life, everyone[lot < NO_COUPON], lot[lot < NO_COUPON], started[lot < NO_COUPON])
    trial = (shop.plans.trial_days[plan] > 0) & share(rng, 0.8, n)
    life.happen(everyone, CREATED, started)
    life.happen(
        everyone[trial],
        TRIAL_STARTED,
        started[trial],
        effective=started[trial] + shop.plans.trial_days[plan[trial]] * DAY,
    )
    life.happen(everyone[~trial], ACTIVATED, started[~trial])
    life.state = np.where(trial, TRIALING, ACTIVE)
    life.due = np.where(trial, started + shop.plans.trial_days[plan] * DAY, life.step(started, everyone))
    return life


def _give(life: _Life, who: Ints, coupon: Ints, when: Ints) -> None:
    """A coupon from `when` on."""
    life.coupon[who] = coupon
    life.coupon_end[who] = np.where(coupon == QUARTER, when + QUARTER_DAYS * DAY, NEVER)


def _list_price(shop: Shop, plan: Ints, currency: Ints) -> Ints:
    price: Ints = np.round(shop.plans.price[plan] * PRICE_FACTOR[currency]).astype(np.int64)
    return price


def _pass_due(life: _Life) -> bool:
    """Let the next date of every subscription pass; false when none is left in the span."""
    alive = np.flatnonzero((life.due != NEVER) & (life.due <= life.shop.clock.last))
    if not len(alive):
        return False
    state = life.state[alive]
    _trials_end(life, alive[state == TRIALING])
    _bill(life, alive[state == ACTIVE])
    _retry(life, alive[state == PAST_DUE])
    _while_paused(life, alive[state == ON_PAUSE])
    _come_back(life, alive[(state == ENDED) | (state == RUN_OUT)])
    return True


def _end(life: _Life, who: Ints, when: Ints, reason: Ints, kind: int = CANCELLED) -> None:
    done = life.happen(who, kind, when, reason=reason)
    who, when, reason = who[done], when[done], reason[done]
    life.state[who] = ENDED if kind == CANCELLED else RUN_OUT
    if kind == CANCELLED:
        life.cancelled[who] = when
    life.ended[who] = when
    life.reason[who] = reason
    life.pause_start[who], life.pause_end[who] = NEVER, NEVER
    returns = share(life.rng, 0.08, len(who)) & (life.comebacks[who] == 0)
    life.due[who] = np.where(returns, when + life.rng.integers(20 * DAY, 200 * DAY, len(who)), NEVER)


def _trials_end(life: _Life, who: Ints) -> None:
    converts = share(life.rng, 0.68, len(who))
    yes, no = who[converts], who[~converts]
    life.happen(yes, ACTIVATED, life.due[yes])
    life.state[yes] = ACTIVE
    life.due[yes] = life.step(life.due[yes], yes)
    _end(life, no, life.due[no], np.full(len(no), 4))


def _bill(life: _Life, who: Ints) -> None:
    rng, when = life.rng, life.due[who]
    if (set_to_end := life.cancel_at[who] != NEVER).any():
        leaving = who[set_to_end]
        _end(life, leaving, life.cancel_at[leaving], life.reason[leaving])
        who, when = who[~set_to_end], when[~set_to_end]
    # in this order: renew, skip, plan, price, quantity, fail, pause now, pause later, cancel now, at period end, expire
    chances = np.array([0.79, 0.03, 0.015, 0.01, 0.015, 0.04, 0.025, 0.02, 0.025, 0.025, 0.005])
    turn = draw(rng, chances, len(who))
    for code in range(len(chances)):
        mine, at = who[turn == code], when[turn == code]
        if not len(mine):
            continue
        if code in (0, 2, 3, 4, 9):
            _change(life, mine, at, code)
            life.happen(mine, RENEWED, at)
            following = life.step(at, mine)
            if code == 9:
                wish = at + ((following - at) * rng.uniform(0.1, 0.8, len(mine))).astype(np.int64)
                life.reason[mine] = draw(rng, np.array([3.0, 3, 1, 0, 0, 2]), len(mine))
                said = life.happen(mine, CANCEL_SCHEDULED, wish, effective=following, reason=life.reason[mine])
                life.cancel_at[mine[said]] = following[said]
                life.reason[mine[~said]] = -1
            life.due[mine] = following
        elif code == 1:
            life.happen(mine, SKIPPED, at)
            life.due[mine] = life.step(at, mine)
        elif code == 5:
            life.happen(mine, PAYMENT_FAILED, at, reason=np.full(len(mine), 3))
            life.state[mine] = PAST_DUE
            life.due[mine] = at + rng.integers(DAY, 12 * DAY, len(mine))
        elif code in (6, 7):
            _pause(life, mine, at, scheduled=code == 7)
        elif code == 8:
            _end(life, mine, at, draw(rng, np.array([3.0, 3, 1, 0, 0, 2]), len(mine)))
        else:
            _end(life, mine, at, np.full(len(mine), -1), EXPIRED)


def _change(life: _Life, who: Ints, when: Ints, code: int) -> None:
    """Plan, price or quantity of those billed now; the change comes in the same instant, before the renewal."""
    if code == 2:
        life.plan[who] = np.array([1, 0, 0, 7, 0, 5, 0, 3])[life.plan[who]]
        life.price[who] = _list_price(life.shop, life.plan[who], life.currency[who])
        life.happen(who, PLAN_CHANGED, when)
        # the coupon was for the other plan; only one for ever is still there to be taken away
        had = np.isin(life.coupon[who], (LOYAL, FIVE_OFF))
        _give(life, who[had], np.full(int(had.sum()), NO_COUPON), when[had])
        life.happen(who[had], DISCOUNT_CHANGED, when[had])
    elif code == 3:
        life.price[who] = np.round(life.price[who] * life.rng.choice([0.9, 1.05, 1.1], len(who))).astype(np.int64)
        life.happen(who, PRICE_CHANGED, when)
    elif code == 4:
        life.quantity[who] = np.where(life.quantity[who] > 1, 1, 2)
        life.happen(who, QUANTITY_CHANGED, when)


def _pause(life: _Life, who: Ints, when: Ints, *, scheduled: bool) -> None:
    rng = life.rng
    reason = draw(rng, np.array([4.0, 1, 3, 0, 0, 1]), len(who))
    until = np.where(share(rng, 0.6, len(who)), when + rng.integers(10, 100, len(who)) * DAY, NEVER)
    if scheduled:
        # announced in the period before: the billing of this date is the pause
        life.happen(who, PAUSE_SCHEDULED, when - rng.integers(DAY, 5 * DAY, len(who)), effective=when, reason=reason)
    life.happen(who, PAUSED, when, effective=until, reason=reason)
    life.state[who] = ON_PAUSE
    life.pauses[who] += 1
    life.pause_start[who], life.pause_end[who] = when, until
    life.due[who] = np.where(until == NEVER, when + rng.integers(15 * DAY, 45 * DAY, len(who)), until)
    # a pause with an end is sometimes cut short by a cancellation
    short = (until != NEVER) & share(rng, 0.1, len(who))
    life.due[who[short]] = when[short] + (life.due[who[short]] - when[short]) // 2


def _while_paused(life: _Life, who: Ints) -> None:
    rng, when = life.rng, life.due[who]
    planned = life.pause_end[who] == when
    early = (life.pause_end[who] != NEVER) & ~planned
    fate = rng.random(len(who))
    resumes = planned | (~early & (fate < 0.35))
    leaves = ~planned & (early | (fate >= 0.9))
    waits = ~resumes & ~leaves
    back = who[resumes]
    life.happen(back, RESUMED, when[resumes])
    life.state[back] = ACTIVE
    life.pause_start[back], life.pause_end[back] = NEVER, NEVER
    life.due[back] = life.step(when[resumes], back)
    _end(life, who[leaves], when[leaves], draw(rng, np.array([3.0, 2, 1, 0, 0, 2]), int(leaves.sum())))
    life.due[who[waits]] = when[waits] + 30 * DAY


def _retry(life: _Life, who: Ints) -> None:
    when = life.due[who]
    works = share(life.rng, 0.7, len(who))
    good, bad = who[works], who[~works]
    life.happen(good, PAYMENT_RECOVERED, when[works])
    life.state[good] = ACTIVE
    life.due[good] = life.step(when[works], good)
    _end(life, bad, when[~works], np.full(len(bad), 3))


def _come_back(life: _Life, who: Ints) -> None:
    when = life.due[who]
    life.happen(who, REACTIVATED, when)
    # who comes back without a coupon gets one in one case of three
    won = (life.person[who] % 3 == 0) & ~np.isin(life.coupon[who], (LOYAL, FIVE_OFF))
    _give(life, who[won], np.full(int(won.sum()), LOYAL), when[won])
    life.happen(who[won], DISCOUNT_CHANGED, when[won])
    life.state[who] = ACTIVE
    life.comebacks[who] += 1
    for column in (life.cancelled, life.ended, life.cancel_at):
        column[who] = NEVER
    life.reason[who] = -1
    life.due[who] = life.step(when, who)


def _finish(shop: Shop, people: People, profiles: Profiles, life: _Life) -> Running:
    columns = [np.concatenate(x) for x in zip(*life.log, strict=True)]
    sub, kind, when, order, plan, price, quantity, effective, reason, coupon, coupon_end = columns
    sort = np.lexsort((order, when, sub))
    sub, kind, when, order = sub[sort], kind[sort], when[sort], order[sort]
    plan, price, quantity, effective, reason = plan[sort], price[sort], quantity[sort], effective[sort], reason[sort]
    coupon, coupon_end = coupon[sort], coupon_end[sort]
    rank = np.arange(len(sub)) - np.searchsorted(sub, sub)
    number = people.number[life.person] * SLOTS + _nth(life.person)
    started = when[rank == 0]
    events = c.frame(
        "subscription_events",
        len(sub),
        {
            "event_id": pc.binary_join_element_wise(c.numbered("e-", number[sub], 9), c.numbered("", rank, 4), "-"),
            "subscription_id": c.numbered("s-", number[sub], 9),
            "type": c.pick(EVENTS, kind),
            "occurred_at": c.instants(when),
            "sequence": c.numbers(rank),
            "plan_id": c.numbered("plan-", plan, 2),
            "price": c.money(price),
            "interval": c.pick(UNITS, shop.plans.unit[plan]),
            "interval_count": c.numbers(shop.plans.count[plan]),
            "quantity": c.numbers(quantity),
            **_discount(np.where(np.isin(kind, WORD), coupon, -1), coupon_end),
            "effective_at": c.instants(effective),
            "reason": c.pick(REASONS, reason),
            "updated_at": c.instants(when),
        },
    )
    billed = np.isin(kind, BILLING)
    bill_sub = sub[billed]
    none = np.full(len(bill_sub), -1, dtype=np.int64)
    renewals = Purchases(
        person=life.person[bill_sub],
        profile=life.profile[bill_sub],
        guest=np.zeros(len(bill_sub), dtype=np.bool_),
        instant=np.minimum(when[billed] + 30, shop.clock.last),
        kind=np.full(len(bill_sub), SUBSCRIPTION),
        channel=np.full(len(bill_sub), 5),
        store=none,
        subscription=number[bill_sub],
        product=shop.plans.product[plan[billed]],
        quantity=quantity[billed],
        price=_invoiced(price, quantity, coupon, coupon_end, kind, when, sub)[billed],
    )
    return Running(
        _today(shop, people, profiles, life, number, started, when, sub), events, renewals, _truth(people, life, number)
    )


def _discount(coupon: Ints, end: Ints) -> dict[str, pa.Array]:
    """The four columns of a coupon; -1 says nothing."""
    at = np.maximum(coupon, 0)
    return {
        "discount_amount": c.money(np.where((coupon >= 0) & (COUPON_CENTS[at] > 0), COUPON_CENTS[at], NEVER)),
        "discount_percent": c.money(
            np.where((coupon >= 0) & (COUPON_PERCENT[at] > 0), COUPON_PERCENT[at] * 100, NEVER)
        ),
        "discount_duration": c.pick(DURATIONS, np.where(coupon >= 0, COUPON_DURATION[at], -1)),
        "discount_ends_at": c.instants(np.where(coupon == QUARTER, end, NEVER)),
    }


def _invoiced(price: Ints, quantity: Ints, coupon: Ints, end: Ints, kind: Ints, when: Ints, sub: Ints) -> Ints:
    """What an invoice charges a unit: the price less the coupon of the moment."""
    bills = np.isin(kind, BILLING)
    before: Ints = np.cumsum(bills) - bills  # invoices so far, of this and earlier subscriptions
    first: Bools = before == before[np.searchsorted(sub, sub)]
    at = np.maximum(coupon, 0)
    holds = (coupon >= 0) & ((coupon != QUARTER) | (when < end)) & ((coupon != FIRST_HALF) | first)
    less = price * COUPON_PERCENT[at] // 100 + COUPON_CENTS[at] // np.maximum(quantity, 1)
    charged: Ints = np.where(holds, np.maximum(price - less, 0), price)
    return charged


def _nth(person: Ints) -> Ints:
    return np.arange(len(person)) - np.searchsorted(person, person)


def _today(
    shop: Shop, people: People, profiles: Profiles, life: _Life, number: Ints, started: Ints, when: Ints, sub: Ints
) -> pa.Table:
    n = len(number)
    updated = started.copy()
    np.maximum.at(updated, sub, when)
    trialing = life.state == TRIALING
    paused = life.state == ON_PAUSE
    # one in ten is known by its address only
    by_mail = people.number[life.person] % 10 == 0
    return c.frame(
        "subscriptions",
        n,
        {
            "subscription_id": c.numbered("s-", number, 9),
            "customer_id": profiles.account_id(np.where(by_mail, -1, life.profile)),
            "email": c.keep(by_mail, profiles.mail(life.profile)),
            "status": c.pick(STATES, life.state),
            "plan_id": c.numbered("plan-", life.plan, 2),
            "started_at": c.instants(started),
            "price": c.money(life.price),
            "interval": c.pick(UNITS, shop.plans.unit[life.plan]),
            "interval_count": c.numbers(shop.plans.count[life.plan]),
            "quantity": c.numbers(life.quantity),
            **_discount(_of_today(shop, life), life.coupon_end),
            "currency": c.pick(CURRENCIES, life.currency),
            "trial_end": c.instants(np.where(trialing, life.due, NEVER)),
            "pause_start": c.instants(np.where(paused, life.pause_start, NEVER)),
            "pause_end": c.instants(np.where(paused, life.pause_end, NEVER)),
            "cancel_at": c.instants(np.where(life.ended == NEVER, life.cancel_at, NEVER)),
            "cancelled_at": c.instants(life.cancelled),
            "cancel_reason": c.pick(REASONS, life.reason),
            "ended_at": c.instants(life.ended),
            "updated_at": c.instants(updated),
        },
    )


def _of_today(shop: Shop, life: _Life) -> Ints:
    """The coupon that today's table shows: one whose months are over is gone from it."""
    over = (life.coupon == QUARTER) & (life.coupon_end <= shop.clock.last)
    return np.where(over | (life.coupon == NO_COUPON), -1, life.coupon)


def _truth(people: People, life: _Life, number: Ints) -> dict[str, Any]:
    return {
        "subscription_id": c.numbered("s-", number, 9),
        "person_id": c.numbered("h-", people.number[life.person], 9),
        "state": c.pick(STATES, life.state),
        "times_paused": c.numbers(life.pauses),
        "times_reactivated": c.numbers(life.comebacks),
        "ended_at": c.instants(life.ended),
        "pause_end": c.instants(life.pause_end),
        "price": c.money(life.price),
        "quantity": c.numbers(life.quantity),
        "coupon": c.pick(COUPONS, life.coupon),
        "coupon_ends_at": c.instants(life.coupon_end),
    }

"""What the CRM and its tools know: consents, campaigns, contacts, tickets, NPS, reviews, referrals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ritorno.simulate import columns as c
from ritorno.simulate.clock import DAY
from ritorno.simulate.columns import NEVER, Floats, Ints
from ritorno.simulate.orders import ID_ROOM, Sales
from ritorno.simulate.people import People, Profiles
from ritorno.simulate.purchases import Assignments, Organic
from ritorno.simulate.shop import ARMS, CAMPAIGN_CHANNELS, Shop, draw, share

CONSENT_CHANNELS = ("email", "sms", "push", "social", "post")


def tables(
    rng: np.random.Generator, shop: Shop, people: People, profiles: Profiles, found: Organic, assigned: Assignments,
    sales: Sales, chunk: int,
) -> dict[str, Any]:  # fmt: skip
    """Every engagement table of the chunk."""
    # a stream of its own: what is asked and replied changes no other draw
    (reviewing,) = rng.spawn(1)
    given = consents(rng, shop, people, profiles)
    events = [_messages_and_visits(rng, shop, people, profiles, found, assigned)]
    ticket_rows = tickets(rng, shop, profiles, found, chunk)
    nps_rows = nps(rng, shop, people, profiles, found, chunk)
    written = write_reviews(rng, shop, sales)
    events += [_review_requests(reviewing, sales), _review_replies(reviewing, written)]
    return {
        "consents": given,
        "campaign_assignments": assignments(people, profiles, assigned),
        "interactions": interactions(shop, profiles, events, chunk),
        "support_tickets": ticket_rows,
        "nps_responses": nps_rows,
        "reviews": reviews(rng, profiles, written, chunk),
        "referrals": referrals(rng, shop, people, profiles, chunk),
    }


def consents(rng: np.random.Generator, shop: Shop, people: People, profiles: Profiles) -> pa.Table:
    """Given at sign-up by most, later withdrawn by some, given for a time by a few."""
    clock = shop.clock
    everyone = np.flatnonzero((profiles.slot == 0) & (people.shared[profiles.person] == 0))
    parts: list[tuple[Ints, ...]] = []  # profile, channel, given?, when, expires, source
    for code, probability in ((0, 0.8), (1, 0.2), (2, 0.18), (3, 0.12), (4, 0.15)):
        who = everyone[share(rng, probability, len(everyone))]
        if code == 1:
            who = who[profiles.has_phone[who]]
        n = len(who)
        when = np.minimum(profiles.created[who] + rng.integers(30, 3 * DAY, n), clock.last)
        expires = np.where(share(rng, 0.06, n), when + rng.integers(180, 720, n) * DAY, NEVER)
        parts.append((who, np.full(n, code), np.zeros(n, dtype=np.int64), when, expires, rng.integers(0, 3, n)))
        stops = share(rng, 0.12, n)
        later = when[stops] + 60 + (rng.random(int(stops.sum())) * (clock.last - when[stops])).astype(np.int64)
        parts.append(
            (
                who[stops],
                np.full(len(later), code),
                np.ones(len(later), dtype=np.int64),
                np.minimum(later, clock.last),
                np.full(len(later), NEVER),
                np.full(len(later), 3),
            )
        )
        again = share(rng, 0.1, len(later))
        back = np.minimum(later[again] + 20 * DAY, clock.last)
        parts.append(
            (
                who[stops][again],
                np.full(len(back), code),
                np.zeros(len(back), dtype=np.int64),
                back,
                np.full(len(back), NEVER),
                np.zeros(len(back), dtype=np.int64),
            )
        )
    refused = everyone[share(rng, 0.08, len(everyone))]
    n = len(refused)
    parts.append(
        (
            refused,
            np.zeros(n, dtype=np.int64),
            np.ones(n, dtype=np.int64),
            np.minimum(profiles.created[refused] + 3 * DAY, clock.last),
            np.full(n, NEVER),
            np.full(n, 3),
        )
    )
    who, channel, status, when, expires, source = (np.concatenate(x) for x in zip(*parts, strict=True))
    n = len(who)
    way = draw(rng, np.array([0.8, 0.2]), n)
    by_account = (way == 1) & profiles.account[who]
    by_phone = (channel == 1) & ~by_account
    return c.frame(
        "consents",
        n,
        {
            "email": c.keep(~by_account & ~by_phone, profiles.mail(who)),
            "phone": c.keep(by_phone, profiles.phone(who)),
            "customer_id": c.keep(by_account, profiles.account_id(who)),
            "channel": c.pick(CONSENT_CHANNELS, channel),
            "purpose": c.pick(("marketing", "service"), (rng.random(n) < 0.1).astype(np.int64)),
            "status": c.pick(("given", "withdrawn"), status),
            "occurred_at": c.instants(when),
            "source": c.pick(("checkout", "double_opt_in", "store", "preference_centre"), source),
            "basis": c.pick(("consent", "legitimate_interest"), (source == 2).astype(np.int64)),
            "expires_at": c.instants(expires),
            "updated_at": c.instants(when),
        },
    )


def _by_account(profiles: Profiles, profile: Ints) -> dict[str, Any]:
    """customer_id of accounts, e-mail of everyone else."""
    return {
        "customer_id": profiles.account_id(profile),
        "email": c.keep(~profiles.account[profile], profiles.mail(profile)),
    }


def assignments(people: People, profiles: Profiles, assigned: Assignments) -> pa.Table:
    """Who was put in which arm."""
    profile = profiles.first[assigned.person]
    return c.frame(
        "campaign_assignments",
        len(profile),
        {
            "campaign_id": c.numbered("camp-", assigned.campaign, 3),
            **_by_account(profiles, profile),
            "arm": c.pick(ARMS, assigned.arm),
            "assigned_at": c.instants(assigned.instant),
            "updated_at": c.instants(assigned.instant),
        },
    )


TYPES = (
    "sent", "delivered", "opened", "clicked", "bounced", "unsubscribed", "visited", "session", "push_opened",
    "review_request", "review_reply",
)  # fmt: skip
SENT, DELIVERED, OPENED, CLICKED, BOUNCED, UNSUBSCRIBED, VISITED, SESSION, PUSH_OPENED = range(9)
REVIEW_REQUEST, REVIEW_REPLY = 9, 10
INTERACTION_CHANNELS = (*CAMPAIGN_CHANNELS, "web", "app")
Events = tuple[Ints, ...]
"""Person, profile, when, channel, type, campaign, bot."""


def _messages_and_visits(
    rng: np.random.Generator, shop: Shop, people: People, profiles: Profiles, found: Organic, assigned: Assignments
) -> Events:
    """Campaign sends with what followed (bots among it), and visits before orders and without any."""
    parts: list[Events] = []

    def add(person: Ints, when: Ints, channel: Ints, kind: int, campaign: Ints, bot: int = 0) -> None:
        n = len(person)
        parts.append((person, profiles.first[person], when, channel, np.full(n, kind), campaign, np.full(n, bot)))

    treated = np.flatnonzero(assigned.arm > 0)
    person, campaign = assigned.person[treated], assigned.campaign[treated]
    channel = shop.campaigns.channel[campaign]
    sent = assigned.instant[treated] + 3600
    add(person, sent, channel, SENT, campaign)
    fate = rng.random(len(person))
    bounced = fate < 0.02
    add(person[bounced], sent[bounced] + 20, channel[bounced], BOUNCED, campaign[bounced])
    ok = ~bounced
    add(person[ok], sent[ok] + 30, channel[ok], DELIVERED, campaign[ok])
    machine = ok & share(rng, 0.1, len(person)) & (channel == 0)
    add(person[machine], sent[machine] + 35, channel[machine], OPENED, campaign[machine], 1)
    fast = machine & share(rng, 0.2, len(person))
    add(person[fast], sent[fast] + 36, channel[fast], CLICKED, campaign[fast], 1)
    pushed = ok & (channel == 2) & share(rng, 0.08, len(person))
    add(person[pushed], sent[pushed] + 900, channel[pushed], PUSH_OPENED, campaign[pushed])
    opened = ok & (channel == 0) & share(rng, 0.33, len(person))
    after = sent + rng.integers(60, 3 * DAY, len(person))
    add(person[opened], after[opened], channel[opened], OPENED, campaign[opened])
    clicked = (opened & share(rng, 0.18, len(person))) | (ok & (channel == 1) & share(rng, 0.05, len(person)))
    add(person[clicked], after[clicked] + 40, channel[clicked], CLICKED, campaign[clicked])
    left = opened & share(rng, 0.012, len(person))
    add(person[left], after[left] + 90, channel[left], UNSUBSCRIBED, campaign[left])

    looked = np.flatnonzero(share(rng, 0.2, len(found.person)) & (found.channel < 2))
    where = 3 + (found.channel[looked] == 1)
    none = np.full(len(looked), -1)
    add(found.person[looked], found.instant[looked] - rng.integers(120, 5400, len(looked)), where, VISITED, none)
    idle = np.flatnonzero(share(rng, 0.3, people.n))
    begin = profiles.created[profiles.first[idle]]
    when = begin + (rng.random(len(idle)) * np.maximum(shop.clock.last - begin, 1)).astype(np.int64)
    add(idle, when, np.full(len(idle), 4), SESSION, np.full(len(idle), -1))

    return _all_of(parts)


def _all_of(parts: list[Events]) -> Events:
    return tuple(np.concatenate(x) for x in zip(*parts, strict=True))


def _service_mails(person: Ints, profile: Ints, when: Ints, kind: int) -> Events:
    n = len(person)
    none = np.full(n, -1)
    return person, profile, when, np.zeros(n, dtype=np.int64), np.full(n, kind), none, np.zeros(n, dtype=np.int64)


def _review_requests(rng: np.random.Generator, sales: Sales) -> Events:
    """A mail to half of the buyers two days later: "How do you like it?"."""
    bought = sales.bought
    asked = np.flatnonzero(sales.valid & (bought.person >= 0) & (bought.subscription < 0) & share(rng, 0.5, bought.n))
    when = bought.instant[asked] + 2 * DAY + rng.integers(0, DAY, len(asked))
    return _service_mails(bought.person[asked], bought.profile[asked], when, REVIEW_REQUEST)


def _review_replies(rng: np.random.Generator, written: Written) -> Events:
    """Most who were disappointed hear from the shop within ten days, hardly anybody else does."""
    replied = np.flatnonzero(share(rng, np.where(written.rating <= 2, 0.7, 0.03), len(written.line)))
    when = written.instant[replied] + rng.integers(3600, 10 * DAY, len(replied))
    return _service_mails(written.person[replied], written.profile[replied], when, REVIEW_REPLY)


def interactions(shop: Shop, profiles: Profiles, events: list[Events], chunk: int) -> pa.Table:
    """What has happened until now, in order."""
    person, profile, when, channel, kind, campaign, bot = _all_of(events)
    inside = np.flatnonzero(when <= shop.clock.last)
    order = inside[np.lexsort((kind[inside], person[inside], when[inside]))]
    n = len(order)
    return c.frame(
        "interactions",
        n,
        {
            "event_id": c.numbered("v-", chunk * ID_ROOM + np.arange(n), 11),
            "occurred_at": c.instants(when[order]),
            **_by_account(profiles, profile[order]),
            "channel": c.pick(INTERACTION_CHANNELS, channel[order]),
            "type": c.pick(TYPES, kind[order]),
            "campaign_id": c.numbered("camp-", campaign[order], 3),
            "is_bot": c.flags(bot[order] == 1),
            "updated_at": c.instants(when[order]),
        },
    )


PRIORITIES = ("low", "normal", "high", "urgent")


def tickets(rng: np.random.Generator, shop: Shop, profiles: Profiles, found: Organic, chunk: int) -> pa.Table:
    """Tickets a day or a week after an order; badly handled ones are slow, and cost customers."""
    index = np.flatnonzero(found.ticket)
    opened = found.instant[index] + rng.integers(DAY // 2, 7 * DAY, len(index))
    index, opened = index[opened <= shop.clock.last], opened[opened <= shop.clock.last]
    n = len(index)
    bad = found.badly_handled[index]
    answer = opened + np.where(bad, rng.integers(2 * DAY, 6 * DAY, n), rng.integers(600, DAY, n))
    solved = answer + np.where(bad, rng.integers(3 * DAY, 12 * DAY, n), rng.integers(600, 2 * DAY, n))
    never = bad & share(rng, 0.2, n)
    answered = shop.clock.until_now(answer)
    resolved = np.where(never, NEVER, shop.clock.until_now(solved))
    score = np.where(bad, rng.integers(1, 4, n), rng.integers(3, 6, n))
    rated = share(rng, 0.4, n) & (resolved != NEVER)
    updated = np.maximum(np.maximum(opened, answered), resolved)
    return c.frame(
        "support_tickets",
        n,
        {
            "ticket_id": c.numbered("t-", chunk * ID_ROOM + np.arange(n), 11),
            **_by_account(profiles, profiles.first[found.person[index]]),
            "opened_at": c.instants(opened),
            "priority": c.pick(PRIORITIES, draw(rng, np.array([2.0, 5, 2, 1]), n)),
            "first_response_at": c.instants(answered),
            "resolved_at": c.instants(resolved),
            "reopened": c.flags(bad & share(rng, 0.3, n) & (resolved != NEVER)),
            "csat": c.numbers(score, rated),
            "goodwill": c.money(np.where(bad & share(rng, 0.3, n), rng.integers(300, 2000, n), NEVER)),
            "updated_at": c.instants(updated),
        },
    )


def nps(
    rng: np.random.Generator, shop: Shop, people: People, profiles: Profiles, found: Organic, chunk: int
) -> pa.Table:
    """One survey from 0 to 10 after orders, one from 1 to 10 on the relationship; those treated badly say so."""
    angry = np.zeros(people.n, dtype=np.bool_)
    angry[found.person[found.badly_handled]] = True
    after = np.flatnonzero(share(rng, 0.04, len(found.person)))
    person = np.concatenate([found.person[after], found.person[after[::4]]])
    scale = np.repeat([0, 1], [len(after), len(after[::4])])
    when = np.concatenate([found.instant[after] + 5 * DAY, found.instant[after[::4]] + 40 * DAY]) + rng.integers(
        0, 6 * 3600, len(person)
    )
    inside = when <= shop.clock.last
    person, scale, when = person[inside], scale[inside], when[inside]
    n = len(person)
    happy = np.round(rng.normal(8.3, 1.7, n))
    score = np.clip(np.where(angry[person], happy - 4, happy), scale, 10)
    told = np.where(share(rng, 0.2, n), np.where(score >= 9, 0, np.where(score >= 7, 1, 2)), -1)
    return c.frame(
        "nps_responses",
        n,
        {
            "response_id": c.numbered("n-", chunk * ID_ROOM + np.arange(n), 11),
            **_by_account(profiles, profiles.first[person]),
            "score": c.numbers(score),
            "responded_at": c.instants(when),
            "survey": c.pick(("after_order", "relationship"), scale),
            "scale_min": c.numbers(scale),
            "scale_max": c.numbers(np.full(n, 10)),
            "comment": c.pick(("Always on time.", "Fine, a bit dear.", "Nobody answered me."), told),
            "updated_at": c.instants(when),
        },
    )


@dataclass(frozen=True)
class Written:
    """Reviews: who wrote when about which line, with how many stars."""

    line: Ints
    person: Ints
    profile: Ints
    product: Ints
    instant: Ints
    rating: Floats


def write_reviews(rng: np.random.Generator, shop: Shop, sales: Sales) -> Written:
    """Three lines in a hundred get a review, one to five stars."""
    bought = sales.bought
    lines = np.flatnonzero(share(rng, 0.03, sales.lines.n) & (sales.valid & (bought.person >= 0))[sales.lines.order])
    when = bought.instant[sales.lines.order[lines]] + rng.integers(3 * DAY, 40 * DAY, len(lines))
    lines, when = lines[when <= shop.clock.last], when[when <= shop.clock.last]
    order, product = sales.lines.order[lines], sales.lines.product[lines]
    liked = rng.normal(4.2, 0.9, len(lines)) + (product % 7 == 0) * -1.2
    rating = np.clip(np.round(liked), 1, 5)
    return Written(lines, bought.person[order], bought.profile[order], product, when, rating)


def reviews(rng: np.random.Generator, profiles: Profiles, written: Written, chunk: int) -> pa.Table:
    """The reviews, some with words."""
    n, rating, when = len(written.line), written.rating, written.instant
    words = np.where(share(rng, 0.4, n), np.where(rating >= 4, 0, np.where(rating == 3, 1, 2)), -1)
    return c.frame(
        "reviews",
        n,
        {
            "review_id": c.numbered("w-", chunk * ID_ROOM + np.arange(n), 11),
            **_by_account(profiles, written.profile),
            "product_id": c.numbered("p-", written.product, 5),
            "rating": c.numbers(rating),
            "created_at": c.instants(when),
            "text": c.pick(("Would buy again.", "It is all right.", "Broke after a week."), words),
            "updated_at": c.instants(when),
        },
    )


def referrals(rng: np.random.Generator, shop: Shop, people: People, profiles: Profiles, chunk: int) -> pa.Table:
    """Invitations to people who come later, to nobody, to oneself and to people who are here already."""
    accounts = np.flatnonzero(profiles.account & (profiles.slot == 0))
    n = round(len(accounts) * 0.05)
    if not n:
        return c.frame("referrals", 0, {})
    who = rng.choice(accounts, n)
    other = rng.choice(accounts, n)
    kind = draw(rng, np.array([0.35, 0.5, 0.05, 0.1]), n)  # someone, nobody, oneself, an existing customer
    earlier = profiles.created[who] < profiles.created[other]
    first = np.where(earlier, who, other)
    second = np.where(earlier, other, who)
    referrer = np.where(kind == 0, first, np.where(kind == 3, second, who))
    referee = np.where(kind == 0, second, np.where(kind == 3, first, np.where(kind == 2, who, -1)))
    room = np.maximum(shop.clock.last - profiles.created[referrer], 1)
    when = profiles.created[referrer] + (rng.random(n) * room).astype(np.int64)
    # one who is to come was asked before
    soon = np.maximum(profiles.created[referee] - rng.integers(DAY, 20 * DAY, n), profiles.created[referrer])
    when = np.where(kind == 0, soon, when)
    stranger = pc.binary_join_element_wise(
        c.numbered("friend.", chunk * ID_ROOM + np.arange(n), 11), "example.org", "@"
    )
    form = np.where(kind == 2, 1, 0)
    by_mail = share(rng, 0.3, n)
    return c.frame(
        "referrals",
        n,
        {
            "referral_id": c.numbered("f-", chunk * ID_ROOM + np.arange(n), 11),
            "referrer_id": c.keep(~by_mail, profiles.account_id(referrer)),
            "referrer_email": c.keep(by_mail, profiles.mail(referrer)),
            "referee_email": c.choose(referee >= 0, profiles.mail(referee, form), stranger),
            "invited_at": c.instants(np.minimum(when, shop.clock.last)),
            "reward": c.pick(("10 EUR voucher", "500 points"), rng.integers(0, 2, n)),
            "updated_at": c.instants(np.minimum(when, shop.clock.last)),
        },
    )

"""People and businesses: who they really are, and under which addresses the shop knows them.

A *person* (or company) is the truth. A *profile* is one set of addresses of a person: an account, a guest's or a
newsletter contact's. What the tables show are profiles, in changing spellings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ritorno.simulate import columns as c
from ritorno.simulate.clock import DAY
from ritorno.simulate.columns import NEVER, Bools, Floats, Ints
from ritorno.simulate.shop import ACQUISITION, COUNTRIES, COUNTRY_CURRENCY, COUNTRY_SHARE, Shop, draw, share

FIRST = (
    "anna", "jörg", "zoë", "andré", "maria", "thomas", "sofía", "jan", "lucía", "peter", "renée", "björn", "emma",
    "paul", "käthe", "noah", "ines", "françois", "lena", "mats", "clara", "tomás", "ida", "günther",
)  # fmt: skip
LAST = (
    "müller", "schmidt", "garcía", "rossi", "smith", "jansen", "novák", "bauer", "lefèvre", "weber", "jones", "koch",
    "svensson", "richter", "wolf", "neumann", "brown", "schäfer", "vogel", "krämer", "martin", "lopez", "winter",
)  # fmt: skip
DOMAINS = ("example.com", "example.org", "example.net", "mail.example.com", "post.example.org")
COMPANIES = (
    "Nordwind Handel",
    "Café Morgenrot",
    "Hotel Seeblick",
    "Bürohaus Linde",
    "Atelier Krüger",
    "Praxis am Park",
)
LEGAL = ("GmbH", "AG", "Ltd", "Inc", "GmbH", "BV")
INFO_ADDRESSES = tuple(f"info@shop{i}.example.com" for i in range(5))
TILL_PHONES = tuple(f"+49 30 23125{i:03d}" for i in range(40, 45))  # numbers kept for films by the German regulator

B2B, REGISTERED, GUEST, CONTACT, BUYER = 0, 1, 2, 3, 4
ROLES = ("business", "registered", "guest", "contact", "buyer")
ROLE_SHARE = np.array([0.07, 0.09, 0.13, 0.03, 0.68])

# The buying process of MBG/NBD, in operational weeks: rate ~ Gamma(r, alpha), drop-out ~ Beta(a, b) after each order
# day, the first included.
PROCESS = {"b2c": {"r": 1.1, "alpha": 9.0, "a": 0.9, "b": 6.0}, "b2b": {"r": 2.0, "alpha": 6.0, "a": 0.6, "b": 14.0}}
MAX_RATE = 2.0

SAME_MAIL, SAME_PHONE, DECIDED = 0, 1, 2
FORMS = 4
"""Spellings of an e-mail address: as registered, upper case, decomposed Unicode, with spaces around."""
PHONE_FORMS = 3
SLOTS = 8
"""Profile numbers per person."""


@dataclass
class People:
    """The persons of a chunk, one element each."""

    number: Ints
    role: Ints
    country: Ints
    currency: Ints
    channel: Ints
    start: Floats
    rate: Floats
    dropout: Floats
    spend: Floats
    category: Ints
    consumable: Ints
    subscriber: Bools
    household: Ints
    """Index of the person whose phone this one uses too (−1: none); an override says they are two people."""
    contacts: Ints
    """Profiles of the person (businesses have several)."""
    second: Ints
    """Kind of a second account, −1: none."""
    shared: Ints
    """1: gives the till's phone, 2: gives an info@ address, 0: neither."""

    @property
    def n(self) -> int:
        """How many."""
        return len(self.number)

    @property
    def is_b2b(self) -> Bools:
        """Companies."""
        return np.asarray(self.role == B2B)

    @property
    def buys(self) -> Bools:
        """Those who ever order."""
        return np.isin(self.role, (BUYER, GUEST, B2B))


def make_people(rng: np.random.Generator, shop: Shop, base: int, n: int) -> People:
    """Draw the persons numbered base … base + n − 1."""
    role = draw(rng, ROLE_SHARE, n)
    b2b = role == B2B
    days = shop.clock.days
    country = draw(rng, COUNTRY_SHARE, n)
    parameters = {k: np.where(b2b, PROCESS["b2b"][k], PROCESS["b2c"][k]) for k in ("r", "alpha", "a", "b")}
    rate = np.minimum(rng.gamma(parameters["r"]) / parameters["alpha"], MAX_RATE)
    # the shop grows: twice as many people arrive per day at the end as at the beginning
    start = shop.clock.calendar((np.sqrt(1 + 3 * rng.random(n)) - 1) * days)
    buyer = role == BUYER
    household = np.full(n, -1, dtype=np.int64)
    pairs = np.flatnonzero(buyer[:-1] & buyer[1:] & share(rng, 0.004, n - 1)) if n > 1 else np.array([], dtype=np.int64)
    pairs = pairs[np.diff(pairs, prepend=-2) > 1]
    household[pairs + 1] = pairs
    in_household = (household >= 0) | np.isin(np.arange(n), pairs)
    second = np.where(buyer & ~in_household & share(rng, 0.06, n), draw(rng, np.array([0.5, 0.35, 0.15]), n), -1)
    return People(
        number=base + np.arange(n),
        role=role,
        country=country,
        currency=COUNTRY_CURRENCY[country],
        channel=draw(rng, np.array([0.3, 0.22, 0.12, 0.08, 0.1, 0.1, 0.08]), n),
        start=np.minimum(start, days - 1e-6),
        rate=rate,
        dropout=rng.beta(parameters["a"], parameters["b"]),
        spend=rng.lognormal(0, 0.3, n),
        category=draw(rng, np.ones(8), n),
        consumable=shop.products.consumables[rng.integers(0, len(shop.products.consumables), n)],
        subscriber=(buyer & share(rng, 0.08, n)) | (b2b & share(rng, 0.04, n)),
        household=household,
        contacts=np.where(b2b, 1 + draw(rng, np.array([0.45, 0.3, 0.15, 0.1]), n), 1 + (second >= 0)),
        second=second,
        shared=_shared(rng, role == GUEST),
    )


def _shared(rng: np.random.Generator, guest: Bools) -> Ints:
    """Which guests give the till's phone or an info@ address: none, or enough of them for every shared value.

    A value shared by a few would join strangers (rightly so, by the policy), and then the truth would be wrong.
    """
    out = np.zeros(len(guest), dtype=np.int64)
    candidates = np.flatnonzero(guest)
    for code in (1, 2):
        wanted = max(round(len(candidates) * 0.03), 16)
        if wanted * 3 > len(candidates):
            continue
        chosen = rng.choice(candidates, wanted, replace=False)
        out[chosen] = code
        candidates = np.setdiff1d(candidates, chosen)
    return out


@dataclass
class Profiles:
    """The profiles of a chunk, ordered by person, the first of each person at `first[person]`."""

    person: Ints
    slot: Ints
    account: Bools
    created: Ints
    deleted: Ints
    mail_form: Ints
    phone_form: Ints
    has_phone: Bools
    first: Ints
    ids: pa.Array
    mails: pa.Array
    """FORMS spellings after one another."""
    phones: pa.Array
    """PHONE_FORMS spellings after one another."""
    names: tuple[Ints, Ints]
    company: pa.Array

    @property
    def n(self) -> int:
        """How many."""
        return len(self.person)

    def mail(self, profile: Ints, form: Ints | None = None) -> pa.Array:
        """E-mail addresses; a negative profile is null."""
        form = self.mail_form[profile] if form is None else form
        return c.take(self.mails, np.where(profile >= 0, profile + form * self.n, -1))

    def phone(self, profile: Ints, form: Ints | None = None) -> pa.Array:
        """Phone numbers, null where the profile has none."""
        form = self.phone_form[profile] if form is None else form
        valid = (profile >= 0) & self.has_phone[profile]
        return c.take(self.phones, np.where(valid, profile + form * self.n, -1))

    def account_id(self, profile: Ints) -> pa.Array:
        """Account ids, null where the profile is no account."""
        return c.take(self.ids, np.where((profile >= 0) & self.account[profile], profile, -1))


def make_profiles(rng: np.random.Generator, shop: Shop, people: People, first_order: Ints) -> Profiles:
    """The profiles; an account is older than its first order (`first_order` by person, NEVER: none)."""
    clock = shop.clock
    person = np.repeat(np.arange(people.n), people.contacts)
    first = np.cumsum(people.contacts) - people.contacts
    slot = np.arange(len(person)) - first[person]
    n = len(person)
    begin = np.where(
        first_order == NEVER,
        clock.at(rng, people.start.astype(np.int64), np.zeros(people.n, dtype=np.int64)),
        first_order,
    )
    ahead = np.where(share(rng, 0.7, people.n), rng.integers(60, 1200, people.n), rng.integers(1, 40, people.n) * DAY)
    born = np.where(first_order == NEVER, begin, begin - ahead)
    room = np.maximum(clock.last - born[person], 1)
    created = born[person] + np.where(slot > 0, (rng.random(n) * room * 0.8).astype(np.int64), 0)
    account = (people.role != GUEST) & (people.role != CONTACT)
    second = np.where(slot == 1, people.second[person], -1)
    mails = _mails(rng, people, person, slot, second)
    phones, has_phone = _phones(rng, people, person, slot, second)
    deleted = np.where(
        share(rng, 0.003, n)
        & (created + 60 * DAY < clock.last)
        & account[person]
        & (slot == 0)
        & ~people.subscriber[person],
        clock.last - rng.integers(0, 20 * DAY, n),
        NEVER,
    )
    # the same address in another spelling is what a second account of this kind is
    mail_form = np.where(second == SAME_MAIL, 1 + rng.integers(0, 2, n), 0)
    return Profiles(
        person=person,
        slot=slot,
        account=account[person],
        created=created,
        deleted=deleted,
        mail_form=mail_form,
        phone_form=np.where(second == SAME_PHONE, 1, rng.integers(0, PHONE_FORMS, n)),
        has_phone=has_phone,
        first=first,
        ids=c.numbered("c-", people.number[person] * SLOTS + slot, 9),
        mails=_spellings(mails),
        phones=phones,
        names=(people.number[person] * 7 % len(FIRST), people.number[person] // 3 % len(LAST)),
        company=_company(people).take(pa.array(person)),
    )


def _mails(rng: np.random.Generator, people: People, person: Ints, slot: Ints, second: Ints) -> pa.Array:
    number = people.number[person]
    local = pc.binary_join_element_wise(
        c.pick(FIRST, (number * 7 + slot * (second != SAME_MAIL)) % len(FIRST)),
        c.pick(LAST, number // 3 % len(LAST)),
        ".",
    )
    # a second account with the same mail has the same number; any other profile its own
    own = number * SLOTS + np.where(second == SAME_MAIL, 0, slot)
    domain = c.pick(DOMAINS, number % len(DOMAINS))
    mails = pc.binary_join_element_wise(pc.binary_join_element_wise(local, c.numbered("", own, 9), "."), domain, "@")
    shared = people.shared[person] == 2
    return c.choose(shared, c.pick(INFO_ADDRESSES, _value_of(shared)), mails)


def _value_of(chosen: Bools) -> Ints:
    """Which shared value each chosen one gives: every value at least 15 times."""
    values = max(1, min(5, int(chosen.sum()) // 15))
    return np.where(chosen, (np.cumsum(chosen) - 1) % values, 0)


def _spellings(mails: pa.Array) -> pa.Array:
    decomposed = pc.utf8_normalize(mails, form="NFD")
    spaced = pc.binary_join_element_wise("", mails, "", " ")
    return pa.concat_arrays([mails, pc.utf8_upper(mails), decomposed, spaced])


def _phones(rng: np.random.Generator, people: People, person: Ints, slot: Ints, second: Ints) -> tuple[pa.Array, Bools]:
    """Numbers in the block 01500, valid in form and given to no operator."""
    owner = np.where(people.household[person] >= 0, people.household[person], person)
    household = np.zeros(people.n, dtype=np.bool_)
    household[people.household[people.household >= 0]] = True
    household |= people.household >= 0
    reachable = np.isin(people.country, (0, 1, 2, 5)) & share(rng, 0.6, people.n)
    needs = household | (people.second == SAME_PHONE) | (people.shared > 0)
    has = (reachable | needs)[person] & ((slot == 0) | (second == SAME_PHONE))
    subscriber = people.number[owner]
    digits = c.numbered("", subscriber % 10_000_000, 7)
    international = pc.binary_join_element_wise("+491500", digits, "")
    national = pc.binary_join_element_wise("01500", digits, " ")
    dialled = pc.binary_join_element_wise("0049 1500", digits, "-")
    till = people.shared[person] == 1
    shared = c.pick(TILL_PHONES, _value_of(till))
    return pa.concat_arrays([c.choose(till, shared, x) for x in (international, national, dialled)]), has


def _company(people: People) -> pa.Array:
    name = pc.binary_join_element_wise(
        c.pick(COMPANIES, people.number % len(COMPANIES)),
        c.numbered("", people.number, 6),
        c.pick(LEGAL, people.country),
        " ",
    )
    return c.keep(people.is_b2b, name)


def customers_table(rng: np.random.Generator, shop: Shop, people: People, profiles: Profiles) -> pa.Table:
    """The accounts, a few in two versions."""
    index = np.flatnonzero(profiles.account)
    changed = index[share(rng, 0.02, len(index)) & (profiles.created[index] + 30 * DAY < shop.clock.last)]
    rows = np.concatenate([index, changed])
    old = np.arange(len(rows)) >= len(index)
    person = profiles.person[rows]
    company = profiles.company.take(pa.array(rows))
    shouting = share(rng, 0.3, len(rows)) & (profiles.slot[rows] > 0)
    company = c.choose(shouting, pc.utf8_upper(company), company)
    updated = profiles.created[rows].copy()
    newer = np.isin(rows, changed) & ~old
    updated[newer] = np.minimum(
        updated[newer] + 10 * DAY + rng.integers(0, 15 * DAY, int(newer.sum())), shop.clock.last
    )
    gone = profiles.deleted[rows]
    updated = np.where((gone != NEVER) & ~old, gone, updated)
    born = np.datetime64("1945-01-01").astype(int) + (people.number[person] * 7919) % 21_900
    first, last = profiles.names
    return c.frame(
        "customers",
        len(rows),
        {
            "customer_id": profiles.account_id(rows),
            "email": profiles.mail(rows),
            "phone": profiles.phone(rows),
            "first_name": pc.utf8_capitalize(c.pick(FIRST, first[rows])),
            "last_name": pc.utf8_capitalize(c.pick(LAST, last[rows])),
            "country": c.pick(COUNTRIES, people.country[person]),
            "created_at": c.instants(profiles.created[rows]),
            "account_type": c.pick(("b2c", "b2b"), people.is_b2b[person].astype(np.int64)),
            "company": company,
            "acquisition_channel": c.pick(ACQUISITION, np.where(old, -1, people.channel[person])),
            "birth_date": c.keep(
                (people.number[person] % 10 < 6) & ~people.is_b2b[person], pa.array(born.astype("datetime64[D]"))
            ),
            "updated_at": c.instants(updated),
            "deleted_at": c.instants(np.where(old, NEVER, gone)),
        },
    )


def overrides_table(shop: Shop, people: People, profiles: Profiles) -> pa.Table:
    """True ones for second accounts that nothing else joins, false ones for two people with one phone."""
    decided = np.flatnonzero(people.second == DECIDED)
    apart = np.flatnonzero(people.household >= 0)
    left = np.concatenate([profiles.first[decided], profiles.first[people.household[apart]]])
    right = np.concatenate([profiles.first[decided] + 1, profiles.first[apart]])
    when = np.minimum(np.maximum(profiles.created[left], profiles.created[right]) + DAY, shop.clock.last)
    return c.frame(
        "identity_overrides",
        len(left),
        {
            "left_id": profiles.account_id(left),
            "right_id": profiles.account_id(right),
            "same_person": c.flags(np.arange(len(left)) < len(decided)),
            "decided_by": c.pick(("customer care",), np.zeros(len(left))),
            "decided_at": c.instants(when),
            "updated_at": c.instants(when),
        },
    )


PREFERENCES = (
    '{"newsletter": "weekly", "interests": ["coffee", "kitchen"]}',
    '{"newsletter": "monthly", "size": "M", "vegan": true}',
    '{"interests": ["garden"], "pet": "dog"}',
    '{"newsletter": "never"}',
    "{}",
)
PREFERRED = ("email", "sms", "post", "push")


def contacts_table(rng: np.random.Generator, shop: Shop, people: People, profiles: Profiles) -> tuple[pa.Table, Ints]:
    """CRM contacts, and the profile behind each (for the truth)."""
    household = (people.household >= 0) | np.isin(np.arange(people.n), people.household)
    role = people.role[profiles.person]
    member = (role == BUYER) | (role == REGISTERED) | (role == B2B)
    wanted = (role == CONTACT) | (member & share(rng, 0.3, profiles.n))
    index = np.flatnonzero(wanted & (profiles.slot == 0))
    person = profiles.person[index]
    n = len(index)
    linked = share(rng, 0.5, n) & profiles.account[index]
    form = np.where(share(rng, 0.2, n), rng.integers(1, FORMS, n), profiles.mail_form[index])
    created = np.minimum(profiles.created[index] + rng.integers(0, 30 * DAY, n), shop.clock.last)
    table = c.frame(
        "crm_contacts",
        n,
        {
            "contact_id": c.numbered("k-", people.number[person], 9),
            "email": profiles.mail(index, form),
            "phone": c.keep(
                share(rng, 0.4, n) & ~household[person], profiles.phone(index, rng.integers(0, PHONE_FORMS, n))
            ),
            "customer_id": c.keep(linked, profiles.account_id(index)),
            "company": profiles.company.take(pa.array(index)),
            "country": c.pick(COUNTRIES, people.country[person]),
            "created_at": c.instants(created),
            "preferred_channel": c.pick(
                PREFERRED, np.where(share(rng, 0.4, n), draw(rng, np.array([6.0, 2, 1, 1]), n), -1)
            ),
            "preferences": c.pick(PREFERENCES, np.where(share(rng, 0.5, n), rng.integers(0, 5, n), -1)),
            "updated_at": c.instants(created),
        },
    )
    return table, index

"""The plan of one audience: who should be there, who is, and what follows. SQL on a scratch connection, nothing sent.

The diff is against what the destination acknowledged; what it left unanswered is unknown, and asserted again.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any

import duckdb
import pyarrow as pa

from ritorno import sql
from ritorno.audiences import consent
from ritorno.audiences.destinations.base import Kind
from ritorno.audiences.exposures import HOLDOUT, Audience, Experiment
from ritorno.errors import UnusableInput
from ritorno.segments import experiments

WATERFALL = (
    "unknown_customer",
    "erased",
    "deleted_customer",
    "suppressed",
    "no_consented_address",
    "unusable_address",
    "same_address",
    "held_out",
    "other_arm",
    "frequency_cap",
    "in_grace",
)
"""Reasons to leave out a customer of the segment, in the order in which they are asked; the first one counts."""
FORCED = ("erased", "suppressed", "withdrawn", "expired")
"""Removals that go through any guard."""

RELEASED = "released"
"""Detail of the decision about somebody wanted who was held out until their experiment's results were closed."""

Normalise = Callable[[str, str], str | None]


class Phase(Enum):
    """How far an experiment is on the business day of sending."""

    RUNNING = "running"
    """Up to its end date: whoever is eligible is assigned."""
    COUNTING = "counting"
    """Orders of those assigned still count: arms stand, the holdout is held out, and nobody is assigned any more."""
    CLOSED = "closed"
    """Its results are closed: nobody is held out."""


@dataclass(frozen=True)
class Today:
    """The business day of sending, and how long an experiment's orders count after its end.

    Attributes:
        day: in business time; None where there is no calendar: then no experiment ends.
        results_days: policy `campaign_window_days`, as the mart campaign_results counts.
    """

    day: date | None = None
    results_days: int = 0

    def counts_until(self, experiment: Experiment) -> date | None:
        """The last day whose orders count; until its end nobody of the holdout is sent."""
        return experiment.end_date + timedelta(days=self.results_days) if experiment.end_date else None

    def phase(self, experiment: Experiment) -> Phase:
        """How far it is."""
        end, until = experiment.end_date, self.counts_until(experiment)
        if self.day is None or end is None or until is None or self.day <= end:
            return Phase.RUNNING
        return Phase.COUNTING if self.day <= until else Phase.CLOSED


@dataclass(frozen=True)
class Strategy:
    """The decisions that make the engine right, replaceable so that tests can prove they are noticed when wrong.

    Attributes:
        known: which delivered rows the diff is against.
        rules: how consent is read.
        removes: whether who should no longer be there is removed.
        member_id: the destination's normaliser is asked with the address; a mutant hashes before it trims.
        books_at_once: whether a plan counts as delivered when it is made (a diff against the last run).
    """

    known: str = "true"
    rules: consent.Rules = field(default_factory=consent.Rules)
    removes: bool = True
    member_id: Callable[[Normalise, str, str], str | None] = lambda normalise, kind, value: normalise(kind, value)
    books_at_once: bool = False


@dataclass(frozen=True)
class GuardTrip:
    """A guard that stopped a plan."""

    guard: str
    message: str


@dataclass(frozen=True)
class Plan:
    """What a send would do. The operations themselves are in work.ops.

    Attributes:
        digest: of everything unforced that would change; two plans of the same digest do the same.
        members: customers in the segment.
        wanted: those whom the destination should hold.
        baseline: members that it holds or may hold.
        counts: operations by kind.
        forced: how many of them go through any guard.
        exclusions: (reason, detail, customers) in waterfall order.
        trips: guards that stop it.
        released: customers wanted now who were held out until their experiment was closed.
        note: where the experiment is at its end, what follows.
    """

    audience: Audience
    digest: str
    members: int
    wanted: int
    baseline: int
    counts: Mapping[Kind, int]
    forced: int
    exclusions: Sequence[tuple[str, str, int]]
    trips: Sequence[GuardTrip]
    released: int = 0
    note: str | None = None

    @property
    def operations(self) -> int:
        """How many operations there are."""
        return sum(self.counts.values())


def address_hash(key: bytes, kind: str, value: str) -> str:
    """The keyed hash under which an address is remembered without being known."""
    return hmac.new(key, f"{kind}:{value}".encode(), hashlib.sha256).hexdigest()


def key_id(key: bytes) -> str:
    """Which key made a hash, without saying the key."""
    return hmac.new(key, b"ritorno key id", hashlib.sha256).hexdigest()[:16]


def make_plan(
    con: duckdb.DuckDBPyConnection,
    audience: Audience,
    normalise: Normalise,
    max_batch: int,
    now: datetime,
    *,
    hmac_key: bytes | None = None,
    today: Today | None = None,
    strategy: Strategy | None = None,
) -> Plan:
    """Plan: fills work.decided (a row per customer of the segment) and work.ops (a row per operation).

    Args:
        con: with the schema `inputs` filled and the publish state attached as `state`.
        audience: whose.
        normalise: the destination's: (kind, value) to its member id, or None.
        max_batch: the most members of a batch.
        now: the moment of sending, in UTC without zone.
        hmac_key: of the suppression list; needed as soon as there is one.
        today: by which experiments end.
        strategy: for tests.

    Raises:
        UnusableInput: the suppression list can't be read with this key: nobody is sent.
    """
    strategy, today = strategy or Strategy(), today or Today()
    if len(audience.address_kinds) == 0:  # pragma: no cover  every channel has kinds
        raise UnusableInput(f"audience {audience.name}: nothing identifies a person there")
    _known(con, audience, strategy)
    _candidates(con, audience)
    _standing(con, audience, now, strategy)
    _suppressed(con, hmac_key)
    _member_ids(con, audience, normalise, strategy)
    _decide(con, audience, now, today)
    _operations(con, audience, now, max_batch, strategy)
    return _summary(con, audience, today)


def _run(con: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
    con.execute(sql, dict(parameters) if parameters else None)


def _known(con: duckdb.DuckDBPyConnection, audience: Audience, strategy: Strategy) -> None:
    """Members that the destination holds or may hold, with the customer they are today."""
    _run(
        con,
        f"""
        create or replace table work.known as
        select
            d.member_key, coalesce(a.customer_key, d.customer_key) as customer_key, d.state, d.unknown_kind, d.fields,
            d.payload_hash, d.acknowledged_at, m.member_id, m.kind, m.value
        from state.publish.delivered as d
        inner join state.pii.member as m on d.member_key = m.member_key
        left join inputs.aliases as a on d.customer_key = a.alias
        where d.audience = $audience and ({strategy.known})
        """,
        {"audience": audience.name},
    )
    _run(
        con,
        """
        create or replace table work.erased as
        select distinct coalesce(a.customer_key, e.customer_key) as customer_key
        from state.publish.erasure as e left join inputs.aliases as a on e.customer_key = a.alias
        """,
    )


def _candidates(con: duckdb.DuckDBPyConnection, audience: Audience) -> None:
    """Addresses of everybody who is wanted or there; those that only the publish state remembers are not current."""
    kinds = ", ".join(f"'{kind}'" for kind in audience.address_kinds)
    _run(
        con,
        f"""
        create or replace table work.candidates as
        with people as (
            select customer_key from inputs.membership union select customer_key from work.known
        )
        select
            n.customer_key, n.kind, n.value, bool_or(not n.is_shared) as is_current,
            max(n.last_seen_at) as last_seen_at,
            -- of equally recent sightings the smallest node key
            min(struct_pack(
                age := -epoch_us(coalesce(n.last_seen_at, timestamp '0001-01-01')), node_key := n.node_key
            )).node_key as node_key
        from inputs.addresses as n
        inner join people as p on n.customer_key = p.customer_key
        where n.kind in ({kinds}) and n.value is not null
        group by n.customer_key, n.kind, n.value
        union all
        select distinct k.customer_key, k.kind, k.value, false, cast(null as timestamp), cast(null as varchar)
        from work.known as k
        left join inputs.addresses as n
            on k.customer_key = n.customer_key and k.kind = n.kind and k.value = n.value
        where n.customer_key is null and k.kind != 'customer_key'
        """,
    )


def _standing(con: duckdb.DuckDBPyConnection, audience: Audience, now: datetime, strategy: Strategy) -> None:
    _run(
        con,
        f"create or replace table work.standing as {consent.standing_sql(strategy.rules)}",
        {"channel": audience.meta.channel, "purpose": audience.meta.purpose, "now": now},
    )


def _suppressed(con: duckdb.DuckDBPyConnection, key: bytes | None) -> None:
    """Customers who have a suppressed address: none of their addresses is used."""
    _run(con, "create or replace table work.suppressed (customer_key varchar)")
    hashes = con.execute("select distinct address_hash, key_id from state.publish.suppression").fetchall()
    if not hashes:
        return
    if not key:
        raise UnusableInput(
            "there are suppressed addresses, and RITORNO_HMAC_KEY isn't set, without which nobody knows which: nothing "
            "is sent. Export the key that `ritorno suppress` was used with"
        )
    foreign = {made_with for _, made_with in hashes} - {key_id(key)}
    if foreign:
        raise UnusableInput(
            "RITORNO_HMAC_KEY is not the key that the suppressed addresses were hashed with: nothing is sent. "
            "Export the old key; a list can't be hashed anew, since nobody knows its addresses"
        )
    known, found = {value for value, _ in hashes}, set[str]()
    # A shared address, or one that is no longer the channel's kind, is suppressed for its owner as well.
    rows = con.execute("""
        select distinct n.customer_key, n.kind, n.value
        from inputs.addresses as n
        inner join (select customer_key from inputs.membership union select customer_key from work.known) as p
            on n.customer_key = p.customer_key
        where n.kind in ('email', 'phone')
        union
        select a.customer_key, h.kind, h.value
        from inputs.account_addresses as h
        inner join inputs.accounts as a on h.system = a.system and h.customer_id = a.customer_id
        inner join (select customer_key from inputs.membership union select customer_key from work.known) as p
            on a.customer_key = p.customer_key
        union
        select customer_key, kind, value from work.candidates where kind != 'account'
    """)
    while chunk := rows.fetchmany(50_000):
        found |= {customer for customer, kind, value in chunk if address_hash(key, kind, value) in known}
    insert_texts(con, "work.suppressed", ("customer_key",), [[customer] for customer in sorted(found)])


def insert_texts(
    con: duckdb.DuckDBPyConnection, table: str, columns: Sequence[str], rows: Sequence[Sequence[str | None]]
) -> None:
    """Insert rows of texts: as values where they are few, by Arrow where they are many."""
    if not rows:
        return
    if len(rows) <= 200:
        marks = ", ".join("(" + ", ".join("?" * len(columns)) + ")" for _ in rows)
        con.execute(f"insert into {table} values {marks}", [value for row in rows for value in row])
        return
    arrays = [pa.array([row[at] for row in rows], pa.string()) for at in range(len(columns))]
    con.register("ritorno_rows", pa.table(dict(zip(columns, arrays, strict=True))))
    con.execute(f"insert into {table} select * from ritorno_rows")
    con.unregister("ritorno_rows")


def _member_ids(con: duckdb.DuckDBPyConnection, audience: Audience, normalise: Normalise, strategy: Strategy) -> None:
    """What the destination calls each address that may be used (or each customer, where that is the key)."""
    _run(con, "create or replace table work.member_ids (kind varchar, value varchar, member_id varchar)")
    if audience.meta.key == "customer_key":
        wanted = "select distinct 'customer_key', customer_key from inputs.membership"
    else:
        wanted = "select distinct kind, value from work.standing where standing = 'permitted' and is_current"
    reader = con.cursor().execute(wanted)
    while chunk := reader.fetchmany(50_000):
        rows = [(kind, value, strategy.member_id(normalise, kind, value)) for kind, value in chunk]
        insert_texts(con, "work.member_ids", ("kind", "value", "member_id"), rows)


def _decide(con: duckdb.DuckDBPyConnection, audience: Audience, now: datetime, today: Today) -> None:
    """work.decided: every customer of the segment, wanted or the first reason why not."""
    by_customer = audience.meta.key == "customer_key"
    own_key = "m.kind = 'customer_key' and s.customer_key = m.value"
    its_address = "s.kind = m.kind and s.value = m.value"
    cap = audience.meta.caps
    _run(
        con,
        f"""
        create or replace table work.decided as
        with people as (
            select
                coalesce(a.customer_key, m.customer_key) as customer_key,
                max(m.reason) as segment_reason, max(m.fields) as fields,
                bool_or(a.customer_key is not null) as is_known
            from inputs.membership as m
            left join inputs.aliases as a on m.customer_key = a.alias
            group by 1
        ),
        usable as materialized (
            select s.customer_key, s.kind, s.value, m.member_id, s.last_seen_at, s.node_key
            from work.standing as s
            inner join work.member_ids as m on {own_key if by_customer else its_address}
            where s.standing = 'permitted' and s.is_current and m.member_id is not null
        ),
        -- nearly everybody has one address, and a window over a million people takes seconds
        several as (
            select customer_key from usable group by customer_key having count(*) > 1
        ),
        chosen as (
            select u.* from usable as u anti join several as m on u.customer_key = m.customer_key
            union all
            select u.*
            from usable as u semi join several as m on u.customer_key = m.customer_key
            qualify row_number() over (
                partition by u.customer_key
                order by u.last_seen_at desc nulls last, u.node_key nulls last, u.value, u.kind
            ) = 1
        ),
        standings as (
            select
                customer_key,
                case
                    when bool_or(standing = 'permitted' and is_current) then 'permitted'
                    when bool_or(standing = 'permitted') then 'no_address'
                    when bool_or(standing = 'withdrawn') then 'withdrawn'
                    when bool_or(standing = 'expired') then 'expired'
                    else 'never_given'
                end as standing
            from work.standing
            group by customer_key
        ),
        alone as materialized (
            select
                p.customer_key, p.segment_reason, p.fields, c.kind, c.value, c.member_id,
                case
                    when not p.is_known then 'unknown_customer'
                    when e.customer_key is not null then 'erased'
                    when d.customer_key is not null then 'deleted_customer'
                    when u.customer_key is not null then 'suppressed'
                    when coalesce(s.standing, 'no_address') != 'permitted' then 'no_consented_address'
                    when c.member_id is null then 'unusable_address'
                end as reason,
                case when coalesce(s.standing, 'no_address') != 'permitted' then coalesce(s.standing, 'no_address')
                    else '' end as detail
            from people as p
            left join chosen as c on p.customer_key = c.customer_key
            left join standings as s on p.customer_key = s.customer_key
            left join work.suppressed as u on p.customer_key = u.customer_key
            left join inputs.deleted_customers as d on p.customer_key = d.customer_key
            left join work.erased as e on p.customer_key = e.customer_key
        ),
        first_of_several as (
            select member_id, min(customer_key) as customer_key
            from alone where reason is null group by member_id having count(*) > 1
        ),
        reached as (
            select
                a.* exclude (reason),
                case when a.reason is null and a.customer_key > f.customer_key then 'same_address' else a.reason end
                    as reason
            from alone as a left join first_of_several as f on a.member_id = f.member_id
        ),
        {_arms(audience, today)}
        contacts as (
            select coalesce(a.customer_key, l.customer_key) as customer_key, count(*) as contacts
            from state.publish.contact_ledger as l
            left join inputs.aliases as a on l.customer_key = a.alias
            where l.contacted_at > cast($capped_since as timestamp)
            group by 1
        ),
        there as (
            select distinct customer_key from work.known
        )
        select
            r.customer_key, r.segment_reason, r.fields, r.kind, r.value, r.member_id, r.bucket, r.arm, r.is_new_arm,
            case
                when r.reason is not null then r.reason
                when r.arm = '{HOLDOUT}' then 'held_out'
                when r.arm is not null and r.arm not in ({_texts(audience.sent_arms)}) then 'other_arm'
                when n.contacts >= cast($cap as bigint) and t.customer_key is null then 'frequency_cap'
                when r.fields is null and t.customer_key is null then 'in_grace'
            end as reason,
            case
                when r.reason = 'no_consented_address' then r.detail
                when r.reason is null and r.arm not in ({_texts(audience.sent_arms)}) then r.arm
                when r.reason is null and r.is_released then '{RELEASED}'
                else ''
            end as detail,
            t.customer_key is not null as is_there
        from assigned as r
        left join contacts as n on r.customer_key = n.customer_key
        left join there as t on r.customer_key = t.customer_key
        """,
        {
            "capped_since": now - timedelta(days=cap.days) if cap else now,
            "cap": cap.contacts if cap else 2**62,
            **_arm_parameters(audience),
        },
    )


def _texts(values: Iterable[str]) -> str:
    return ", ".join(sql.text(value) for value in values) or "null"


def _arm_parameters(audience: Audience) -> dict[str, str]:
    return {"salt": audience.experiment.salt, "experiment": audience.experiment.key} if audience.experiment else {}


def _arms(audience: Audience, today: Today) -> str:
    """The CTE `assigned`: the recorded arm, of several (merged customers) the oldest, else the one of the bucket.

    After the end nobody is assigned. Who comes, and when the results are closed who was held out, is dealt to the other
    arms by a bucket of its own, so that of two audiences with an arm each exactly one sends them.
    """
    experiment = audience.experiment
    if experiment is None:
        return """assigned as (
            select
                *, cast(null as integer) as bucket, cast(null as varchar) as arm, false as is_new_arm,
                false as is_released
            from reached
        ),"""
    phase = today.phase(experiment)
    arm, dealt = _branches("bucket", experiment.arms), _branches("later_bucket", experiment.variants)
    released = f"coalesce(r.arm = '{HOLDOUT}', false)" if phase is Phase.CLOSED else "false"
    taken = f"coalesce(r.arm, {arm})" if phase is Phase.RUNNING else f"coalesce(r.arm, {dealt})"
    return f"""recorded as (
            select
                coalesce(a.customer_key, s.customer_key) as customer_key,
                arg_min(s.arm, struct_pack(at := s.assigned_at, key := s.customer_key)) as arm
            from state.publish.assignment as s
            left join inputs.aliases as a on s.customer_key = a.alias
            where s.experiment = $experiment
            group by 1
        ),
        bucketed as (
            select
                reached.*, {experiments.bucket_sql("$salt", "reached.customer_key")} as bucket,
                {experiments.bucket_sql("$salt || ' after its end'", "reached.customer_key")} as later_bucket
            from reached
        ),
        assigned as (
            select
                b.* exclude (bucket, later_bucket), b.bucket,
                case when b.reason is null then case when {released} then {dealt} else {taken} end end as arm,
                b.reason is null and r.arm is null and {str(phase is Phase.RUNNING).lower()} as is_new_arm,
                {released} as is_released
            from bucketed as b left join recorded as r on b.customer_key = r.customer_key
        ),"""


def _branches(bucket: str, shares: Mapping[str, float]) -> str:
    """The arm that a bucket falls into, as SQL."""
    branches = " ".join(
        f"when {bucket} < {buckets.stop} then {_texts([arm])}"
        for arm, buckets in experiments.ranges(shares).items()
        if len(buckets)
    )
    return f"case {branches} end" if branches else "null"


def _operations(
    con: duckdb.DuckDBPyConnection, audience: Audience, now: datetime, max_batch: int, strategy: Strategy
) -> None:
    """work.ops: what follows, in the order in which it leaves, cut into batches.

    Nobody has two operations in one batch, and the batches of a person come one after the other (`rank`).
    """
    mode = audience.meta.mode
    reassert = audience.meta.reassert_days
    # Why somebody who is there should go, the strictest first; null: they may stay.
    left = {
        "mirror": "'left'",
        "replace_file": "'left'",
        "upsert": "case when w.customer_key is not null then 'moved' end",
        # once there nobody is touched; but who may or may not be there is not to be there twice
        "append": "case when w.customer_key is not null and k.state = 'unknown' then 'moved' end",
    }[mode]
    _run(
        con,
        f"""
        create or replace table work.ops as
        with wanted as materialized (
            select * from work.decided where reason is null
        ),
        of_customers as (
            -- asked only where the customer is the member: an address of its own has its own standing above
            select
                customer_key,
                case
                    when bool_or(standing = 'permitted') then 'permitted'
                    when bool_or(standing = 'withdrawn') then 'withdrawn'
                    when bool_or(standing = 'expired') then 'expired'
                    else 'never_given'
                end as standing
            from work.standing
            where $by_customer
            group by customer_key
        ),
        judged as materialized (
            select
                k.*, i.customer_key as wanted_by, i.fields as wanted_fields,
                case
                    when e.customer_key is not null then 'erased'
                    when u.customer_key is not null then 'suppressed'
                    when i.customer_key is not null then null
                    when coalesce(s.standing, o.standing) in ('withdrawn', 'expired')
                        then coalesce(s.standing, o.standing)
                    when d.customer_key is not null then 'deleted_customer'
                    when coalesce(s.standing, o.standing, 'never_given') != 'permitted' then 'no_consented_address'
                    -- a removal that was not answered is asserted again
                    when k.unknown_kind in (0, 1) then 'unanswered'
                    else {left}
                end as gone
            from work.known as k
            left join wanted as i on k.member_id = i.member_id
            left join wanted as w on k.customer_key = w.customer_key
            left join work.erased as e on k.customer_key = e.customer_key
            left join work.suppressed as u on k.customer_key = u.customer_key
            left join inputs.deleted_customers as d on k.customer_key = d.customer_key
            left join work.standing as s
                on k.customer_key = s.customer_key and k.kind = s.kind and k.value = s.value
            left join of_customers as o on k.customer_key = o.customer_key
        ),
        of_known as (
            select
                case
                    when gone = 'erased' then {int(Kind.ERASE)}
                    when gone is not null then {int(Kind.REMOVE)}
                    -- whoever isn't wanted is asserted by nobody, and stays what they are
                    when wanted_by is null then null
                    when state = 'unknown' and unknown_kind = {int(Kind.UPDATE)} and {mode != "append"}
                        then {int(Kind.UPDATE)}
                    when state = 'unknown' then {int(Kind.ADD)}
                    when {mode == "append"} then null
                    when wanted_fields is not null and payload_hash is distinct from md5(wanted_fields)
                        then {int(Kind.UPDATE)}
                    when acknowledged_at <= cast($reassert as timestamp)
                        then {int(Kind.UPDATE)}
                end as kind,
                coalesce(wanted_by, customer_key) as customer_key, member_key, member_id, kind as address_kind, value,
                case when gone is null then coalesce(wanted_fields, fields) end as fields,
                coalesce(gone in ({_texts(FORCED)}), false) as is_forced,
                case
                    when gone is not null then gone
                    when state = 'unknown' then 'unanswered'
                    when wanted_fields is not null and payload_hash is distinct from md5(wanted_fields) then 'changed'
                    else 'reassert'
                end as reason,
                false as is_new
            from judged
        ),
        staying as (
            select distinct customer_key from judged where gone is null
        ),
        of_new as (
            select
                {int(Kind.ADD)} as kind, w.customer_key, cast(null as varchar) as member_key, w.member_id,
                {"'customer_key'" if audience.meta.key == "customer_key" else "w.kind"} as address_kind,
                {"w.customer_key" if audience.meta.key == "customer_key" else "w.value"} as value, w.fields,
                false as is_forced, coalesce(w.segment_reason, '') as reason, true as is_new
            from wanted as w
            left join work.known as k on w.member_id = k.member_id
            left join staying as t on w.customer_key = t.customer_key
            where k.member_id is null and (t.customer_key is null or {mode != "append"}) and w.fields is not null
        ),
        all_ops as materialized (
            select * from of_known where kind is not null {"" if strategy.removes else "and kind > 1"}
            union all
            select * from of_new
        ),
        -- as above: most people have one operation
        several as (
            select customer_key from all_ops group by customer_key having count(*) > 1
        ),
        ranked as (
            select o.*, 1 as rank, false as has_others
            from all_ops as o anti join several as m on o.customer_key = m.customer_key
            union all
            select
                o.*, row_number() over (partition by o.customer_key, o.kind order by o.member_id) as rank,
                true as has_others
            from all_ops as o semi join several as m on o.customer_key = m.customer_key
        ),
        cut as materialized (
            select *, (row_number() over (partition by kind, rank order by member_id) - 1) // {max_batch} as chunk
            from ranked
        ),
        batches as (
            select
                kind, rank, chunk, cast(row_number() over (order by kind, rank, chunk) as integer) as batch_no
            from (select distinct kind, rank, chunk from cut)
        )
        select
            batch_no, kind, customer_key,
            coalesce(member_key, cast(uuid() as varchar)) as member_key, member_id, address_kind, value, fields,
            case when kind > 1 then md5(fields) end as payload_hash, is_forced, reason, is_new, has_others
        from cut inner join batches using (kind, rank, chunk)
        order by batch_no, member_id
        """,
        {
            "reassert": now - timedelta(days=reassert) if reassert else datetime(1, 1, 1),
            "by_customer": audience.meta.key == "customer_key",
        },
    )


def _summary(con: duckdb.DuckDBPyConnection, audience: Audience, today: Today) -> Plan:
    row = con.execute(
        """
        select
            (select count(*) from work.decided), (select count(*) from work.decided where reason is null),
            (select count(*) from work.known),
            count(*) filter (where kind = 0), count(*) filter (where kind = 1), count(*) filter (where kind = 2),
            count(*) filter (where kind = 3), count(*) filter (where is_forced),
            count(*) filter (where kind = 1 and not is_forced and reason != 'unanswered'),
            count(*) filter (where is_new),
            (select count(*) from work.decided where reason is null and detail = 'released'),
            sha256(coalesce(string_agg(
                md5(concat_ws('|', cast(kind as varchar), customer_key, member_id, coalesce(payload_hash, ''))), ''
                order by kind, member_id, customer_key
            ) filter (where not is_forced and reason != 'reassert'), ''))
        from work.ops
        """
    ).fetchone()
    assert row is not None
    members, wanted, baseline, erase, remove, update, add, forced, unforced_removals, new, released, content = row
    exclusions = con.execute(
        "select reason, detail, count(*) from work.decided where reason is not null group by all"
    ).fetchall()
    held_out = sum(customers for reason, _, customers in exclusions if reason == "held_out")
    text = f"{audience.name}|{audience.definition_hash}|{content}"
    return Plan(
        audience=audience,
        digest=hashlib.sha256(text.encode()).hexdigest()[:16],
        members=members,
        wanted=wanted,
        baseline=baseline,
        counts={Kind.ERASE: erase, Kind.REMOVE: remove, Kind.UPDATE: update, Kind.ADD: add},
        forced=forced,
        exclusions=sorted(exclusions, key=lambda one: (WATERFALL.index(one[0]), one[1])),
        trips=guard_trips(audience, members, wanted, baseline, new, unforced_removals),
        released=released,
        note=experiment_note(audience.experiment, today, held_out, released) if audience.experiment else None,
    )


def experiment_note(experiment: Experiment, today: Today, held_out: int, released: int) -> str | None:
    """What a person should know of an experiment that has ended."""
    phase, until = today.phase(experiment), today.counts_until(experiment)
    ended = f"Experiment {experiment.key} ended on {experiment.end_date}"
    if phase is Phase.COUNTING:
        return (
            f"{ended}: nobody is assigned any more; orders count until {until}, so its {held_out:,} held out "
            "stay so until then"
        )
    if phase is Phase.CLOSED:
        return f"{ended} and its results are closed since {until}: nobody is held out any more, {released:,} released"
    return None


def guard_trips(
    audience: Audience, members: int, wanted: int, baseline: int, adds: int, removals: int
) -> list[GuardTrip]:
    """The guards that stop a plan of these sizes."""
    guards, trips = audience.meta.guards, []
    if members == 0 and not guards.allow_empty:
        trips.append(
            GuardTrip("empty", f"segment {audience.segment} is empty, which is an error, not a send of 0 rows")
        )
    elif wanted == 0 and not guards.allow_empty:
        trips.append(
            GuardTrip("empty", f"nobody of the {members:,} customers in segment {audience.segment} may be sent")
        )
    if guards.max_size is not None and wanted > guards.max_size:
        trips.append(GuardTrip("max_size", f"{wanted:,} members are more than max_size {guards.max_size:,}"))
    if baseline >= guards.min_baseline:
        for name, count, limit in (
            ("max_add_pct", adds, guards.max_add_pct),
            ("max_remove_pct", removals, guards.max_remove_pct),
        ):
            if limit is not None and count * 100 > limit * baseline:
                what = "additions" if name == "max_add_pct" else "removals"
                trips.append(
                    GuardTrip(
                        name,
                        f"{count:,} {what} are {count / baseline:.1%} of the {baseline:,} members there, "
                        f"{name} is {limit:g} %",
                    )
                )
    return trips

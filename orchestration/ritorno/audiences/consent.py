"""Who may be written to: METRICS.md "Consent", as one query over the event log, read at the moment of sending.

Per address, channel and purpose the latest event wins, at the same instant the withdrawal; no event or an expired one
is a no. A grant holds only for the address it names (or, where it names only an account, for the addresses that account
had at that instant). A withdrawal stops every address of the merged customer. A later grant for the same address
re-opens that address. Suppression is for ever, and for every address of who has it.

Where a rule could be read either way, nobody is written to: any status other than `given` is a withdrawal; so is a
row in quarantine whose status is readable (on every channel, purpose and from any instant on that it doesn't say); a
deleted row grants nothing but its withdrawal still holds; a grant in the future has not happened, a withdrawal has; of
two grants of the same instant the one that expires first counts; a shared address (a till's phone, info@) is nobody's.
An address that an account once had still speaks for its person.
"""

from __future__ import annotations

from dataclasses import dataclass

ALWAYS = "timestamp '9999-12-31'"
"""The instant of a withdrawal that can't say when: after every grant."""


@dataclass(frozen=True)
class Rules:
    """The two parts that a mutant of the tests replaces."""

    withdrawals: str = "not e.is_given"
    """Which events stop."""


def standing_sql(rules: Rules | None = None) -> str:
    """SQL that gives every candidate address its standing: permitted, withdrawn, expired or never_given.

    Reads work.candidates (customer_key, kind, value), inputs.*; parameters $channel, $purpose, $now.
    """
    rules = rules or Rules()
    return f"""
    with events as materialized (
        select row_number() over () as event_no, e.*
        from inputs.consent_events as e
        where
            (e.channel = $channel or (e.channel is null and not e.is_readable))
            and (e.purpose = $purpose or (e.purpose is null and not e.is_readable))
    ),
    named as materialized (
        select event_no, 'email' as kind, email as value from events where email is not null
        union all
        select event_no, 'phone', phone from events where phone is not null
    ),
    grants as materialized (
        select n.kind, n.value, e.occurred_at, e.expires_at
        from events as e inner join named as n using (event_no)
        where e.is_given and e.is_readable and e.occurred_at <= $now
        union all
        select h.kind, h.value, e.occurred_at, e.expires_at
        from events as e
        inner join inputs.account_addresses as h
            on e.system = h.system and e.customer_id = h.customer_id
            and (h.had_from is null or h.had_from <= e.occurred_at)
            and (h.had_to is null or e.occurred_at < h.had_to)
        where
            e.is_given and e.is_readable and e.occurred_at <= $now
            and e.email is null and e.phone is null
        union all
        select 'account', e.system || ':' || e.customer_id, e.occurred_at, e.expires_at
        from events as e
        where
            e.is_given and e.is_readable and e.occurred_at <= $now
            and e.email is null and e.phone is null and e.customer_id is not null
    ),
    last_grants as (
        select
            g.kind, g.value, g.occurred_at as granted_at,
            min(coalesce(g.expires_at, {ALWAYS})) as expires_at
        from grants as g
        inner join (select kind, value, max(occurred_at) as occurred_at from grants group by all) as l
            using (kind, value, occurred_at)
        group by all
    ),
    stops as materialized (
        select e.event_no, e.system, e.customer_id, coalesce(e.occurred_at, {ALWAYS})
            as stopped_at
        from events as e
        where {rules.withdrawals}
    ),
    stopped_customers as (
        select customer_key, max(stopped_at) as stopped_at
        from (
            select c.customer_key, s.stopped_at
            from stops as s inner join named as n using (event_no) inner join work.candidates as c using (kind, value)
            union all
            select a.customer_key, s.stopped_at
            from stops as s inner join inputs.accounts as a using (system, customer_id)
            union all
            -- an address that an account once had still speaks for its person
            select a.customer_key, s.stopped_at
            from stops as s
            inner join named as n using (event_no)
            inner join inputs.account_addresses as h using (kind, value)
            inner join inputs.accounts as a on h.system = a.system and h.customer_id = a.customer_id
        )
        group by customer_key
    )
    select
        c.customer_key, c.kind, c.value, c.is_current, c.last_seen_at, c.node_key,
        case
            when g.granted_at is null and s.stopped_at is null then 'never_given'
            when g.granted_at is null or s.stopped_at >= g.granted_at then 'withdrawn'
            when g.expires_at <= $now then 'expired'
            else 'permitted'
        end as standing
    from work.candidates as c
    left join last_grants as g using (kind, value)
    left join stopped_customers as s using (customer_key)
    """

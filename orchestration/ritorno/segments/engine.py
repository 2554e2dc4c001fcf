"""From eligibility to membership: grace, cooldown, exclusive groups and merged customers, as SQL on a connection.

Pure but for the tables named here: it reads the temporary tables that `prepare` makes and fills, and writes the tables
of `OUTPUTS`. It knows nothing of dbt, of files, or of the state store.

A stay is half-open: `entered_on` is its first day, `left_on` the first day after it. All of it follows from the days on
which there was a run; a day without one is no observation.

- Eligible today: whoever the segment's model names, if `people` names them too.
- Grace: the first run that finds a member no longer eligible begins it, and they stay a member for `grace_days` from
  that day; a run that was missed takes nobody's grace away.
- Cooldown: no second entry on the day left and the `cooldown_days` - 1 days after it (leaving for whatever reason).
- Exclusive group: of all that would be members, in their grace or not, the smallest priority number stays.
- Who may no longer be a member at all (deleted, erased, test) leaves at once.
- Stays of people who turn out to be one customer are united: what overlaps or touches becomes one stay from the first
  entry, and goes on if one of them goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import duckdb

from ritorno.segments.experiments import bucket_sql, ranges

STAY = {
    "segment": "varchar",
    "customer_key": "varchar",
    "entered_on": "date",
    "left_on": "date",
    "enter_reason": "varchar",
    "enter_hash": "varchar",
    "exit_kind": "varchar",
    "exit_reason": "varchar",
    "exit_hash": "varchar",
    "eligible": "boolean",
    "ineligible_since": "date",
}
"""A stay as the state keeps it; `eligible` and `ineligible_since` are those of the last run that saw it open."""

SIZE = {
    "segment": "varchar",
    "date": "date",
    "opening": "bigint",
    "entered": "bigint",
    "left_members": "bigint",
    "merged": "bigint",
    "size": "bigint",
    "eligible": "bigint",
    "in_grace": "bigint",
    "people": "bigint",
    "definition_hash": "varchar",
}

OUTPUTS: Mapping[str, Mapping[str, str]] = {
    "membership": {
        "segment": "varchar",
        "customer_key": "varchar",
        "reason": "varchar",
        "entered_on": "date",
        "enter_reason": "varchar",
        "eligible": "boolean",
        "ineligible_since": "date",
        "grace_until": "date",
        "definition_hash": "varchar",
        "experiment": "varchar",
        "bucket": "integer",
        "arm": "varchar",
    },
    "history": STAY,
    "exclusions": {
        "segment": "varchar",
        "customer_key": "varchar",
        "excluded_by": "varchar",
        "excluded_until": "date",
        "reason": "varchar",
    },
    "sizes": SIZE,
}

_INPUTS: Mapping[str, Mapping[str, str]] = {
    "seg_eligible": {"segment": "varchar", "customer_key": "varchar", "reason": "varchar"},
    "seg_people": {"customer_key": "varchar"},
    "seg_alias": {"alias": "varchar", "customer_key": "varchar"},
    "seg_before": STAY,
    "seg_sizes_before": SIZE,
}


@dataclass(frozen=True)
class Rules:
    """What a segment's meta asks of its membership."""

    segment: str
    definition_hash: str
    grace_days: int = 0
    cooldown_days: int = 0
    group: str | None = None
    priority: int | None = None
    experiment: str | None = None
    salt: str | None = None
    arms: Mapping[str, float] | None = None


def columns(types: Mapping[str, str]) -> str:
    """A column list with types."""
    return ", ".join(f"{name} {kind}" for name, kind in types.items())


def prepare(con: duckdb.DuckDBPyConnection) -> None:
    """Make the temporary input tables, empty."""
    for name, types in _INPUTS.items():
        con.execute(f"create or replace temp table {name} ({columns(types)})")


def forget(con: duckdb.DuckDBPyConnection) -> None:
    """Drop every temporary table again."""
    names = con.execute(
        "select table_name from duckdb_tables() where temporary and table_name like 'seg\\_%' escape '\\'"
    )
    for (name,) in names.fetchall():
        con.execute(f"drop table temp.{name}")


def advance(con: duckdb.DuckDBPyConnection, day: date, rules: Sequence[Rules], schema: str = "segment_state") -> None:
    """Compute the day's membership, history, exclusions and sizes from what `prepare`d tables hold.

    Args:
        con: with the temporary tables filled: who is eligible, who may be, aliases, stays and sizes before the day.
        day: the as-of date; nothing in seg_before or seg_sizes_before is of this day or later.
        rules: of every segment there is today.
        schema: where the outputs go.
    """
    _put_rules(con, rules)
    for sql in (_RESOLVED, _UNITED, _CANDIDATES, _DECIDED, _STAYS):
        con.execute(sql, {"day": day} if "$day" in sql else None)
    con.execute(f"create schema if not exists {schema}")
    for name, sql in (
        ("membership", _MEMBERSHIP), ("history", _HISTORY), ("exclusions", _EXCLUSIONS), ("sizes", _SIZES),
    ):  # fmt: skip
        typed = ", ".join(f"cast({column} as {kind}) as {column}" for column, kind in OUTPUTS[name].items())
        con.execute(f"drop table if exists {schema}.{name}")
        con.execute(
            f"create table {schema}.{name} as select {typed} from ({sql})", {"day": day} if "$day" in sql else None
        )


def _put_rules(con: duckdb.DuckDBPyConnection, rules: Sequence[Rules]) -> None:
    con.execute(
        "create or replace temp table seg_rules (segment varchar, definition_hash varchar, grace_days integer, "
        "cooldown_days integer, group_name varchar, priority integer, experiment varchar, salt varchar)"
    )
    con.execute("create or replace temp table seg_arms (segment varchar, arm varchar, first integer, until integer)")
    for rule in rules:
        con.execute(
            "insert into seg_rules values (?, ?, ?, ?, ?, ?, ?, ?)",
            [rule.segment, rule.definition_hash, rule.grace_days, rule.cooldown_days, rule.group, rule.priority,
             rule.experiment, rule.salt],
        )  # fmt: skip
        for arm, buckets in ranges(rule.arms or {}).items():
            con.execute("insert into seg_arms values (?, ?, ?, ?)", [rule.segment, arm, buckets.start, buckets.stop])


# Every key that was ever recorded becomes the key it resolves to today. A key that nothing knows any more keeps itself.
_RESOLVED = """
create or replace temp table seg_resolved as
select stays.* replace (coalesce(aliases.customer_key, stays.customer_key) as customer_key),
    stays.customer_key as recorded_key
from seg_before as stays
left join seg_alias as aliases on stays.customer_key = aliases.alias
"""

_UNITED = """
create or replace temp table seg_united as
with moved as (
    select distinct segment, customer_key from seg_resolved where customer_key <> recorded_key
),
ordered as (
    select seg_resolved.*,
        max(coalesce(left_on, date '9999-12-31')) over (
            partition by segment, customer_key
            order by entered_on, coalesce(left_on, date '9999-12-31'), recorded_key
            rows between unbounded preceding and 1 preceding
        ) as reaches
    from seg_resolved semi join moved using (segment, customer_key)
),
islands as (
    select *,
        count(*) filter (reaches is null or entered_on > reaches) over (
            partition by segment, customer_key
            order by entered_on, coalesce(left_on, date '9999-12-31'), recorded_key
        ) as island
    from ordered
),
joined as (
    select
        segment,
        customer_key,
        min(entered_on) as entered_on,
        case when bool_and(left_on is not null) then max(left_on) end as left_on,
        arg_min(struct_pack(reason := enter_reason, hash := enter_hash), (entered_on, recorded_key)) as entry,
        arg_max(
            struct_pack(kind := exit_kind, reason := exit_reason, hash := exit_hash), (left_on, recorded_key)
        ) filter (left_on is not null) as exit,
        coalesce(bool_or(eligible) filter (left_on is null), false) as open_eligible,
        max(ineligible_since) filter (left_on is null) as open_ineligible_since,
        arg_max(ineligible_since, (left_on, recorded_key)) filter (left_on is not null) as closed_ineligible_since,
        count(*) filter (left_on is null) as open_stays
    from islands
    group by segment, customer_key, island
)
select segment, customer_key, entered_on, left_on, enter_reason, enter_hash, exit_kind, exit_reason, exit_hash,
    eligible, ineligible_since, case when left_on is null then 1 else 0 end as open_stays
from seg_resolved anti join moved using (segment, customer_key)
union all
select
    segment,
    customer_key,
    entered_on,
    left_on,
    entry.reason,
    entry.hash,
    case when left_on is not null then exit.kind end,
    case when left_on is not null then exit.reason end,
    case when left_on is not null then exit.hash end,
    left_on is null and open_eligible,
    case when left_on is not null then closed_ineligible_since when not open_eligible then open_ineligible_since end,
    open_stays
from joined
"""

# Everybody of whom something is to be decided: who is eligible, and who is a member.
_CANDIDATES = """
create or replace temp table seg_candidates as
with open_stays as (
    select * from seg_united where left_on is null
),
last_left as (
    select segment, customer_key, max(left_on) as left_on
    from seg_united
    where left_on is not null
    group by segment, customer_key
),
everybody as (
    select segment, customer_key from seg_eligible
    union
    select segment, customer_key from open_stays
),
looked_up as (
    select
        everybody.segment,
        everybody.customer_key,
        rules.segment is not null as is_segment,
        rules.definition_hash,
        rules.grace_days,
        rules.group_name,
        rules.priority,
        people.customer_key is not null as is_person,
        rules.segment is not null and eligible.customer_key is not null and people.customer_key is not null
            as is_eligible,
        eligible.reason,
        open_stays.customer_key is not null as was_member,
        open_stays.entered_on,
        coalesce(open_stays.ineligible_since, $day::date) as ineligible_since,
        case when open_stays.customer_key is null then last_left.left_on + rules.cooldown_days end as cooldown_until
    from everybody
    left join seg_rules as rules on everybody.segment = rules.segment
    left join seg_people as people on everybody.customer_key = people.customer_key
    left join seg_eligible as eligible
        on everybody.segment = eligible.segment and everybody.customer_key = eligible.customer_key
    left join open_stays on everybody.segment = open_stays.segment and everybody.customer_key = open_stays.customer_key
    left join last_left on everybody.segment = last_left.segment and everybody.customer_key = last_left.customer_key
)
select
    *,
    was_member and is_segment and is_person and not is_eligible
    and $day::date - ineligible_since < grace_days as is_in_grace,
    not was_member and is_eligible and cooldown_until > $day::date as is_in_cooldown,
from looked_up
"""

_DECIDED = """
create or replace temp table seg_decided as
with would_be as (
    select
        *,
        case
            when was_member then is_eligible or is_in_grace
            else is_eligible and not coalesce(is_in_cooldown, false)
        end as is_wanted
    from seg_candidates
),
winners as (
    select group_name, customer_key, min(priority) as priority, arg_min(segment, priority) as winner
    from would_be
    where is_wanted and group_name is not null
    group by group_name, customer_key
)
select
    would_be.*,
    winners.winner,
    would_be.is_wanted and (would_be.group_name is null or would_be.priority = winners.priority) as is_member
from would_be
left join winners on would_be.group_name = winners.group_name and would_be.customer_key = winners.customer_key
"""

_STAYS = """
create or replace temp table seg_stays as
with leaving as (
    select
        *,
        case
            when not is_segment then 'segment_removed'
            when not is_person then 'no_longer_a_person'
            when is_wanted then 'exclusive_group'
            else 'no_longer_eligible'
        end as kind
    from seg_decided
    where was_member and not is_member
)
select segment, customer_key, entered_on, left_on, enter_reason, enter_hash, exit_kind, exit_reason, exit_hash,
    eligible, ineligible_since, false as is_new
from seg_united
where left_on is not null
union all
select open.segment, open.customer_key, open.entered_on, null, open.enter_reason, open.enter_hash, null, null, null,
    decided.is_eligible, case when not decided.is_eligible then decided.ineligible_since end, false
from seg_united as open
inner join seg_decided as decided
    on open.segment = decided.segment and open.customer_key = decided.customer_key and decided.is_member
where open.left_on is null
union all
select
    open.segment,
    open.customer_key,
    open.entered_on,
    $day::date,
    open.enter_reason,
    open.enter_hash,
    leaving.kind,
    case leaving.kind
        when 'segment_removed' then 'The segment is no longer defined.'
        when 'no_longer_a_person' then 'No longer a customer to address: deleted, erased, a test, or unknown.'
        when 'exclusive_group' then 'Gave way to ' || leaving.winner || ', which comes first in the group '
            || leaving.group_name || '.'
        when 'no_longer_eligible' then 'The definition has not held since ' || leaving.ineligible_since || '.'
    end,
    coalesce(leaving.definition_hash, open.enter_hash),
    leaving.is_eligible,
    case when not leaving.is_eligible then leaving.ineligible_since end,
    false
from seg_united as open
inner join leaving on open.segment = leaving.segment and open.customer_key = leaving.customer_key
where open.left_on is null
union all
select segment, customer_key, $day::date, null, reason, definition_hash, null, null, null, true, null, true
from seg_decided
where is_member and not was_member
"""

_BUCKETED = f"""
    select stays.*, rules.definition_hash, rules.grace_days, rules.experiment,
        case when rules.salt is not null then {bucket_sql("rules.salt", "stays.customer_key")} end as bucket
    from seg_stays as stays
    inner join seg_rules as rules on stays.segment = rules.segment
    where stays.left_on is null
"""

_MEMBERSHIP = f"""
with bucketed as ({_BUCKETED})
select
    bucketed.segment,
    bucketed.customer_key,
    case
        when bucketed.eligible then decided.reason
        else 'Not since ' || bucketed.ineligible_since || ', stays until ' || (bucketed.ineligible_since
            + bucketed.grace_days) || '; before: ' || bucketed.enter_reason
    end as reason,
    bucketed.entered_on,
    bucketed.enter_reason,
    bucketed.eligible,
    bucketed.ineligible_since,
    case when not bucketed.eligible then bucketed.ineligible_since + bucketed.grace_days end as grace_until,
    bucketed.definition_hash,
    bucketed.experiment,
    bucketed.bucket,
    arms.arm
from bucketed
inner join seg_decided as decided
    on bucketed.segment = decided.segment and bucketed.customer_key = decided.customer_key
left join seg_arms as arms
    on bucketed.segment = arms.segment and bucketed.bucket >= arms.first and bucketed.bucket < arms.until
order by segment, customer_key
"""

_HISTORY = "select * from seg_stays order by segment, customer_key, entered_on"

_EXCLUSIONS = """
select
    segment,
    customer_key,
    case when is_wanted then 'exclusive_group' else 'cooldown' end as excluded_by,
    case when not is_wanted then cooldown_until end as excluded_until,
    case
        when is_wanted then 'In ' || winner || ', which comes first in the group ' || group_name || '.'
        else 'Left before, and may be back on ' || cooldown_until || '.'
    end as reason
from seg_decided
where is_eligible and not is_member
order by segment, customer_key
"""

_SIZES = """
with opened as (
    select segment, count(*) as opening from seg_before where left_on is null group by segment
),
united as (
    select segment, count(*) as united from seg_united where left_on is null group by segment
),
decided as (
    select
        segment,
        count(*) filter (is_member and not was_member) as entered,
        count(*) filter (was_member and not is_member) as left_members,
        count(*) filter (is_member) as size,
        count(*) filter (is_eligible) as eligible,
        count(*) filter (is_member and not is_eligible) as in_grace
    from seg_decided
    group by segment
),
known as (
    select segment, definition_hash from seg_rules
    union all
    select opened.segment, null from opened anti join seg_rules using (segment)
)
select
    known.segment,
    $day::date as date,
    coalesce(opened.opening, 0) as opening,
    coalesce(decided.entered, 0) as entered,
    coalesce(decided.left_members, 0) as left_members,
    coalesce(opened.opening, 0) - coalesce(united.united, 0) as merged,
    coalesce(decided.size, 0) as size,
    coalesce(decided.eligible, 0) as eligible,
    coalesce(decided.in_grace, 0) as in_grace,
    (select count(*) from seg_people) as people,
    known.definition_hash
from known
left join opened on known.segment = opened.segment
left join united on known.segment = united.segment
left join decided on known.segment = decided.segment
union all by name
select * from seg_sizes_before
"""

"""What the planner reads, from the warehouse as it stands now: membership of the build, consent of everything landed.

Views wherever a view will do, so that nothing is copied; the warehouse is attached read-only and let go before the
first batch leaves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import duckdb

from ritorno import sql
from ritorno.audiences.exposures import Audience
from ritorno.audiences.planner import insert_texts
from ritorno.errors import UnusableInput
from ritorno.home import Home
from ritorno.identity import normalise

MEMBERSHIP = "segment_membership"


def attach(con: duckdb.DuckDBPyConnection, home: Home) -> None:
    """Attach the home's warehouse for reading; the caller holds the home's lock.

    Raises:
        UnusableInput: there is none.
    """
    if not home.warehouse.exists():
        raise UnusableInput(f"{home.root} holds no warehouse: run ritorno refresh --raw DIR first")
    con.execute(f"attach {sql.text(str(home.warehouse))} as warehouse (read_only)")


def detach(con: duckdb.DuckDBPyConnection) -> None:
    """Let the warehouse go."""
    con.execute("detach database if exists warehouse")


def fill(
    con: duckdb.DuckDBPyConnection,
    audience: Audience,
    manifest: Mapping[str, Any],
    policy: Mapping[str, Any],
    now: datetime,
) -> dict[str, str]:
    """Fill the schema `inputs`; returns the types of the audience's fields.

    Raises:
        UnusableInput: a table is missing; then nobody is sent.
    """
    con.execute("create schema if not exists inputs; create schema if not exists work")
    segment = _node(manifest, audience.segment)
    _require(
        con,
        [
            ("marts", MEMBERSHIP),
            ("marts", "customer_aliases"),
            ("marts", "customers"),
            ("identity", "node_addresses"),
            ("identity", "nodes"),
            ("identity", "addresses"),
            (str(segment["schema"]), str(segment["alias"])),
            *(("staging", f"stg_{system}__consents") for system in consent_systems(policy)),
        ],
    )
    _membership(con, audience, segment)
    con.execute(
        "create or replace view inputs.aliases as "
        "select alias, customer_key from warehouse.marts.customer_aliases where alias_kind = 'node_key'"
    )
    con.execute(
        "create or replace view inputs.deleted_customers as "
        "select customer_key from warehouse.marts.customers where is_tombstone"
    )
    con.execute(
        "create or replace view inputs.accounts as "
        "select system, source_id as customer_id, customer_key from warehouse.identity.nodes where entity = 'account'"
    )
    con.execute("""
        create or replace view inputs.addresses as
        select customer_key, node_key, kind, value, last_seen_at, is_shared
        from warehouse.identity.node_addresses where kind in ('email', 'phone')
        union all
        select customer_key, node_key, 'account', system || ':' || source_id, last_updated_at, false
        from warehouse.identity.nodes where entity = 'account' and not is_retired
    """)
    _consents(con, policy, now)
    _account_addresses(con)
    return {column: str(segment["columns"][column].get("data_type") or "varchar") for column in audience.meta.fields}


def consent_systems(policy: Mapping[str, Any]) -> Sequence[str]:
    """The source systems that provide consents.

    Raises:
        UnusableInput: none does.
    """
    systems = [system for system, entities in policy["systems"].items() if "consents" in entities]
    if not systems:
        raise UnusableInput(
            "no source system provides consents (dbt_project.yml: systems): nobody said yes, so nobody is sent"
        )
    return systems


def _node(manifest: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(
        node for node in manifest["nodes"].values() if node["name"] == name and node["resource_type"] == "model"
    )
    return found


def _require(con: duckdb.DuckDBPyConnection, wanted: Sequence[tuple[str, str]]) -> None:
    there = set(
        con.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'warehouse' "
            "union all select schema_name, view_name from duckdb_views() where database_name = 'warehouse'"
        ).fetchall()
    )
    missing = [f"{schema}.{name}" for schema, name in wanted if (schema, name) not in there]
    if missing:
        raise UnusableInput(
            f"the warehouse has no {', '.join(missing)}: nothing is sent. Run ritorno refresh, which builds them"
        )


def _membership(con: duckdb.DuckDBPyConnection, audience: Audience, segment: Mapping[str, Any]) -> None:
    """Members with the declared fields of their segment's row; none where a grace period keeps them in."""
    columns = ", ".join(f'"{field}" := cast(s."{field}" as varchar)' for field in audience.meta.fields)
    fields = f"cast(to_json(struct_pack({columns})) as varchar)" if columns else "'{}'"
    con.execute(
        f"""
        create or replace table inputs.membership as
        select m.customer_key, m.reason, case when s.customer_key is not null then {fields} end as fields
        from warehouse.marts.{MEMBERSHIP} as m
        left join warehouse."{segment["schema"]}"."{segment["alias"]}" as s on m.customer_key = s.customer_key
        where m.segment = $segment
        """,
        {"segment": audience.segment},
    )


def _consents(con: duckdb.DuckDBPyConnection, policy: Mapping[str, Any], now: datetime) -> None:
    """Every consent row landed by now, read through the staging views, which look at the raw tables themselves."""
    landed = " union all ".join(
        "select system, email, phone, customer_id, channel, purpose, status, occurred_at, expires_at, deleted_at, "
        f"bad_column from warehouse.staging.stg_{system}__consents"
        for system in consent_systems(policy)
    )
    con.execute(f"create or replace table work.consents as {landed}")
    con.execute("""
        create or replace table work.spellings as
        select distinct c.kind, c.raw_value, a.value, a.raw_value is not null as is_known
        from (
            select 'email' as kind, email as raw_value from work.consents where email is not null
            union
            select 'phone', phone from work.consents where phone is not null
        ) as c
        left join warehouse.identity.addresses as a on c.kind = a.kind and c.raw_value = a.raw_value
    """)
    # Spelled so only in a row that landed after the last build.
    read = normalise.readers(str(policy["default_phone_region"]))
    new = con.execute("select kind, raw_value from work.spellings where not is_known").fetchall()
    con.execute("delete from work.spellings where not is_known")
    con.execute("create or replace table work.new_spellings (kind varchar, raw_value varchar, value varchar)")
    insert_texts(
        con, "work.new_spellings", ("kind", "raw_value", "value"), [(k, raw, read[k](raw).value) for k, raw in new]
    )
    con.execute(
        """
        create or replace table inputs.consent_events as
        with spellings as (
            select kind, raw_value, value from work.spellings
            union all
            select kind, raw_value, value from work.new_spellings
        )
        select
            c.system, e.value as email, p.value as phone, c.customer_id, lower(trim(c.channel)) as channel,
            lower(trim(c.purpose)) as purpose, coalesce(lower(trim(c.status)) = 'given', false) as is_given,
            c.occurred_at, c.expires_at, c.bad_column is null as is_readable
        from work.consents as c
        left join spellings as e on e.kind = 'email' and c.email = e.raw_value
        left join spellings as p on p.kind = 'phone' and c.phone = p.raw_value
        where
            -- a deleted grant is none, a withdrawal stays one
            (coalesce(lower(trim(c.status)) = 'given', false) = false or c.deleted_at is null or c.deleted_at > $now)
            -- a row in quarantine counts only if it can be seen to be a withdrawal
            and (c.bad_column is null or (c.status is not null and lower(trim(c.status)) != 'given'))
            -- a grant for an address that can't be read is no grant for the account's other addresses
            and (lower(trim(c.status)) is distinct from 'given'
                or coalesce(e.value, p.value) is not null or (c.email is null and c.phone is null))
        """,
        {"now": now},
    )
    con.execute("drop table work.consents; drop table work.spellings; drop table work.new_spellings")


def _account_addresses(con: duckdb.DuckDBPyConnection) -> None:
    """Which addresses an account had when: the versions of its row, and what its orders said from then on.

    Of versions that all lie after an instant the oldest stands, as everywhere: what came before was not kept.
    """
    con.execute("""
        create or replace table inputs.account_addresses as
        with spellings as (
            select kind, raw_value, value from warehouse.identity.addresses where value is not null
        ),
        named as (
            select distinct system, customer_id from inputs.consent_events
            where is_given and customer_id is not null
        ),
        versions as (
            select
                c.system, c.customer_id, c.email, c.phone, c.updated_at as said_at,
                row_number() over (
                    partition by c.system, c.customer_id
                    order by c.updated_at nulls first, c.source_batch, c.source_line
                ) as version,
                lead(c.updated_at) over (
                    partition by c.system, c.customer_id
                    order by c.updated_at nulls first, c.source_batch, c.source_line
                ) as next_at
            from warehouse.intermediate.int_canonical__customers as c
            where c.row_status not in ('quarantined', 'duplicate')
        ),
        spoken as (
            select system, customer_id, 'email' as kind, email as raw_value, version, said_at, next_at
            from versions where email is not null
            union all
            select system, customer_id, 'phone', phone, version, said_at, next_at
            from versions where phone is not null
        ),
        ordered as (
            select o.system, o.customer_id, 'email' as kind, o.email as raw_value, min(o.ordered_at) as had_from
            from warehouse.intermediate.int_canonical__orders as o
            inner join named as n on o.system = n.system and o.customer_id = n.customer_id
            where o.email is not null and o.row_status not in ('quarantined', 'duplicate')
            group by all
            union all
            select o.system, o.customer_id, 'phone', o.phone, min(o.ordered_at)
            from warehouse.intermediate.int_canonical__orders as o
            inner join named as n on o.system = n.system and o.customer_id = n.customer_id
            where o.phone is not null and o.row_status not in ('quarantined', 'duplicate')
            group by all
        )
        select
            v.system, v.customer_id, v.kind, s.value,
            -- a later version that doesn't say since when: nobody knows whether a grant came before it
            case when v.version > 1 then coalesce(v.said_at, timestamp '9999-12-31') end as had_from,
            v.next_at as had_to
        from spoken as v inner join spellings as s on v.kind = s.kind and v.raw_value = s.raw_value
        union all
        select o.system, o.customer_id, o.kind, s.value, o.had_from, cast(null as timestamp)
        from ordered as o inner join spellings as s on o.kind = s.kind and o.raw_value = s.raw_value
    """)

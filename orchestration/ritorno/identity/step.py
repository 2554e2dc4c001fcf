"""The step `identity`: sightings in, who is one customer out.

SQL does what is many rows (grouping, ranking, joining), Python what SQL is the wrong tool for: normalising distinct
values and connected components. Nodes get a number by age, so that a component's smallest number is its oldest node.

A run resolves the nodes that something happened to and all that they are tied to (touched.py), and leaves the rest of
the tables as they are. A full run is the same with nothing remembered: everything has come. It is all one transaction,
so a run that is killed was none.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from ritorno import sql
from ritorno.identity import tables, touched
from ritorno.identity.resolve import Edge, Numbers, Pair, components, ordered, separate
from ritorno.identity.tables import age_of, registered, source_id
from ritorno.landing.tables import transaction
from ritorno.step_context import StepContext

INPUTS = (
    "int_identity__sightings",
    "int_identity__raw_addresses",
    "int_identity__superseded",
    "int_canonical__identity_overrides",
    "int_changes__front",
)

OUTPUTS = tuple(f"identity.{name}" for name in tables.OUTPUTS)

_SCRATCH = (
    *touched.SCRATCH,
    "identity_nodes",
    "identity_node_values",
    "identity_value_sizes",
    "identity_links",
    "identity_customers",
    "identity_retired",
)

ensure = tables.ensure


def run(context: StepContext) -> dict[str, Any]:
    """Resolve sightings to customers: all of them, or those that something happened to since the last run."""
    warehouse = context.warehouse
    ensure(warehouse)
    with _scratch(warehouse), transaction(warehouse):
        resolve(context, reason_for_full(context))
    return _figures(warehouse)


def resolve(context: StepContext, reason: str | None) -> None:
    """Bring the tables of schema `identity` up to date, in the caller's transaction.

    Args:
        context: the run.
        reason: why all of them are made anew; None if they may be followed.
    """
    warehouse, policy = context.warehouse, context.policy
    region, most = str(policy["default_phone_region"]), int(policy["identity_max_nodes_per_value"])
    share = float(policy["incremental_max_share"])
    if reason is None and not touched.find(warehouse, region, most, share, is_full=False):
        reason = "more nodes changed than incremental_max_share"
    if reason is not None:
        tables.empty(warehouse)
        touched.find(warehouse, region, most, share, is_full=True)
    _forget_subset(warehouse)
    _number_nodes(warehouse)
    _type_nodes(warehouse)
    _link_values(warehouse, most)
    _resolve(warehouse)
    _write(warehouse)
    _retire(warehouse)
    warehouse.execute(
        """
        create or replace table identity.run as
        select
            ? as mode, cast(? as varchar) as reason,
            (select count(*) from identity.nodes where not is_retired) as nodes,
            (select count(*) from temp.identity_subset) as touched_nodes, ? as version
        """,
        ["incremental" if reason is None else "full", reason, _version(policy)],
    )


def reason_for_full(context: StepContext) -> str | None:
    """Why nothing that the step remembers can be used; None if it can.

    What has happened to the data is no reason: the step sees that by itself. These are the reasons that all tables
    which are kept from run to run share (int_changes__front), and another version of the step.
    """
    front = _row(context.warehouse, "intermediate", "int_changes__front", "run_id, general_reason")
    if front is None or front[0] != context.run_id:
        return "the step was run by itself"
    if front[1] is not None:
        return str(front[1])
    before = _row(context.warehouse, "identity", "run", "version")
    if before is None:
        return "no finished run to build on"
    return None if before[0] == _version(context.policy) else "the step or its versions have changed"


def _row(warehouse: duckdb.DuckDBPyConnection, schema: str, name: str, columns: str) -> tuple[Any, ...] | None:
    if not sql.column_types(warehouse, schema, name):
        return None
    row: tuple[Any, ...] | None = warehouse.execute(f"select {columns} from {schema}.{name}").fetchone()
    return row


def _version(policy: Mapping[str, Any]) -> str:
    """Equal as long as equal sightings would be read and resolved in the same way."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    versions = [version(name) for name in ("duckdb", "phonenumbers")]
    values = [str(policy[name]) for name in ("default_phone_region", "identity_max_nodes_per_value")]
    digest.update("|".join([*versions, *values, sys.version]).encode())
    return digest.hexdigest()[:16]


@contextmanager
def _scratch(warehouse: duckdb.DuckDBPyConnection) -> Iterator[None]:
    try:
        yield
    finally:
        for name in _SCRATCH:
            warehouse.execute(f"drop table if exists temp.{name}")
        warehouse.execute("drop view if exists temp.identity_current")


def _forget_subset(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Take the nodes that are resolved again out of the tables: what is left is what stays."""
    for name in ("nodes", "stated", "torn", "node_addresses", "guests"):
        warehouse.execute(f"delete from identity.{name} where node_key in (select node_key from temp.identity_subset)")


def _number_nodes(warehouse: duckdb.DuckDBPyConnection) -> None:
    """One row per node to be resolved, numbered from the oldest: first seen, then system, entity, source id."""
    warehouse.execute("""
        create or replace temp table identity_nodes as
        select
            n.*, row_number() over (order by n.first_seen_at nulls last, n.system, n.entity, n.node_id) - 1 as node_no
        from temp.identity_described as n
    """)


def _type_nodes(warehouse: duckdb.DuckDBPyConnection) -> None:
    """b2b or b2c: stated, else the named account's, else b2b for a contact of a b2b account's company, else b2c."""
    warehouse.execute("alter table temp.identity_nodes add column account_no bigint")
    warehouse.execute("alter table temp.identity_nodes add column account_type varchar")
    warehouse.execute("""
        update temp.identity_nodes as n set account_no = a.node_no
        from temp.identity_nodes as a
        where a.entity = 'account' and n.system = a.system and n.account_id = a.node_id
    """)
    warehouse.execute("""
        update temp.identity_nodes as n
        set account_type = coalesce(
            n.stated_type,
            (select coalesce(a.stated_type, 'b2c') from temp.identity_nodes as a where a.node_no = n.account_no),
            case when n.company_value in (
                select b.company_value from temp.identity_nodes as b
                where b.stated_type = 'b2b' and b.company_value is not null
                union all
                select s.company_value from identity.stated as s
                where s.stated_type = 'b2b' and s.company_value is not null
            ) and n.entity = 'contact' then 'b2b' end,
            'b2c'
        )
    """)


def _link_values(warehouse: duckdb.DuckDBPyConnection, most: int) -> None:
    """Which node carries which value, how many share it, and the edges that follow.

    An edge runs from a value's oldest node to each other one. E-mail and phone join b2c nodes only, company and
    country b2b nodes only; the guard counts every node that carries the value, those that stay as they are too.
    """
    warehouse.execute("""
        create or replace temp table identity_node_values as
        with carried as (
            select node_key, 'email' as kind, email_value as value, last_updated_at
            from temp.identity_identified where email_value is not null
            union all
            select node_key, 'phone', phone_value, last_updated_at
            from temp.identity_identified where phone_value is not null
        ),
        latest as (
            select node_key, kind, value, max(last_updated_at) as last_seen_at
            from carried group by all
        )
        select n.node_no, n.account_type = 'b2b' as is_b2b, l.kind, l.value, l.last_seen_at
        from latest as l
        inner join temp.identity_nodes as n using (node_key)
        union all
        select node_no, true, 'company', company_value, last_updated_at
        from temp.identity_nodes
        where account_type = 'b2b' and company_value is not null
    """)
    warehouse.execute("insert into temp.identity_values select kind, value from temp.identity_node_values")
    warehouse.execute(
        """
        create or replace temp table identity_value_sizes as
        with carriers as (
            select kind, value, node_no, is_b2b from temp.identity_node_values
            union all
            select a.kind, a.value, null, null
            from identity.node_addresses as a
            semi join temp.identity_values as v on a.kind = v.kind and a.value = v.value
        )
        select
            kind, value, count(*) as nodes, count(*) > ? as is_shared,
            min(node_no) filter (where is_b2b = (kind = 'company')) as oldest
        from carriers
        group by kind, value
        having count(*) > 1
        """,
        [most],
    )
    warehouse.execute("""
        create or replace temp table identity_links as
        select s.oldest as older, v.node_no as newer
        from temp.identity_value_sizes as s
        inner join temp.identity_node_values as v using (kind, value)
        where not s.is_shared and v.is_b2b = (v.kind = 'company') and v.node_no != s.oldest
        union all
        select least(node_no, account_no), greatest(node_no, account_no)
        from temp.identity_nodes where account_no is not null
    """)


def _resolve(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Components of all edges, then those that hold a `false` broken apart; writes temp.identity_customers."""
    different, same = _override_pairs(warehouse)
    gave_way: set[Pair] = set()
    same -= different
    counted = warehouse.execute("select count(*) from temp.identity_nodes").fetchone()
    links = warehouse.execute("select older, newer from temp.identity_links").fetchnumpy()
    joined = np.array(sorted(same), dtype=np.int64).reshape(-1, 2)
    oldest = components(
        int(counted[0]) if counted else 0,
        np.concatenate([np.asarray(links["older"], dtype=np.int64), joined[:, 0]]),
        np.concatenate([np.asarray(links["newer"], dtype=np.int64), joined[:, 1]]),
    )
    whole = oldest.copy()
    torn = sorted({int(oldest[one]) for one, other in different if oldest[one] == oldest[other]})
    if torn:
        members = np.flatnonzero(np.isin(oldest, torn))
        for old in _by_component(members, oldest):
            nodes = set(old)
            edges = _edges_within(warehouse, old) + [Edge("override", *pair) for pair in same if pair[0] in nodes]
            kept = [edge for edge in edges if ordered((edge.left, edge.right)) not in different]
            separation = separate(old, kept, [pair for pair in different if nodes.issuperset(pair)])
            gave_way |= {ordered((edge.left, edge.right)) for edge in separation.cut if edge.kind == "override"}
            for node, part in separation.oldest.items():
                oldest[node] = part
    numbers = pa.table(
        {"node_no": np.arange(len(oldest), dtype=np.int64), "customer_no": oldest, "component_no": whole}
    )
    with registered(warehouse, "resolved", numbers):
        warehouse.execute("create or replace temp table identity_customers as select * from resolved")
    _write_overrides(warehouse, different, gave_way)


def _override_pairs(warehouse: duckdb.DuckDBPyConnection) -> tuple[set[Pair], set[Pair]]:
    """Pairs that must be different customers, and pairs that are said to be one."""
    different: set[Pair] = set()
    same: set[Pair] = set()
    for left, right, is_same in warehouse.execute("""
        select l.node_no, r.node_no, o.same_person
        from temp.identity_overrides as o
        inner join temp.identity_nodes as l on o.left_key = l.node_key
        inner join temp.identity_nodes as r on o.right_key = r.node_key
        where l.node_no != r.node_no
    """).fetchall():
        (same if is_same else different).add(ordered((left, right)))
    return different, same


def _by_component(members: Numbers, oldest: Numbers) -> Iterator[list[int]]:
    """The member nodes, component by component."""
    grouped = members[np.argsort(oldest[members], kind="stable")]
    for part in np.split(grouped, np.flatnonzero(np.diff(oldest[grouped])) + 1):
        yield [int(node) for node in part]


def _edges_within(warehouse: duckdb.DuckDBPyConnection, nodes: Sequence[int]) -> list[Edge]:
    """Every edge between two of these nodes, each pair that shares a value included."""
    with registered(warehouse, "torn", pa.table({"node_no": pa.array(nodes, pa.int64())})):
        found = warehouse.execute("""
            with carried as (
                select v.* from temp.identity_node_values as v
                inner join torn using (node_no)
                inner join temp.identity_value_sizes as s using (kind, value)
                where not s.is_shared and v.is_b2b = (v.kind = 'company')
            )
            select a.kind, a.node_no, b.node_no
            from carried as a inner join carried as b
                on a.kind = b.kind and a.value = b.value and a.node_no < b.node_no
            union
            select 'explicit', node_no, account_no
            from temp.identity_nodes inner join torn using (node_no)
            where account_no is not null
        """).fetchall()
    return [Edge(kind, left, right) for kind, left, right in found]


def _write_overrides(warehouse: duckdb.DuckDBPyConnection, different: set[Pair], gave_way: set[Pair]) -> None:
    lost = [(one, other, "beaten_by_false") for one, other in different]
    lost += [(one, other, "gave_way") for one, other in gave_way]
    table = pa.table(
        {
            "older": pa.array([one for one, _, _ in lost], pa.int64()),
            "newer": pa.array([other for _, other, _ in lost], pa.int64()),
            "outcome": pa.array([outcome for _, _, outcome in lost], pa.string()),
        }
    )
    with registered(warehouse, "lost", table):
        warehouse.execute("delete from identity.overrides")
        warehouse.execute("""
            insert into identity.overrides
            select
                o.system, o.left_id, o.right_id, o.same_person, o.left_key, o.right_key,
                case
                    when o.left_key is null or o.right_key is null then 'unknown_id'
                    when o.left_key = o.right_key then 'same_node'
                    when o.same_person and x.outcome is not null then x.outcome
                    else 'applied'
                end
            from temp.identity_overrides as o
            left join temp.identity_nodes as l on o.left_key = l.node_key
            left join temp.identity_nodes as r on o.right_key = r.node_key
            left join lost as x
                on least(l.node_no, r.node_no) = x.older and greatest(l.node_no, r.node_no) = x.newer
        """)


def _is_personal(node: str) -> str:
    """SQL for whether a node's id is an address in any spelling; a letterless one may be a phone number."""
    return f"""(
        {node}.is_personal_id or contains({node}.node_id, '@')
        or {node}.node_id in (
            select raw_value from identity.addresses where kind = 'phone' and value is not null
            union all
            select value from identity.addresses where kind = 'phone' and value is not null
        )
    )"""


def _write(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Write the nodes that were resolved."""
    warehouse.execute(f"""
        insert into identity.nodes
        select
            n.node_key, k.node_key, n.system, n.entity, n.node_id, {_is_personal("n")},
            n.account_type, n.stated_type is not null, n.first_seen_at, n.last_updated_at, n.is_tombstone, false
        from temp.identity_nodes as n
        inner join temp.identity_customers as c on n.node_no = c.node_no
        inner join temp.identity_nodes as k on c.customer_no = k.node_no
    """)
    warehouse.execute("""
        insert into identity.torn
        select n.node_key, k.node_key
        from temp.identity_nodes as n
        inner join temp.identity_customers as c on n.node_no = c.node_no
        inner join temp.identity_nodes as k on c.component_no = k.node_no
        where c.component_no != c.customer_no
    """)
    warehouse.execute("""
        insert into identity.stated
        select node_key, is_personal_id, account_id, stated_type, company_value
        from temp.identity_nodes
        where
            account_id is not null or stated_type is not null or company_value is not null
            or is_personal_id != (entity = 'guest')
    """)
    warehouse.execute("""
        insert into identity.node_addresses
        select n.node_key, k.node_key, v.kind, v.value, v.last_seen_at, coalesce(s.is_shared, false)
        from temp.identity_node_values as v
        inner join temp.identity_nodes as n on v.node_no = n.node_no
        inner join temp.identity_customers as c on v.node_no = c.node_no
        inner join temp.identity_nodes as k on c.customer_no = k.node_no
        left join temp.identity_value_sizes as s on v.kind = s.kind and v.value = s.value
    """)
    warehouse.execute("""
        insert into identity.guests
        select distinct s.system, coalesce(s.email, ''), coalesce(s.phone, ''), n.node_key, k.node_key
        from temp.identity_identified as s
        inner join temp.identity_nodes as n on s.node_key = n.node_key
        inner join temp.identity_customers as c on n.node_no = c.node_no
        inner join temp.identity_nodes as k on c.customer_no = k.node_no
        where s.entity = 'guest'
    """)
    warehouse.execute("""
        delete from identity.shared_values as s using temp.identity_values as v
        where s.kind = v.kind and s.value = v.value
    """)
    warehouse.execute("""
        insert into identity.shared_values
        select kind, value, nodes from temp.identity_value_sizes where is_shared order by kind, value
    """)


def _retire(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Nodes that only superseded versions of rows name: aliases of the oldest customer that took their place.

    They carry no edges: an address that was corrected away joins nobody. Superseded rows are few: all of them are
    looked at, and the differences written.
    """
    old = source_id("s.entity", "s.source_id", "e.value", "p.value")
    new = source_id("s.new_entity", "s.new_source_id", "ne.value", "np.value")
    warehouse.execute(f"""
        create or replace temp table identity_retired as
        with named as (
            select
                s.system, s.entity, {old} as node_id, s.source_id is null as is_personal_id,
                s.new_entity, {new} as new_node_id, s.first_seen_at
            from intermediate.int_identity__superseded as s
            left join identity.addresses as e on e.kind = 'email' and s.email = e.raw_value
            left join identity.addresses as p on p.kind = 'phone' and s.phone = p.raw_value
            left join identity.addresses as ne on ne.kind = 'email' and s.new_email = ne.raw_value
            left join identity.addresses as np on np.kind = 'phone' and s.new_phone = np.raw_value
        ),
        keyed as (
            select
                *, md5(system || '|' || entity || '|' || node_id) as node_key,
                md5(system || '|' || new_entity || '|' || new_node_id) as new_node_key
            from named
            where node_id is not null
        ),
        retired as (
            select
                o.node_key, o.system, o.entity, o.node_id, bool_or(o.is_personal_id) as is_personal_id,
                arg_min(k.node_key, {age_of("k", "source_id")}) filter (where k.node_key is not null) as customer_key,
                min(o.first_seen_at) as first_seen_at
            from keyed as o
            anti join (select node_key from identity.nodes where not is_retired) as known on o.node_key = known.node_key
            left join identity.nodes as n on o.new_node_key = n.node_key and not n.is_retired
            left join identity.nodes as k on n.customer_key = k.node_key
            group by o.node_key, o.system, o.entity, o.node_id
        )
        select
            r.node_key, coalesce(r.customer_key, r.node_key) as customer_key, r.system, r.entity,
            r.node_id as source_id, {_is_personal("r")} as is_personal_id,
            coalesce(k.account_type, 'b2c') as account_type, false as is_account_type_stated, r.first_seen_at,
            cast(null as timestamp) as last_updated_at, true as is_tombstone, true as is_retired
        from retired as r
        left join identity.nodes as k on r.customer_key = k.node_key
    """)
    warehouse.execute("""
        delete from identity.nodes where is_retired and node_key in (
            select node_key
            from (select * from identity.nodes where is_retired except select * from temp.identity_retired)
        )
    """)
    warehouse.execute("""
        insert into identity.nodes
        select * from temp.identity_retired except select * from identity.nodes where is_retired
    """)


def _figures(warehouse: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """What is worth showing about the result; no personal values."""
    found = warehouse.execute("""
        select
            run.mode, coalesce(run.reason, '') as why, run.touched_nodes, nodes.*,
            (select count(*) from identity.shared_values) as shared_values,
            (select count(*) from identity.addresses where value is null) as unreadable_addresses,
            overrides.*
        from identity.run
        cross join (
            select
                count(*) as nodes, count(distinct customer_key) as customers,
                count(*) filter (where is_tombstone) as tombstones
            from identity.nodes
        ) as nodes
        cross join (
            select count(*) as overrides, count(*) filter (where outcome != 'applied') as overrides_without_effect
            from identity.overrides
        ) as overrides
    """)
    names = [column[0] for column in found.description or []]
    return dict(zip(names, found.fetchone() or (), strict=True))

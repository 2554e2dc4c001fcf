"""The step `identity`: sightings in, who is one customer out.

SQL does what is many rows (grouping, ranking, joining), Python what SQL is the wrong tool for: normalising distinct
values and connected components. Nodes get a number by age, so that a component's smallest number is its oldest node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from ritorno.identity import normalise
from ritorno.identity.resolve import Edge, Numbers, Pair, components, ordered, separate
from ritorno.step_context import StepContext

INPUTS = (
    "int_identity__sightings",
    "int_identity__raw_addresses",
    "int_identity__superseded",
    "int_canonical__identity_overrides",
)

_TABLES: Mapping[str, str] = {
    "nodes": """
        node_key varchar, customer_key varchar, system varchar, entity varchar, source_id varchar,
        is_personal_id boolean, account_type varchar, is_account_type_stated boolean, first_seen_at timestamp,
        last_updated_at timestamp, is_tombstone boolean, is_retired boolean""",
    "addresses": "kind varchar, raw_value varchar, value varchar, reason varchar",
    "node_addresses": """
        node_key varchar, customer_key varchar, kind varchar, value varchar, last_seen_at timestamp,
        is_shared boolean""",
    "guests": "system varchar, email varchar, phone varchar, node_key varchar, customer_key varchar",
    "shared_values": "kind varchar, value varchar, nodes bigint",
    "overrides": """
        system varchar, left_id varchar, right_id varchar, same_person boolean, left_node_key varchar,
        right_node_key varchar, outcome varchar""",
}

OUTPUTS = tuple(f"identity.{name}" for name in _TABLES)

_SCRATCH = (
    "identity_companies",
    "identity_identified",
    "identity_nodes",
    "identity_node_values",
    "identity_value_sizes",
    "identity_links",
    "identity_overrides",
    "identity_customers",
    "identity_retired",
)


def ensure(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Create the output tables, empty, where they are missing."""
    warehouse.execute("create schema if not exists identity")
    for name, columns in _TABLES.items():
        warehouse.execute(f"create table if not exists identity.{name} ({columns})")


def run(context: StepContext) -> dict[str, Any]:
    """Resolve every sighting to a customer and replace the tables of schema `identity`."""
    warehouse, policy = context.warehouse, context.policy
    ensure(warehouse)
    region, most = str(policy["default_phone_region"]), int(policy["identity_max_nodes_per_value"])
    with _scratch(warehouse):
        _normalise(warehouse, region)
        _identify(warehouse)
        _number_nodes(warehouse)
        _type_nodes(warehouse)
        _link_values(warehouse, most)
        _read_overrides(warehouse)
        _resolve(warehouse)
        _retire(warehouse)
        _write(warehouse)
    return _figures(warehouse)


@contextmanager
def _scratch(warehouse: duckdb.DuckDBPyConnection) -> Iterator[None]:
    try:
        yield
    finally:
        for name in _SCRATCH:
            warehouse.execute(f"drop table if exists temp.{name}")


def _normalise(warehouse: duckdb.DuckDBPyConnection, region: str) -> None:
    """Fill identity.addresses, and the normalised company names, from distinct raw values."""
    warehouse.execute(f"create or replace table identity.addresses ({_TABLES['addresses']})")
    for kind, read in normalise.readers(region).items():
        distinct = "select raw_value from intermediate.int_identity__raw_addresses where kind = ?"
        for batch in _batches(warehouse, distinct, [kind]):
            with _registered(warehouse, "normalised", _normalised(read, batch)):
                warehouse.execute(
                    "insert into identity.addresses select ?, raw_value, value, reason from normalised", [kind]
                )
    warehouse.execute("create or replace temp table identity_companies (raw_value varchar, value varchar)")
    distinct = "select distinct company from intermediate.int_identity__sightings where company is not null"
    for batch in _batches(warehouse, distinct, []):
        with _registered(warehouse, "normalised", _normalised(normalise.company, batch)):
            warehouse.execute("insert into temp.identity_companies select raw_value, value from normalised")


def _normalised(read: Callable[[str], normalise.Normalised], raw: Sequence[str]) -> pa.Table:
    columns = normalise.table(read, raw)
    return pa.table(
        dict(zip(("raw_value", "value", "reason"), (pa.array(one, pa.string()) for one in columns), strict=True))
    )


def _batches(
    warehouse: duckdb.DuckDBPyConnection, sql: str, parameters: list[Any], size: int = 500_000
) -> Iterator[Sequence[str]]:
    # The result is read to the end before anything is written: one connection has one open result.
    values: list[str] = warehouse.execute(sql, parameters).to_arrow_table().column(0).to_pylist()
    for start in range(0, len(values), size):
        yield values[start : start + size]


@contextmanager
def _registered(warehouse: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> Iterator[None]:
    warehouse.register(name, table)
    try:
        yield
    finally:
        warehouse.unregister(name)


def _source_id(entity: str, source_id: str, email: str, phone: str) -> str:
    """SQL for the id of a node: the source's, or the addresses that are all there is; null for nobody."""
    return f"""
        case
            when {source_id} is not null then {source_id}
            when {entity} = 'guest' and ({email} is not null or {phone} is not null)
                then coalesce({email}, '') || '|' || coalesce({phone}, '')
            when {entity} in ('member', 'subscriber') then {email}
        end"""


def _identify(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Sightings with normalised values and a node's id. A sighting without any identifier is nobody's."""
    warehouse.execute(f"""
        create or replace temp table identity_identified as
        select
            s.system, s.entity, {_source_id("s.entity", "s.source_id", "e.value", "p.value")} as node_id,
            s.source_id is null as is_personal_id, s.account_id, s.email, s.phone,
            e.value as email_value, p.value as phone_value,
            c.value || '|' || nullif(lower(trim(s.country)), '') as company_value,
            case when lower(trim(s.account_type)) in ('b2b', 'b2c') then lower(trim(s.account_type)) end
                as account_type,
            s.is_master, s.is_live, s.first_seen_at, s.last_updated_at
        from intermediate.int_identity__sightings as s
        left join identity.addresses as e on e.kind = 'email' and s.email = e.raw_value
        left join identity.addresses as p on p.kind = 'phone' and s.phone = p.raw_value
        left join temp.identity_companies as c on s.company = c.raw_value
    """)
    warehouse.execute("delete from temp.identity_identified where node_id is null")


def _number_nodes(warehouse: duckdb.DuckDBPyConnection) -> None:
    """One row per node, numbered from the oldest: first seen, then system, entity, source id."""
    warehouse.execute("""
        create or replace temp table identity_nodes as
        with nodes as (
            select
                system, entity, node_id,
                bool_or(is_personal_id) as is_personal_id,
                max(account_id) as account_id,
                -- the master row's word first, then the latest
                max(struct_pack(
                    is_master := is_master, updated := coalesce(last_updated_at, timestamp '0001-01-01'),
                    account_type := account_type
                )) filter (where account_type is not null).account_type as stated_type,
                max(company_value) filter (where is_master) as company_value,
                min(first_seen_at) as first_seen_at,
                max(last_updated_at) as last_updated_at,
                -- a deleted account stays deleted although its orders remain
                case
                    when bool_or(is_master) then not bool_or(is_master and is_live)
                    else not bool_or(is_live)
                end as is_tombstone
            from temp.identity_identified
            group by system, entity, node_id
        )
        select
            *,
            row_number() over (order by first_seen_at nulls last, system, entity, node_id) - 1 as node_no,
            md5(system || '|' || entity || '|' || node_id) as node_key
        from nodes
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
            ) and n.entity = 'contact' then 'b2b' end,
            'b2c'
        )
    """)


def _link_values(warehouse: duckdb.DuckDBPyConnection, most: int) -> None:
    """Which node carries which value, how many share it, and the edges that follow.

    An edge runs from a value's oldest node to each other one. E-mail and phone join b2c nodes only, company and
    country b2b nodes only; the guard counts every node that carries the value.
    """
    warehouse.execute("""
        create or replace temp table identity_node_values as
        with carried as (
            select system, entity, node_id, 'email' as kind, email_value as value, last_updated_at
            from temp.identity_identified where email_value is not null
            union all
            select system, entity, node_id, 'phone', phone_value, last_updated_at
            from temp.identity_identified where phone_value is not null
        ),
        latest as (
            select system, entity, node_id, kind, value, max(last_updated_at) as last_seen_at
            from carried group by all
        )
        select n.node_no, n.account_type = 'b2b' as is_b2b, l.kind, l.value, l.last_seen_at
        from latest as l
        inner join temp.identity_nodes as n using (system, entity, node_id)
        union all
        select node_no, true, 'company', company_value, last_updated_at
        from temp.identity_nodes
        where account_type = 'b2b' and company_value is not null
    """)
    warehouse.execute(
        """
        create or replace temp table identity_value_sizes as
        select
            kind, value, count(*) as nodes, count(*) > ? as is_shared,
            min(node_no) filter (where is_b2b = (kind = 'company')) as oldest
        from temp.identity_node_values
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


def _read_overrides(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Current overrides with the nodes their ids name.

    An id is a node key, an id with its entity (`contact:K7`), or a source id: of the override's own system before
    others', of an account before a contact, a member, a subscriber. Guests have no id of their own but their node key.
    """
    warehouse.execute("""
        create or replace temp table identity_overrides as
        with overrides as (
            select system, left_id, right_id, same_person
            from intermediate.int_canonical__identity_overrides
            where row_status = 'current' and not is_after_as_of
        ),
        wanted as (
            select distinct system, unnest([left_id, right_id]) as id from overrides
        ),
        named as (
            select w.system, w.id, n.node_no, 0 as way
            from wanted as w inner join temp.identity_nodes as n on w.id = n.node_key
            union all
            select
                w.system, w.id, n.node_no,
                case when w.system = n.system then 1 else 100 end
                + list_position(['account', 'contact', 'member', 'subscriber'], n.entity)
            from wanted as w
            inner join temp.identity_nodes as n on w.id = n.node_id and not n.is_personal_id
            union all
            select w.system, w.id, n.node_no, case when w.system = n.system then 50 else 150 end
            from wanted as w
            inner join temp.identity_nodes as n
                on split_part(w.id, ':', 1) = n.entity and w.id = n.entity || ':' || n.node_id
        ),
        resolved as (
            select system, id, arg_min(node_no, struct_pack(way := way, node_no := node_no)) as node_no
            from named group by system, id
        )
        select o.*, l.node_no as left_no, r.node_no as right_no
        from overrides as o
        left join resolved as l on o.system = l.system and o.left_id = l.id
        left join resolved as r on o.system = r.system and o.right_id = r.id
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
    numbers = pa.table({"node_no": np.arange(len(oldest), dtype=np.int64), "customer_no": oldest})
    with _registered(warehouse, "resolved", numbers):
        warehouse.execute("create or replace temp table identity_customers as select * from resolved")
    _write_overrides(warehouse, different, gave_way)


def _override_pairs(warehouse: duckdb.DuckDBPyConnection) -> tuple[set[Pair], set[Pair]]:
    """Pairs that must be different customers, and pairs that are said to be one."""
    different: set[Pair] = set()
    same: set[Pair] = set()
    for left, right, is_same in warehouse.execute("""
        select left_no, right_no, same_person from temp.identity_overrides
        where left_no is not null and right_no is not null and left_no != right_no
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
    with _registered(warehouse, "torn", pa.table({"node_no": pa.array(nodes, pa.int64())})):
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
    with _registered(warehouse, "lost", table):
        warehouse.execute(f"create or replace table identity.overrides ({_TABLES['overrides']})")
        warehouse.execute("""
            insert into identity.overrides
            select
                o.system, o.left_id, o.right_id, o.same_person, l.node_key, r.node_key,
                case
                    when o.left_no is null or o.right_no is null then 'unknown_id'
                    when o.left_no = o.right_no then 'same_node'
                    when o.same_person and x.outcome is not null then x.outcome
                    else 'applied'
                end
            from temp.identity_overrides as o
            left join temp.identity_nodes as l on o.left_no = l.node_no
            left join temp.identity_nodes as r on o.right_no = r.node_no
            left join lost as x
                on least(o.left_no, o.right_no) = x.older and greatest(o.left_no, o.right_no) = x.newer
        """)


def _retire(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Nodes that only superseded versions of rows name: aliases of the oldest node that took their place.

    They carry no edges: an address that was corrected away joins nobody.
    """
    old = _source_id("s.entity", "s.source_id", "e.value", "p.value")
    new = _source_id("s.new_entity", "s.new_source_id", "ne.value", "np.value")
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
        )
        select
            md5(o.system || '|' || o.entity || '|' || o.node_id) as node_key,
            o.system, o.entity, o.node_id, bool_or(o.is_personal_id) as is_personal_id,
            min(c.customer_no) as customer_no, min(o.first_seen_at) as first_seen_at
        from named as o
        left join temp.identity_nodes as known
            on o.system = known.system and o.entity = known.entity and o.node_id = known.node_id
        left join temp.identity_nodes as n
            on o.system = n.system and o.new_entity = n.entity and o.new_node_id = n.node_id
        left join temp.identity_customers as c on n.node_no = c.node_no
        where o.node_id is not null and known.node_no is null
        group by o.system, o.entity, o.node_id
    """)


def _write(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Replace the output tables."""
    # An id that is an address in any spelling; a letterless one may be a phone number.
    personal = """(
        {0}.is_personal_id or contains({0}.node_id, '@')
        or {0}.node_id in (
            select raw_value from identity.addresses where kind = 'phone' and value is not null
            union all
            select value from identity.addresses where kind = 'phone' and value is not null
        )
    )"""
    warehouse.execute(f"create or replace table identity.nodes ({_TABLES['nodes']})")
    warehouse.execute(f"""
        insert into identity.nodes
        select
            n.node_key, k.node_key, n.system, n.entity, n.node_id, {personal.format("n")},
            n.account_type, n.stated_type is not null, n.first_seen_at, n.last_updated_at, n.is_tombstone, false
        from temp.identity_nodes as n
        inner join temp.identity_customers as c on n.node_no = c.node_no
        inner join temp.identity_nodes as k on c.customer_no = k.node_no
        union all
        select
            r.node_key, coalesce(k.node_key, r.node_key), r.system, r.entity, r.node_id, {personal.format("r")},
            coalesce(k.account_type, 'b2c'), false, r.first_seen_at, null, true, true
        from temp.identity_retired as r
        left join temp.identity_nodes as k on r.customer_no = k.node_no
    """)
    warehouse.execute(f"create or replace table identity.node_addresses ({_TABLES['node_addresses']})")
    warehouse.execute("""
        insert into identity.node_addresses
        select n.node_key, k.node_key, v.kind, v.value, v.last_seen_at, coalesce(s.is_shared, false)
        from temp.identity_node_values as v
        inner join temp.identity_nodes as n on v.node_no = n.node_no
        inner join temp.identity_customers as c on v.node_no = c.node_no
        inner join temp.identity_nodes as k on c.customer_no = k.node_no
        left join temp.identity_value_sizes as s on v.kind = s.kind and v.value = s.value
    """)
    warehouse.execute(f"create or replace table identity.guests ({_TABLES['guests']})")
    warehouse.execute("""
        insert into identity.guests
        select distinct i.system, coalesce(i.email, ''), coalesce(i.phone, ''), n.node_key, n.customer_key
        from temp.identity_identified as i
        inner join identity.nodes as n
            on i.system = n.system and i.entity = n.entity and i.node_id = n.source_id
        where i.entity = 'guest'
    """)
    warehouse.execute(f"create or replace table identity.shared_values ({_TABLES['shared_values']})")
    warehouse.execute("""
        insert into identity.shared_values
        select kind, value, nodes from temp.identity_value_sizes where is_shared order by kind, value
    """)


def _figures(warehouse: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """What is worth showing about the result; no personal values."""
    row = warehouse.execute("""
        select
            (select count(*) from identity.nodes), (select count(distinct customer_key) from identity.nodes),
            (select count(*) from identity.nodes where is_tombstone),
            (select count(*) from identity.shared_values),
            (select count(*) from identity.addresses where value is null),
            (select count(*) from identity.overrides),
            (select count(*) from identity.overrides where outcome != 'applied')
    """).fetchone()
    names = (
        "nodes",
        "customers",
        "tombstones",
        "shared_values",
        "unreadable_addresses",
        "overrides",
        "overrides_without_effect",
    )
    return dict(zip(names, row or (), strict=True))

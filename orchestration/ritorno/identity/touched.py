"""Which nodes a run resolves: those that changed since the last one, and all that they are or were tied to.

The step compares what it reads with hashes of what it read (`identity.seen`), so it doesn't matter why a sighting is
another: a new order, a correction, a forgotten file, a day that has come. Touched are

1. nodes of sightings that came or went; nodes that name one of these as their account, since they inherit its type;
   nodes of a company that became or is no longer a b2b customer's; nodes whose id became or is no longer an address.
   Whatever a node is called, carries or counts as can differ for these only.
2. nodes with whom one of them shares a value, unless more nodes than `most` that are not touched carry it: then it
   joined nobody before and joins nobody now. So a value that crosses the line, in either direction, brings all nodes
   that have it; an account that one of them names; and every node that a person decided about, now or before.
3. all nodes that belonged to the same component as one of these, before a `false` broke it apart.

Every edge that is new, gone or cut differently has both ends among them: a component is resolved whole or stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from ritorno.identity import normalise
from ritorno.identity.tables import age_of, registered, source_id

SCRATCH = (
    "identity_addresses",
    "identity_hashes",
    "identity_gone",
    "identity_came",
    "identity_wanted",
    "identity_companies",
    "identity_identified",
    "identity_changed",
    "identity_was",
    "identity_described",
    "identity_touched",
    "identity_values",
    "identity_overrides",
    "identity_subset",
)
"""Of these the rest of the step reads identity_identified, …_described, …_values, …_overrides and …_subset."""


def find(warehouse: duckdb.DuckDBPyConnection, region: str, most: int, share: float, *, is_full: bool) -> bool:
    """Read what is new, and write what there is to know of all nodes to be resolved to temporary tables.

    Their keys are in temp.identity_subset, those of nodes that are gone too; what sightings say of them in
    temp.identity_identified, by node in temp.identity_described.

    Returns:
        False if more than `share` of what is remembered would be resolved again; never if `is_full`.
    """
    _normalise(warehouse, region)
    _compare(warehouse)
    if not is_full and _too_many(warehouse, "temp.identity_gone", "identity.seen", share):
        return False
    _see(warehouse)
    _compare_nodes(warehouse)
    _read_overrides(warehouse)
    if is_full:
        warehouse.execute("create or replace temp table identity_subset as from temp.identity_changed")
        warehouse.execute("create or replace temp table identity_values (kind varchar, value varchar)")
        return True
    _touch(warehouse)
    _reach(warehouse, most)
    live = "(select node_key from identity.nodes where not is_retired)"
    if _too_many(warehouse, f"{live} semi join temp.identity_subset using (node_key)", live, share):
        return False
    _identify(
        warehouse,
        f"""
        select row_hash from identity.seen
        where node_hash in (select hash(node_key) from temp.identity_subset {_EXCEPT_CHANGED})
        """,
    )
    _describe(warehouse, f"select node_key from temp.identity_subset {_EXCEPT_CHANGED}")
    return True


_EXCEPT_CHANGED = "where node_key not in (select node_key from temp.identity_changed)"


def _too_many(warehouse: duckdb.DuckDBPyConnection, some: str, every: str, share: float) -> bool:
    row = warehouse.execute(
        f"select (select count(*) from {some}) > (select count(*) from {every}) * ?", [share]
    ).fetchone()
    return bool(row and row[0])


def _normalise(warehouse: duckdb.DuckDBPyConnection, region: str) -> None:
    """Bring identity.addresses up to date: each distinct spelling is read once, when it is first seen."""
    warehouse.execute("""
        create or replace temp table identity_addresses as
        select a.kind, a.raw_value, a.value
        from identity.addresses as a
        anti join intermediate.int_identity__raw_addresses as r on a.kind = r.kind and a.raw_value = r.raw_value
    """)
    warehouse.execute("""
        delete from identity.addresses as a using temp.identity_addresses as gone
        where a.kind = gone.kind and a.raw_value = gone.raw_value
    """)
    for kind, read in normalise.readers(region).items():
        new = """
            select r.raw_value
            from intermediate.int_identity__raw_addresses as r
            anti join identity.addresses as a on r.kind = a.kind and r.raw_value = a.raw_value
            where r.kind = ?
        """
        for batch in _batches(warehouse, new, [kind]):
            with registered(warehouse, "normalised", _normalised(read, batch)):
                warehouse.execute(
                    "insert into identity.addresses select ?, raw_value, value, reason from normalised", [kind]
                )
                warehouse.execute(
                    "insert into temp.identity_addresses select ?, raw_value, value from normalised", [kind]
                )


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


def _compare(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Sightings that came or went since the last run, by a hash of all their columns; one that changed did both."""
    warehouse.execute("""
        create or replace temp table identity_hashes as
        select hash(hash(s)) as row_hash from intermediate.int_identity__sightings as s
    """)
    warehouse.execute("""
        create or replace temp table identity_gone as
        select seen.row_hash, seen.node_hash
        from identity.seen anti join temp.identity_hashes as h on seen.row_hash = h.row_hash
    """)
    warehouse.execute("""
        create or replace temp table identity_came as
        select h.row_hash from temp.identity_hashes as h anti join identity.seen on h.row_hash = seen.row_hash
    """)


def _see(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Bring identity.seen up to date, and identify all sightings of each node of which one came or went."""
    warehouse.execute("create or replace temp table identity_companies (raw_value varchar, value varchar)")
    warehouse.execute("""
        create or replace temp table identity_identified (
            row_hash ubigint, node_key varchar, system varchar, entity varchar, node_id varchar,
            is_personal_id boolean, account_id varchar, email varchar, phone varchar, email_value varchar,
            phone_value varchar, company_value varchar, account_type varchar, is_master boolean, is_live boolean,
            first_seen_at timestamp, last_updated_at timestamp
        )
    """)
    _identify(warehouse, "select row_hash from temp.identity_came")
    warehouse.execute("delete from identity.seen where row_hash in (select row_hash from temp.identity_gone)")
    warehouse.execute("insert into identity.seen select row_hash, hash(node_key) from temp.identity_identified")
    warehouse.execute("""
        insert into identity.seen
        select c.row_hash, null
        from temp.identity_came as c anti join temp.identity_identified as i on c.row_hash = i.row_hash
    """)
    warehouse.execute("""
        create or replace temp table identity_changed as
        select node_key from temp.identity_identified
        union
        select node_key from identity.nodes
        where not is_retired and hash(node_key) in (select node_hash from temp.identity_gone)
    """)
    _identify(
        warehouse,
        """
        select row_hash from identity.seen
        where
            node_hash in (select hash(node_key) from temp.identity_changed)
            and row_hash not in (select row_hash from temp.identity_came)
        """,
    )


def _identify(warehouse: duckdb.DuckDBPyConnection, wanted: str) -> None:
    """Add sightings to temp.identity_identified, with normalised values and a node's key.

    A sighting without any identifier is nobody's.
    """
    warehouse.execute(f"create or replace temp table identity_wanted as {wanted}")
    sightings = """
        select s.*, hash(hash(s)) as row_hash
        from intermediate.int_identity__sightings as s
        where hash(hash(s)) in (select row_hash from temp.identity_wanted)
    """
    new = f"""
        select distinct company from ({sightings})
        where company is not null and company not in (select raw_value from temp.identity_companies)
    """
    for batch in _batches(warehouse, new, []):
        with registered(warehouse, "normalised", _normalised(normalise.company, batch)):
            warehouse.execute("insert into temp.identity_companies select raw_value, value from normalised")
    warehouse.execute(f"""
        insert into temp.identity_identified
        with sightings as ({sightings}),
        identified as (
            select
                s.row_hash, s.system, s.entity, {source_id("s.entity", "s.source_id", "e.value", "p.value")} as node_id,
                s.source_id is null as is_personal_id, s.account_id, s.email, s.phone,
                e.value as email_value, p.value as phone_value,
                c.value || '|' || nullif(lower(trim(s.country)), '') as company_value,
                case when lower(trim(s.account_type)) in ('b2b', 'b2c') then lower(trim(s.account_type)) end
                    as account_type,
                s.is_master, s.is_live, s.first_seen_at, s.last_updated_at
            from sightings as s
            left join identity.addresses as e on e.kind = 'email' and s.email = e.raw_value
            left join identity.addresses as p on p.kind = 'phone' and s.phone = p.raw_value
            left join temp.identity_companies as c on s.company = c.raw_value
        )
        select row_hash, md5(system || '|' || entity || '|' || node_id) as node_key, * exclude (row_hash)
        from identified
        where node_id is not null
    """)


def _describe(warehouse: duckdb.DuckDBPyConnection, keys: str) -> None:
    """Add one row per node to temp.identity_described."""
    warehouse.execute(f"""
        insert into temp.identity_described
        select
            node_key, system, entity, node_id,
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
        where node_key in ({keys})
        group by node_key, system, entity, node_id
    """)


def _compare_nodes(warehouse: duckdb.DuckDBPyConnection) -> None:
    """What nodes of changed sightings are (temp.identity_described) and were (…_was), and all nodes (…_current)."""
    remembered = """
        select
            n.node_key, n.system, n.entity, n.source_id as node_id,
            coalesce(s.is_personal_id, n.entity = 'guest') as is_personal_id, s.account_id, s.stated_type,
            s.company_value, n.first_seen_at
        from identity.nodes as n
        left join identity.stated as s on n.node_key = s.node_key
        where not n.is_retired
    """
    warehouse.execute("""
        create or replace temp table identity_described (
            node_key varchar, system varchar, entity varchar, node_id varchar, is_personal_id boolean,
            account_id varchar, stated_type varchar, company_value varchar, first_seen_at timestamp,
            last_updated_at timestamp, is_tombstone boolean
        )
    """)
    _describe(warehouse, "select node_key from temp.identity_changed")
    warehouse.execute(f"""
        create or replace temp table identity_was as
        {remembered} and n.node_key in (select node_key from temp.identity_changed)
    """)
    warehouse.execute(f"""
        create or replace temp view identity_current as
        {remembered} and n.node_key not in (select node_key from temp.identity_changed)
        union all
        select * exclude (last_updated_at, is_tombstone) from temp.identity_described
    """)


def _touch(warehouse: duckdb.DuckDBPyConnection) -> None:
    """1. above, as temp.identity_touched."""
    warehouse.execute("""
        create or replace temp table identity_touched as
        with accounts as (
            select system, node_id from temp.identity_described where entity = 'account'
            union
            select system, node_id from temp.identity_was where entity = 'account'
        ),
        companies as (
            select company_value from temp.identity_described where stated_type = 'b2b'
            except
            select company_value from temp.identity_was where stated_type = 'b2b'
        ),
        former_companies as (
            select company_value from temp.identity_was where stated_type = 'b2b'
            except
            select company_value from temp.identity_described where stated_type = 'b2b'
        ),
        numbers as (
            select raw_value as text from temp.identity_addresses where kind = 'phone' and value is not null
            union
            select value from temp.identity_addresses where kind = 'phone' and value is not null
        )
        select node_key from temp.identity_changed
        union
        select n.node_key
        from temp.identity_current as n inner join accounts as a on n.system = a.system and n.account_id = a.node_id
        union
        select n.node_key
        from temp.identity_current as n
        where n.company_value in (from companies) or n.company_value in (from former_companies)
        union
        select n.node_key from temp.identity_current as n where n.node_id in (from numbers)
    """)


def _reach(warehouse: duckdb.DuckDBPyConnection, most: int) -> None:
    """2. and 3. above: temp.identity_values, what touched nodes carry or carried, and temp.identity_subset."""
    touched = "node_key in (select node_key from temp.identity_touched)"
    warehouse.execute(f"""
        create or replace temp table identity_values as
        select kind, value from identity.node_addresses where {touched}
        union
        select 'email', email_value from temp.identity_identified where email_value is not null and {touched}
        union
        select 'phone', phone_value from temp.identity_identified where phone_value is not null and {touched}
        union
        select 'company', company_value from temp.identity_current where company_value is not null and {touched}
    """)
    warehouse.execute(
        f"""
        create or replace temp table identity_subset as
        with sharers as (
            select a.node_key
            from identity.node_addresses as a
            semi join temp.identity_values as v on a.kind = v.kind and a.value = v.value
            where a.node_key not in (select node_key from temp.identity_touched)
            qualify count(*) over (partition by a.kind, a.value) <= ?
        ),
        decided as (
            select unnest([left_node_key, right_node_key]) as node_key from identity.overrides
            union all
            select unnest([left_key, right_key]) from temp.identity_overrides
        ),
        roots as (
            select node_key from temp.identity_touched
            union
            select node_key from sharers
            union
            select node_key from decided where node_key is not null
            union
            select md5(system || '|account|' || account_id) from temp.identity_current
            where account_id is not null and {touched}
        ),
        standing as (
            select n.node_key, coalesce(t.component_key, n.customer_key) as component_key
            from identity.nodes as n
            left join identity.torn as t on n.node_key = t.node_key
            where not n.is_retired
        ),
        grown as (
            select distinct s.component_key from standing as s semi join roots on s.node_key = roots.node_key
        )
        select node_key from roots
        union
        select s.node_key from standing as s semi join grown on s.component_key = grown.component_key
        """,
        [most],
    )


def _read_overrides(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Current overrides with the nodes their ids name.

    An id is a node key, an id with its entity (`contact:K7`), or a source id: of the override's own system before
    others', of an account before a contact, a member, a subscriber. Guests have no id of their own but their node key.
    """
    warehouse.execute(f"""
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
            select w.system, w.id, n.node_key, 0 as way, {age_of("n", "node_id")} as age
            from wanted as w inner join temp.identity_current as n on w.id = n.node_key
            union all
            select
                w.system, w.id, n.node_key,
                case when w.system = n.system then 1 else 100 end
                + list_position(['account', 'contact', 'member', 'subscriber'], n.entity),
                {age_of("n", "node_id")}
            from wanted as w
            inner join temp.identity_current as n on w.id = n.node_id and not n.is_personal_id
            union all
            select
                w.system, w.id, n.node_key, case when w.system = n.system then 50 else 150 end,
                {age_of("n", "node_id")}
            from wanted as w
            inner join temp.identity_current as n
                on split_part(w.id, ':', 1) = n.entity and w.id = n.entity || ':' || n.node_id
        ),
        resolved as (
            select system, id, arg_min(node_key, struct_pack(way := way, age := age)) as node_key
            from named group by system, id
        )
        select o.*, l.node_key as left_key, r.node_key as right_key
        from overrides as o
        left join resolved as l on o.system = l.system and o.left_id = l.id
        left join resolved as r on o.system = r.system and o.right_id = r.id
    """)

"""The tables of schema `identity`: what dbt reads of it, and what the step remembers for its next run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import duckdb
import pyarrow as pa

OUTPUTS: Mapping[str, str] = {
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

MEMORY: Mapping[str, str] = {
    # every sighting and whose it is, as hashes; node_hash is null for nobody's
    "seen": "row_hash ubigint, node_hash ubigint",
    # what sightings state of a node and identity.nodes doesn't say; nodes of which they state nothing, and whose id is
    # personal only if they are guests, have no row
    "stated": """
        node_key varchar, is_personal_id boolean, account_id varchar, stated_type varchar, company_value varchar""",
    # nodes that a `same_person = false` separated from the oldest node of their component
    "torn": "node_key varchar, component_key varchar",
    # how the last run was: one row
    "run": "mode varchar, reason varchar, nodes bigint, touched_nodes bigint, version varchar",
}


def ensure(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Create the tables, empty, where they are missing."""
    warehouse.execute("create schema if not exists identity")
    for name, columns in {**OUTPUTS, **MEMORY}.items():
        warehouse.execute(f"create table if not exists identity.{name} ({columns})")


def empty(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Forget everything: the tables as they are before a first run."""
    for name, columns in {**OUTPUTS, **MEMORY}.items():
        warehouse.execute(f"create or replace table identity.{name} ({columns})")


@contextmanager
def registered(warehouse: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> Iterator[None]:
    """An Arrow table under a name, for as long as the block runs."""
    warehouse.register(name, table)
    try:
        yield
    finally:
        warehouse.unregister(name)


def source_id(entity: str, source_id: str, email: str, phone: str) -> str:
    """SQL for the id of a node: the source's, or the addresses that are all there is; null for nobody."""
    return f"""
        case
            when {source_id} is not null then {source_id}
            when {entity} = 'guest' and ({email} is not null or {phone} is not null)
                then coalesce({email}, '') || '|' || coalesce({phone}, '')
            when {entity} in ('member', 'subscriber') then {email}
        end"""


def age_of(node: str, node_id: str) -> str:
    """SQL for what nodes are ordered by, the oldest first, to compare any two of them."""
    return (
        f"struct_pack(is_unseen := {node}.first_seen_at is null, "
        f"at := coalesce({node}.first_seen_at, timestamp '0001-01-01'), "
        f"system := {node}.system, entity := {node}.entity, id := {node}.{node_id})"
    )

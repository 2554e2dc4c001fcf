"""What a plan is made from: tables in the schema `inputs` of a scratch connection.

Filled from the warehouse at the moment of sending (`ritorno.audiences.warehouse`), or by a test. The planner reads
nothing else but these and the publish state.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

TABLES: Mapping[str, str] = {
    # Who is in the segment now. fields: JSON of texts in declared order; null in a grace period, when the segment's
    # own row is gone: such a customer stays if they are there, and is not added.
    "membership": "customer_key varchar, reason varchar, fields varchar",
    # Every key ever issued -> the customer it is today.
    "aliases": "alias varchar, customer_key varchar",
    # Customers all of whose accounts are deleted.
    "deleted_customers": "customer_key varchar",
    # identity.node_addresses, and accounts themselves (kind 'account', value system:customer_id) where there is no
    # address to consent to.
    "addresses": """
        customer_key varchar, node_key varchar, kind varchar, value varchar, last_seen_at timestamp,
        is_shared boolean""",
    # Which customer an account of a source is.
    "accounts": "system varchar, customer_id varchar, customer_key varchar",
    # Which addresses an account had when: half-open, null = always / still.
    "account_addresses": """
        system varchar, customer_id varchar, kind varchar, value varchar, had_from timestamp, had_to timestamp""",
    # The consent log as landed by now, whatever the as-of date; addresses normalised as identity does it.
    # is_readable false: a row in quarantine. Its grant counts for nothing, its withdrawal for everything it may mean.
    "consent_events": """
        system varchar, email varchar, phone varchar, customer_id varchar, channel varchar, purpose varchar,
        is_given boolean, occurred_at timestamp, expires_at timestamp, is_readable boolean""",
}


def create(con: duckdb.DuckDBPyConnection) -> None:
    """Create the tables, empty."""
    con.execute("create schema if not exists inputs; create schema if not exists work")
    for name, columns in TABLES.items():
        con.execute(f"create or replace table inputs.{name} ({columns})")

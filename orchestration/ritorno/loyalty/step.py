"""The step `loyalty`: members' events, spend and the tiers of the policy in; ledger, verdicts and tier stays out.

Members are read in parts of about as many events as fit in a hundred megabytes, so a long history needs no more
memory than a short one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import Any

import duckdb
import pyarrow as pa

from ritorno import sql
from ritorno.errors import UnusableInput
from ritorno.loyalty.ledger import Event, Posting, post
from ritorno.loyalty.tiers import Change, Qualifying, Tier, stays
from ritorno.step_context import StepContext

INPUTS = ("int_loyalty__events", "int_loyalty__spend", "loyalty_tiers")

EVENTS_PER_PART = 200_000

_EVENTS = "intermediate.int_loyalty__events"
_SPEND = "intermediate.int_loyalty__spend"
_TIERS = "policy.loyalty_tiers"

_TABLES: Mapping[str, Mapping[str, str]] = {
    "entries": {
        "customer_key": "varchar",
        "entry_number": "bigint",
        "event_key": "varchar",
        "event_type": "varchar",
        "entered_at": "timestamp",
        "lot_key": "varchar",
        "points": "bigint",
        "lot_balance": "bigint",
        "balance": "bigint",
    },
    "verdicts": {
        "customer_key": "varchar",
        "event_key": "varchar",
        "outcome": "varchar",
        "reason": "varchar",
        "points_applied": "bigint",
        "points_settled": "bigint",
        "points_unrecovered": "bigint",
    },
    "tier_stays": {
        "customer_key": "varchar",
        "stay_number": "bigint",
        "tier": "varchar",
        "tier_rank": "integer",
        "valid_from": "date",
        "valid_to": "date",
        "cause": "varchar",
        "review_on": "date",
        "grace_until": "date",
    },
    "members": {
        "customer_key": "varchar",
        "audience": "varchar",
        "joined_on": "date",
        "qualifying_points": "bigint",
        "qualifying_spend_cents": "bigint",
    },
}

OUTPUTS = tuple(f"loyalty.{name}" for name in _TABLES)

_ARROW = {
    "varchar": pa.string(),
    "bigint": pa.int64(),
    "integer": pa.int32(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
}

Row = tuple[Any, ...]


def ensure(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Create the output tables, empty, where they are missing."""
    warehouse.execute("create schema if not exists loyalty")
    for name in _TABLES:
        warehouse.execute(f"create table if not exists loyalty.{name} ({_columns(name)})")


def run(context: StepContext) -> dict[str, Any]:
    """Post every member's events, follow their tiers, and replace the tables of schema `loyalty`."""
    warehouse = context.warehouse
    warehouse.execute("create schema if not exists loyalty")
    for name in _TABLES:
        warehouse.execute(f"create or replace table loyalty.{name} ({_columns(name)})")
    tiers = read_tiers(warehouse.execute(f"select * from {_TIERS} order by audience, tier_rank").to_arrow_table())
    parts = -(-sql.count(warehouse, _EVENTS) // EVENTS_PER_PART)
    for part in range(parts):
        found = _Rows()
        for member in _members(warehouse, part, parts):
            _follow(member, tiers, context.as_of, found)
        for name, rows in found.tables.items():
            _append(warehouse, name, rows)
    refused = "loyalty.verdicts where outcome = 'refused'"
    counted = {"members": "loyalty.members", "entries": "loyalty.entries", "refused": refused}
    return {name: sql.count(warehouse, relation) for name, relation in counted.items()}


@dataclass(frozen=True)
class _Member:
    """One customer's loyalty history."""

    key: str
    audience: str
    events: Sequence[Event]
    spend: Sequence[Change]


@dataclass
class _Rows:
    """Rows of the output tables, by table."""

    tables: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))


def read_tiers(seed: pa.Table) -> Mapping[str, Sequence[Tier]]:
    """The tiers by audience.

    Raises:
        UnusableInput: an audience lacks its lowest tier, or its ranks and thresholds contradict each other.
    """
    found: dict[str, list[Tier]] = defaultdict(list)
    for row in seed.to_pylist():
        scale = 100 if row["basis"] == "spend" else 1
        found[row["audience"]].append(
            Tier(
                name=row["tier"],
                rank=row["tier_rank"],
                basis=row["basis"],
                threshold=int(row["threshold"] * scale),
                review_months=row["review_months"],
                grace_days=row["grace_days"],
            )
        )
    for audience, tiers in found.items():
        _check(audience, sorted(tiers, key=lambda tier: tier.rank))
    return found


def _check(audience: str, tiers: Sequence[Tier]) -> None:
    where = f"seeds/policy/loyalty_tiers.csv, audience {audience}"
    if tiers[0].rank != 0 or tiers[0].threshold != 0:
        raise UnusableInput(f"{where}: no tier of rank 0 and threshold 0. Add the one that everybody has.")
    for lower, higher in pairwise(tiers):
        if lower.rank == higher.rank:
            raise UnusableInput(
                f"{where}: {lower.name} and {higher.name} have the rank {lower.rank}. Give each its own."
            )
        if lower.basis == higher.basis and higher.threshold <= lower.threshold:
            raise UnusableInput(
                f"{where}: {higher.name} ranks above {lower.name} and its threshold doesn't. Raise it, or swap them."
            )


def _follow(member: _Member, tiers: Mapping[str, Sequence[Tier]], as_of: date, found: _Rows) -> None:
    posting = post(member.events)
    days = {event.key: event.day for event in member.events}
    found.tables["verdicts"] += [
        (member.key, v.event, v.outcome, v.reason, v.applied, v.settled, v.unrecovered) for v in posting.verdicts
    ]
    joined = min((days[v.event] for v in posting.verdicts if v.outcome != "refused"), default=None)
    if joined is None:
        return
    found.tables["entries"] += [
        (member.key, n, e.event, e.kind, e.at, e.lot, e.points, e.left, e.balance)
        for n, e in enumerate(posting.entries, start=1)
    ]
    own_tiers = tiers.get(member.audience) or tiers["b2c"]
    qualifying = Qualifying([*_earned(posting), *member.spend], own_tiers)
    points, spend = qualifying.values(as_of)
    found.tables["members"].append((member.key, member.audience, joined, points, spend))
    found.tables["tier_stays"] += [
        (member.key, n, s.tier.name, s.tier.rank, s.since, s.until, s.cause, s.review_on, s.grace_until)
        for n, s in enumerate(stays(qualifying, joined, as_of), start=1)
    ]


def _earned(posting: Posting) -> Iterable[Change]:
    for one in posting.qualifications:
        if one.day < one.until:
            yield Change(one.day, points=one.points)
            yield Change(one.until, points=-one.points)


def _members(warehouse: duckdb.DuckDBPyConnection, part: int, parts: int) -> Iterable[_Member]:
    mine = f"hash(customer_key) % {parts} = {part}"
    spend: dict[str, list[Change]] = defaultdict(list)
    for key, day, until, cents in warehouse.execute(
        f"select customer_key, spent_on, counts_until, cents from {_SPEND} where {mine}"
    ).fetchall():
        if day < until:
            spend[key] += [Change(day, spend=cents), Change(until, spend=-cents)]
    events: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for key, audience, *event in warehouse.execute(f"""
        select customer_key, audience, event_key, event_type, points, occurred_at, occurred_date, counts_until,
            expires_at, order_key
        from {_EVENTS} where {mine}
    """).fetchall():
        events[key, audience].append(Event(*event))
    for (key, audience), own in events.items():
        yield _Member(key, audience, own, spend.get(key, []))


def _append(warehouse: duckdb.DuckDBPyConnection, name: str, rows: Sequence[Row]) -> None:
    columns = _TABLES[name]
    values = zip(*rows, strict=True)
    arrays = [pa.array(column, _ARROW[kind]) for column, kind in zip(values, columns.values(), strict=True)]
    warehouse.register("loyalty_rows", pa.table(dict(zip(columns, arrays, strict=True))))
    try:
        warehouse.execute(f"insert into loyalty.{name} select * from loyalty_rows")
    finally:
        warehouse.unregister("loyalty_rows")


def _columns(name: str) -> str:
    return ", ".join(f"{column} {kind}" for column, kind in _TABLES[name].items())

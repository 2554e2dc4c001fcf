"""Rows that nobody could want, at a stated rate: each is an extra, damaged copy, so the truth stays what it was.

Which damage a table can suffer follows from the contract; a few kinds belong to one table only. Every kind's fate is
known: `quarantined` (can't be read or related), `duplicate`, or `refused` (readable, but a later rule must object).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ritorno.simulate.columns import ARROW_TYPES, as_plain_text, contract

QUARANTINED, DUPLICATE, REFUSED = "quarantined", "duplicate", "refused"

DATE_COLUMN: Mapping[str, str] = {
    "orders": "ordered_at", "refunds": "refunded_at", "payments": "paid_at", "customers": "created_at",
    "consents": "occurred_at", "interactions": "occurred_at", "subscription_events": "occurred_at",
    "support_tickets": "opened_at", "reviews": "created_at", "loyalty_events": "occurred_at", "referrals": "invited_at",
}  # fmt: skip
NUMBER_COLUMN: Mapping[str, str] = {
    "orders": "total", "order_items": "quantity", "refunds": "amount", "payments": "amount", "nps_responses": "score",
    "reviews": "rating", "loyalty_events": "points",
}  # fmt: skip
NULL_COLUMN: Mapping[str, str] = {
    "orders": "order_id", "order_items": "product_id", "refunds": "refund_id", "payments": "payment_id",
    "customers": "customer_id", "crm_contacts": "contact_id", "consents": "channel", "interactions": "type",
    "support_tickets": "ticket_id", "nps_responses": "response_id", "loyalty_events": "event_id",
    "referrals": "referee_email", "campaign_assignments": "arm",
}  # fmt: skip
WITHOUT_DUPLICATES = frozenset({"consents", "campaign_assignments"})
"""No key of their own: the same content twice is two rows."""
SPECIAL: Mapping[str, tuple[tuple[str, str, str, Any], ...]] = {
    # kind, fate, column, value
    "orders": (("unknown_currency", REFUSED, "currency", "XTS"),),
    "nps_responses": (("invalid_score", REFUSED, "score", 42),),
    "loyalty_events": (("overdraft", REFUSED, "points", -999_999),),
    "subscription_events": (("unknown_type", REFUSED, "type", "teleported"),),
}
BAD_DATES = ("31.02.2024 10:00", "yesterday", "2024-13-45T00:00:00Z", "n/a")
BAD_NUMBERS = ("12,5o", "1.234,56", "abc", "--")


def kinds_of(table: str) -> tuple[tuple[str, str], ...]:
    """The kinds of dirt a table suffers, with their fates."""
    declared = contract()[table]
    kinds = [("duplicate", DUPLICATE)] if declared.key and table not in WITHOUT_DUPLICATES else []
    kinds += [("bad_date", QUARANTINED)] if table in DATE_COLUMN else []
    kinds += [("bad_number", QUARANTINED)] if table in NUMBER_COLUMN else []
    kinds += [("null_required", QUARANTINED)] if table in NULL_COLUMN else []
    kinds += [("orphan", QUARANTINED)] if declared.parent else []
    kinds += [(kind, fate) for kind, fate, _, _ in SPECIAL.get(table, ())]
    return tuple(kinds)


def text_columns(table: str) -> tuple[str, ...]:
    """Columns that must be text to hold what can't be read."""
    return tuple(column for columns in (DATE_COLUMN, NUMBER_COLUMN) if (column := columns.get(table)))


@dataclass
class Dirt:
    """Adds dirty rows and counts them; kinds take turns, so that all appear as soon as there are enough rows."""

    rate: float
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    turns: Counter[str] = field(default_factory=Counter)
    owed: dict[str, float] = field(default_factory=dict)

    def spoil(self, table: str, rows: pa.Table, rng: np.random.Generator) -> pa.Table:
        """The rows and their dirty copies, with the columns as text that need to be."""
        if self.rate <= 0:
            return rows
        kinds = kinds_of(table)
        wanted = rows.num_rows * self.rate + self.owed.get(table, 0.0)
        # a batch never gets more than four in a hundred: that would be a poisoned one, not a dirty one
        n = min(int(wanted), int(rows.num_rows * 0.04)) if rows.num_rows else 0
        self.owed[table] = min(wanted - n, 50.0)
        clean = as_text(table, rows)
        if not n or not kinds:
            return clean
        turn = self.turns[table]
        self.turns[table] += n
        chosen = np.sort(rng.choice(rows.num_rows, n, replace=False))
        parts = [clean]
        for k, (kind, fate) in enumerate(kinds):
            mine = chosen[(np.arange(n) + turn) % len(kinds) == k]
            if len(mine):
                parts.append(_damage(table, kind, clean.take(pa.array(mine)), self.counts[(table, kind, fate)]))
                self.counts[(table, kind, fate)] += len(mine)
        return pa.concat_tables(parts)


def as_text(table: str, rows: pa.Table) -> pa.Table:
    """The same rows with the columns that dirt may strike as text."""
    for column in text_columns(table):
        at = rows.schema.get_field_index(column)
        values = rows.column(at)
        if not pa.types.is_string(values.type):
            rows = rows.set_column(at, column, as_plain_text(values))
    return rows


def _replace(rows: pa.Table, column: str, values: pa.Array) -> pa.Table:
    at = rows.schema.get_field_index(column)
    return rows.set_column(at, column, pc.cast(values, rows.schema.field(at).type))


def _damage(table: str, kind: str, rows: pa.Table, serial: int) -> pa.Table:
    if kind == "duplicate":
        return rows
    n = rows.num_rows
    declared = contract()[table]
    if len(declared.key) == 1 and ARROW_TYPES["string"] == rows.schema.field(declared.key[0]).type:
        # a key of its own: the damaged copy is another row, not another version
        rows = _replace(rows, declared.key[0], pa.array([f"dirt-{kind}-{serial + i}" for i in range(n)]))
    turn = (np.arange(n) + serial) % 4
    if kind == "bad_date":
        return _replace(rows, DATE_COLUMN[table], pa.array([BAD_DATES[t] for t in turn]))
    if kind == "bad_number":
        return _replace(rows, NUMBER_COLUMN[table], pa.array([BAD_NUMBERS[t] for t in turn]))
    if kind == "null_required":
        return _replace(rows, NULL_COLUMN[table], pa.nulls(n, pa.string()))
    if kind == "orphan":
        assert declared.parent is not None
        return _replace(rows, declared.parent[0], pa.array([f"nobody-{serial + i}" for i in range(n)]))
    column, value = next((c, v) for k, _, c, v in SPECIAL[table] if k == kind)
    if kind == "unknown_currency":
        # an order that would count, so that its currency is all there is to object to
        for name, plain in (("status", "paid"), ("is_test", False), ("cancelled_at", None), ("deleted_at", None)):
            rows = _replace(rows, name, pa.array([plain] * n, rows.schema.field(name).type))
    if kind == "overdraft":
        rows = _replace(rows, "type", pa.array(["redeem"] * n))
    return _replace(rows, column, pa.array([str(value)] * n))


def rows_of(counts: Counter[tuple[str, str, str]]) -> dict[str, Any]:
    """The counts as the columns of the truth table."""
    keys = sorted(counts)
    return {
        "table": pa.array([k[0] for k in keys], pa.string()),
        "kind": pa.array([k[1] for k in keys], pa.string()),
        "fate": pa.array([k[2] for k in keys], pa.string()),
        "rows": pa.array([counts[k] for k in keys], pa.int64()),
    }

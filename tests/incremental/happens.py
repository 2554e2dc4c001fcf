"""What happens to landed rows between two refreshes, for the tests that refresh again and again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from tests.incremental.shop import Warehouse

Raw = dict[str, list[dict[str, Any]]]


@dataclass
class Landed:
    """What stands landed, and how late it is: a later version of a row needs a later `updated_at`."""

    raw: Raw = field(
        default_factory=lambda: {
            name: []
            for name in (
                "orders", "order_items", "refunds", "payments", "customers", "exchange_rates", "identity_overrides"
            )
        }
    )  # fmt: skip
    versions: int = 0

    def add(self, table: str, **row: Any) -> None:
        """A row, in a batch of its own."""
        self.versions += 1
        stamp = datetime(2024, 1, 1) + timedelta(minutes=self.versions)
        place = {"_ritorno_batch": self.versions, "_ritorno_line": 2}
        self.raw[table].append({"updated_at": stamp, **row, **place})


Change = Callable[[Landed], None]


def nothing(landed: Landed) -> None:
    """Only time passes."""


def added(table: str, **row: Any) -> Change:
    """A row that lands."""
    return lambda landed: landed.add(table, **row)


def without(table: str, **key: Any) -> Change:
    """Rows that are gone, as a forgotten file's."""

    def change(landed: Landed) -> None:
        kept = [row for row in landed.raw[table] if any(row.get(name) != value for name, value in key.items())]
        assert len(kept) < len(landed.raw[table])
        landed.raw[table] = kept

    return change


def rewritten(table: str, key: Mapping[str, Any], **values: Any) -> Change:
    """Rows that are written over where they stand, as an erasure does it."""

    def change(landed: Landed) -> None:
        found = [row for row in landed.raw[table] if all(row.get(name) == value for name, value in key.items())]
        assert found
        for row in found:
            row.update(values)

    return change


@dataclass(frozen=True)
class Case:
    """One reason.

    Attributes:
        change: what happens.
        days: by how many as-of moves.
        model: where the reason stands, `found` in its SQL; `put` instead, the reason is forgotten.
        until: the first table that shows it.
        is_about_people: who is who is to be worked out again.
    """

    change: Change
    days: int
    model: str
    found: str
    put: str
    until: str
    is_about_people: bool = False


def agrees_after_each(
    days: Sequence[tuple[Sequence[Change], int, str | None]], warehouse: Warehouse, landed: Landed, as_of: date
) -> None:
    """Refresh after what happens, by how many days as-of moves, killed before a model; compare with a full one."""
    for happened, step, killed_before in days:
        for change in happened:
            change(landed)
        as_of += timedelta(days=step)
        warehouse.refresh(landed.raw, as_of, killed_before=killed_before)
        if killed_before is None:
            assert (found := warehouse.differences(as_of)) == {}, found
    warehouse.refresh(landed.raw, as_of)
    assert (found := warehouse.differences(as_of)) == {}, found

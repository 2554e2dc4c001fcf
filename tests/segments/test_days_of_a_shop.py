"""From raw orders to membership over days, with the state store in between: the SQL and steps that ship."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ritorno.home import Home
from ritorno.segments import store
from tests.support import Project

MARTS = ("segment_membership", "segment_history", "segment_sizes", "segment_exclusions")
EMAIL, PHONE = "anna@example.org", "+4930123456"
DAY_1, DAY_2, DAY_5 = date(2026, 6, 27), date(2026, 6, 28), date(2026, 7, 1)


def raw(*more: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Anna is at risk from 27 June on, with 90 days of silence; Ben ordered in June; Tess only tested."""
    people = [("anna", EMAIL, PHONE), ("ben", "ben@example.org", None), ("tess", "tess@example.org", None)]
    orders = [("1", "anna", "2026-03-28", False), ("2", "ben", "2026-06-01", False), ("3", "tess", "2026-01-01", True)]
    return {
        "customers": [
            {"customer_id": name, "email": email, "phone": phone, "created_at": "2026-01-01T09:00:00Z"}
            for name, email, phone in people
        ],
        "orders": [
            {"order_id": number, "customer_id": name, "ordered_at": f"{day}T10:00:00Z", "total": "50",
             "currency": "EUR", "status": "paid", "is_test": test}
            for number, name, day, test in orders
        ] + list(more),
    }  # fmt: skip


BACK = {"order_id": "4", "customer_id": "anna", "ordered_at": "2026-06-28T10:00:00Z", "total": "10", "currency": "EUR",
        "status": "paid"}  # fmt: skip


class Shop:
    """A home whose warehouse is built anew every day, as after a loss, while the state stays."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder).ensure()
        self.project = replace(Project.compile(lifecycle_method="fixed"), home=self.home)

    def refresh(self, day: date, given: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
        self.home.warehouse.unlink(missing_ok=True)
        with duckdb.connect(str(self.home.warehouse), config={"threads": 1}) as con:
            con.execute("set timezone = 'UTC'")
            self.project.load_raw(con, given)
            self.project.run(con, *MARTS, as_of=day)
            found = {mart: self.project.query(con, f"select * from marts.{mart} order by all") for mart in MARTS}
            self.values = [
                str(value)
                for schema, table in con.execute(
                    "select schema_name, table_name from duckdb_tables() "
                    "where schema_name in ('segments', 'segment_state') or table_name like 'segment%'"
                ).fetchall()
                for row in con.execute(f'select * from "{schema}"."{table}"').fetchall()
                for value in row
            ]
        self.saved = store.save(self.home, day, f"run-{day}")
        return found

    def state(self) -> dict[str, list[tuple[Any, ...]]]:
        with duckdb.connect(str(self.home.state), read_only=True) as con:
            tables = ("segments.stay", "segments.size", "segments.run")
            return {table: con.execute(f"select * from {table} order by all").fetchall() for table in tables}


def at_risk(found: dict[str, list[dict[str, Any]]]) -> list[tuple[bool, date]]:
    rows = [row for row in found["segment_membership"] if row["segment"] == "at_risk"]
    return [(row["in_grace"], row["entered_on"]) for row in rows]


@pytest.mark.slow
def test_days_of_a_shop_with_a_repeat_a_gap_and_a_look_back(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    first = shop.refresh(DAY_1, raw())
    assert at_risk(first) == [(False, DAY_1)]
    assert {row["customer_key"] for row in first["segment_membership"] if row["segment"] == "at_risk_today"}

    # Anna buys again: the definition means her no longer, grace keeps her. A repeat of the day changes nothing.
    second = shop.refresh(DAY_2, raw(BACK))
    assert at_risk(second) == [(True, DAY_1)]
    before = shop.state()
    assert shop.refresh(DAY_2, raw(BACK)) == second
    after = shop.state()
    assert {name: after[name] for name in ("segments.stay", "segments.size")} == {
        name: before[name] for name in ("segments.stay", "segments.size")
    }

    # Two days without a run; then grace, which began on the second day, is over.
    last = shop.refresh(DAY_5, raw(BACK))
    assert at_risk(last) == []
    stay = next(row for row in last["segment_history"] if row["segment"] == "at_risk")
    assert (stay["entered_on"], stay["left_on"], stay["exit_kind"]) == (DAY_1, DAY_5, "no_longer_eligible")

    # A look back at the first day finds it as it was, and writes nothing.
    before = shop.state()
    assert shop.refresh(DAY_1, raw()) == first
    assert shop.saved is None
    assert shop.state() == before

    # Neither an address nor Tess anywhere.
    text = "\n".join(shop.values + [str(value) for rows in before.values() for row in rows for value in row])
    assert len(shop.values) > 50
    assert not re.search(r"@|\+49|30123456|anna|tess", text)

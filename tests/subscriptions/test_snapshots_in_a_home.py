"""A shop that keeps no log: what three daily refreshes of a whole home make of a table that only knows today."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ritorno.home import Home
from ritorno.publishing import FILE_FOR_BI

pytestmark = pytest.mark.soak  # six refreshes: half of what all other tests cost together

COLUMNS = ("subscription_id", "customer_id", "status", "started_at", "price", "interval", "pause_start", "cancelled_at")


class Shop:
    """A home whose raw folder holds an order and today's subscriptions."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root / "home")
        self.raw = root / "raw"
        self.raw.mkdir()
        (self.raw / "orders.csv").write_text(
            "order_id,customer_id,ordered_at,total\no-1,c-1,2024-02-01T10:00:00Z,20.00\n", encoding="utf-8"
        )

    def refresh(self, as_of: str, rows: Sequence[Mapping[str, str]], *options: str, code: int = 0) -> str:
        with (self.raw / "subscriptions.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="")
            writer.writeheader()
            writer.writerows(rows)
        command = [sys.executable, "-c", "from ritorno.cli import main; main()", "refresh", "--raw", str(self.raw)]
        done = subprocess.run(
            [*command, "--as-of", as_of, *options],
            env={**os.environ, "RITORNO_HOME": str(self.home.root), "COLUMNS": "200"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def states(self) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.home.published / FILE_FOR_BI), read_only=True) as con:
            return con.execute(
                "select subscription_key, state, cast(valid_from as date), cast(valid_to as date), mrr, is_inferred "
                "from marts.subscription_states order by subscription_key, valid_from"
            ).fetchall()

    def history(self) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.home.state), read_only=True) as con:
            return con.execute(
                "select subscription_id, today_status, price, cast(dbt_valid_from as date), cast(dbt_valid_to as date) "
                "from snapshots.subscriptions_history order by subscription_id, dbt_valid_from"
            ).fetchall()


def row(number: int, status: str, price: str = "10.00", **more: str) -> dict[str, str]:
    base = {"subscription_id": f"s-{number}", "customer_id": "c-1", "status": status, "price": price}
    return {**base, "interval": "month", "started_at": "2024-02-01T10:00:00Z", **more}


def test_daily_refreshes_make_a_history_that_outlives_the_warehouse_and_repeats_and_looks_back(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    first = [row(1, "active"), row(2, "active"), row(3, "active")]
    shop.refresh("2024-03-01", first)
    # a day is looked at twice: what the first look saw never was
    shop.refresh("2024-03-02", [row(1, "cancelled"), row(2, "active", "99.00"), row(3, "active")])
    second = [row(1, "paused", pause_start="2024-03-02T09:00:00Z"), row(2, "active", "12.00"), row(3, "active")]
    shop.refresh("2024-03-02", second)
    day1, day2 = date(2024, 3, 1), date(2024, 3, 2)
    assert shop.history() == [
        ("s-1", "active", 10, day1, day2),
        ("s-1", "paused", 10, day2, None),
        ("s-2", "active", 10, day1, day2),
        ("s-2", "active", 12, day2, None),
        ("s-3", "active", 10, day1, None),
    ]
    as_of_second = shop.states()

    # a run that a check stops leaves nothing behind: here more of the rows than quarantine_limit can't be read
    broken = [{**r, "price": "much"} for r in second]
    before = shop.history()
    shop.refresh("2024-03-03", broken, code=1)
    assert shop.history() == before
    assert shop.states() == as_of_second

    shop.home.warehouse.unlink()
    shop.refresh("2024-03-03", [row(1, "active"), row(2, "active", "12.00")])
    begun = date(2024, 2, 1)
    assert shop.states() == [
        ("files:s-1", "active", begun, date(2024, 2, 29), 10, True),
        ("files:s-1", "active", date(2024, 2, 29), day2, 10, False),
        ("files:s-1", "paused", day2, day2, 0, False),
        ("files:s-1", "active", day2, None, 10, False),
        ("files:s-2", "active", begun, date(2024, 2, 29), 10, True),
        ("files:s-2", "active", date(2024, 2, 29), day1, 10, False),
        ("files:s-2", "active", day1, None, 12, False),
        ("files:s-3", "active", begun, date(2024, 2, 29), 10, True),
        ("files:s-3", "active", date(2024, 2, 29), day2, 10, False),
        ("files:s-3", "cancelled", day2, None, 0, True),
    ]  # seen changes begin with the business day: 23:00 UTC of the day before

    # looking back: the table as it was known then, though today's is another; and nothing is written
    kept = shop.history()
    shop.refresh("2024-03-02", [row(1, "active"), row(2, "active", "12.00")], "--backdate")
    assert shop.states() == as_of_second
    assert shop.history() == kept

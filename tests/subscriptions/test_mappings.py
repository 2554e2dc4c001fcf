"""Every mapping of docs/mappings, run: a system's own fields, its staging SQL, and the states they come to."""

from __future__ import annotations

from datetime import date
from typing import Any

import duckdb
import pytest

from ritorno.home import PROJECT_ROOT
from tests.subscriptions.test_against_oracle import GIVEN
from tests.support import Project

FOLDER = PROJECT_ROOT / "docs" / "mappings"


def d(month: int, day: int) -> date:
    return date(2024, month, day)


EXPECTED = {
    "stripe": [
        ("trialing", d(1, 1), 0), ("active", d(1, 15), 10), ("paused", d(2, 1), 0), ("active", d(3, 1), 12),
        ("past_due", d(3, 11), 12), ("active", d(3, 12), 12), ("cancelled", d(3, 21), 0),
    ],
    "recharge": [
        ("active", d(1, 1), 10), ("past_due", d(3, 1), 10), ("active", d(3, 3), 10), ("paused", d(3, 5), 0),
        ("active", d(3, 12), 10), ("cancelled", d(3, 20), 0), ("active", d(3, 25), 10),
    ],
    "recurly": [
        ("active", d(1, 1), 10), ("paused", d(2, 1), 0), ("active", d(2, 10), 10), ("past_due", d(2, 15), 10),
        ("active", d(2, 16), 10), ("cancelled", d(3, 10), 0),
    ],
    "chargebee": [
        ("trialing", d(1, 1), 0), ("active", d(1, 15), 10), ("paused", d(2, 5), 0), ("active", d(2, 20), 10),
        ("cancelled", d(3, 10), 0), ("active", d(3, 15), 10),
    ],
    "woocommerce": [
        ("active", d(1, 1), 10), ("past_due", d(2, 1), 10), ("active", d(2, 3), 10), ("paused", d(2, 10), 0),
        ("active", d(2, 25), 10), ("cancelled", d(3, 10), 0),
    ],
    "killbill": [
        ("trialing", d(1, 1), 0), ("active", d(1, 15), 10), ("paused", d(2, 10), 0), ("active", d(2, 25), 10),
        ("cancelled", d(3, 10), 0),
    ],
}  # fmt: skip


def mapped(system: str, as_of: str) -> tuple[Project, Any]:
    """The warehouse of a shop whose subscriptions are these."""
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        con.execute((FOLDER / f"{system}.sql").read_text(encoding="utf-8"))
        raw = {name: Project.query(con, f"from {name}") for name in ("subscriptions", "subscription_events")}
    project = Project.compile()
    warehouse = project.connect(raw)
    for name, (types, rows) in GIVEN.items():
        project.give(warehouse, name, types, rows)
    project.run(
        warehouse, "subscription_states", "int_subscriptions__quarantined_events", as_of=as_of, given=GIVEN
    )  # fmt: skip
    return project, warehouse


def test_every_system_has_its_example() -> None:
    assert {path.stem for path in FOLDER.glob("*.sql")} == set(EXPECTED)


@pytest.mark.parametrize("system", sorted(EXPECTED))
def test_a_systems_own_fields_come_to_the_states_they_mean(system: str) -> None:
    project, con = mapped(system, "2024-03-31")
    found: list[tuple[Any, ...]] = []
    for row in project.query(con, "from marts.subscription_states order by valid_from"):
        if not found or (found[-1][0], found[-1][2]) != (row["state"], row["mrr"]):
            found.append((row["state"], row["valid_from"].date(), row["mrr"]))
    assert found == EXPECTED[system]
    assert project.query(con, "from intermediate.int_subscriptions__quarantined_events") == []


def test_stripes_pause_is_known_although_its_status_says_active() -> None:
    project, con = mapped("stripe", "2024-02-15")
    (row,) = project.query(con, "from marts.subscription_states where valid_to is null")
    assert (row["state"], row["paused_mrr"]) == ("paused", 10)

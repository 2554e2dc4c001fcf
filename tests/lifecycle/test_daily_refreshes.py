"""On data without late rows, cancellations and refunds, each day's own refresh already said who became at risk."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import date, timedelta
from typing import Any

from tests.support import Project

START = date(2023, 1, 1)
DAYS = 240
POLICY: dict[str, Any] = {
    "at_risk_after_days": 20,
    "lapsed_after_days": 40,
    "percentile_min_history_days": 60,
    "percentile_min_gaps": 20,
    "registered_at_risk_after_days": 10,
    "registered_lapsed_after_days": 25,
}


def shop() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(orders, customers), some of whom only registered; every row stamped with the instant it became known."""
    chance = random.Random(7)
    orders: list[dict[str, Any]] = []
    customers: list[dict[str, Any]] = []
    for number in range(40):
        day = chance.randrange(DAYS)
        customers.append({"customer_id": f"c{number}", "created_at": f"{START + timedelta(days=day)} 09:00:00"})
        while number % 4 and day < DAYS:
            orders.append(
                {
                    "order_id": f"o{len(orders)}",
                    "customer_id": f"c{number}",
                    "ordered_at": f"{START + timedelta(days=day)} 11:00:00",
                    "total": "10.00",
                }
            )
            day += 1 + int(chance.expovariate(1 / 18))
    return orders, customers


def entrants(project: Project, as_of: date) -> dict[date, set[tuple[str, str]]]:
    """Day → (customer, state) of those who became at risk, as one refresh of `as_of` tells it."""
    orders, customers = shop()
    landed = {
        "orders": [row for row in orders if row["ordered_at"][:10] <= str(as_of)],
        "customers": [row for row in customers if row["created_at"][:10] <= str(as_of)],
    }
    con = project.connect(landed)
    project.run(con, "lifecycle_history", as_of=as_of)
    found: dict[date, set[tuple[str, str]]] = defaultdict(set)
    sql = "select valid_from, customer_key, state from marts.lifecycle_history where state like '%at_risk'"
    for day, customer, state in con.execute(sql).fetchall():
        found[day].add((customer, state))
    return found


def test_daily_refreshes_name_the_entrants_that_one_refresh_at_the_end_reports() -> None:
    """Days sampled from the last two thirds, where thresholds change from fixed to percentiles and on."""
    project = Project.compile(**POLICY)
    at_the_end = entrants(project, START + timedelta(days=DAYS))
    busy = sorted(day for day in at_the_end if day >= START + timedelta(days=DAYS // 3))
    sampled = [*random.Random(3).sample(busy, 4), START + timedelta(days=DAYS // 2)]
    assert {day: entrants(project, day)[day] for day in sampled} == {day: at_the_end[day] for day in sampled}

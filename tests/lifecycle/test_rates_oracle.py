"""retention_rates against loops over days, customers and periods, written from METRICS.md (Rates) alone."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support import Project
from tests.support.examples import many

START = date(2023, 1, 10)
AT_RISK, LAPSED = 20, 40
GIVEN = (
    "int_customers__order_days",
    "int_identity__customers",
    "int_customers__first_category",
    "int_subscriptions__live_spans",
    "int_engagement__interaction_days",
)
TYPES: Mapping[str, Mapping[str, str]] = {
    "int_customers__order_days": {
        "customer_key": "varchar",
        "order_date": "date",
        "previous_order_date": "date",
        "orders": "bigint",
        "net_revenue": "decimal(18,2)",
    },
    "int_identity__customers": {
        "customer_key": "varchar",
        "account_type": "varchar",
        "country": "varchar",
        "acquisition_channel": "varchar",
        "first_seen_at": "timestamp",
    },
    "int_customers__first_category": {"customer_key": "varchar", "first_category": "varchar"},
    "int_subscriptions__live_spans": {"customer_key": "varchar", "live_from": "date", "live_to": "date"},
    "int_engagement__interaction_days": {"customer_key": "varchar", "interaction_date": "date"},
}


@dataclass(frozen=True)
class Person:
    """Order days (day → orders, net revenue) and at most one time with a live subscription."""

    key: str
    country: str | None
    orders: Mapping[date, tuple[int, Decimal]]
    live: tuple[date, date | None] | None

    def since(self) -> date | None:
        """The first day as a buyer."""
        return min([*self.orders, *([self.live[0]] if self.live else [])], default=None)

    def is_live(self, day: date) -> bool:
        return self.live is not None and self.live[0] <= day and (self.live[1] is None or day < self.live[1])

    def stays(self, day: date) -> bool:
        """True if a buyer and not lapsed at the close of the day."""
        if self.is_live(day):
            return True
        silent_from = [d for d in self.orders if d <= day]
        if self.live and self.live[1] and self.live[1] <= day:
            silent_from.append(self.live[1])
        return bool(silent_from) and (day - max(silent_from)).days <= LAPSED


def offsets(limit: int) -> st.SearchStrategy[date]:
    return st.integers(0, limit).map(lambda n: START + timedelta(days=n))


@st.composite
def shops(draw: st.DrawFn) -> tuple[date, list[Person]]:
    length = draw(st.integers(30, 500))
    as_of = draw(offsets(length) | st.sampled_from([date(2023, 12, 31), date(2024, 2, 29), date(2024, 3, 31)]))
    limit = (as_of - START).days
    amounts = st.integers(-500, 5000).map(lambda n: Decimal(n) / 100)
    people = []
    for number in range(draw(st.integers(1, 7))):
        orders = draw(st.dictionaries(offsets(limit), st.tuples(st.integers(1, 3), amounts), max_size=8))
        live: tuple[date, date | None] | None = None
        if draw(st.integers(0, 3)) == 0:
            begin = draw(offsets(limit))
            end = begin + timedelta(days=draw(st.integers(1, 200)))
            live = (begin, end if end <= as_of else None)
        people.append(Person(f"c{number}", draw(st.sampled_from([None, "DE", "AT"])), orders, live))
    return as_of, people


def rows(project: Project, as_of: date, people: list[Person]) -> list[dict[str, Any]]:
    """The mart for these people."""
    con = project.connect({})
    values: dict[str, list[dict[str, Any]]] = {name: [] for name in GIVEN}
    for p in people:
        before: date | None = None
        for day, (orders, net) in sorted(p.orders.items()):
            values["int_customers__order_days"].append(
                {
                    "customer_key": p.key,
                    "order_date": day,
                    "previous_order_date": before,
                    "orders": orders,
                    "net_revenue": net,
                }
            )
            before = day
        values["int_identity__customers"].append(
            {"customer_key": p.key, "account_type": "b2c", "country": p.country, "first_seen_at": f"{START} 12:00:00"}
        )
        if p.live:
            values["int_subscriptions__live_spans"].append(
                {"customer_key": p.key, "live_from": p.live[0], "live_to": p.live[1]}
            )
    for name in GIVEN:
        project.give(con, name, TYPES[name], values[name])
    project.run(con, "retention_rates", as_of=as_of, given=GIVEN)
    return project.query(con, "select * from marts.retention_rates")


def start_of(kind: str, day: date) -> date:
    months = {"month": 1, "quarter": 3, "year": 12}[kind]
    return date(day.year, (day.month - 1) // months * months + 1, 1)


def next_start(kind: str, day: date) -> date:
    return start_of(kind, start_of(kind, day) + timedelta(days={"month": 32, "quarter": 95, "year": 370}[kind]))


def back_a_year(day: date) -> date:
    """The last day of the month twelve months before that of a month's last day."""
    return (day + timedelta(days=1)).replace(year=(day + timedelta(days=1)).year - 1) - timedelta(days=1)


def quotient(numerator: float | Decimal, denominator: float | Decimal) -> float | None:
    return float(numerator) / float(denominator) if denominator else None


def percentile(values: list[int], share: float) -> float | None:
    if not values:
        return None
    place = share * (len(values) - 1)
    low = int(place + 1e-9)
    high = min(low + 1, len(values) - 1)
    ordered = sorted(values)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def measured(people: list[Person], first: date, last: date, as_of: date, following: date | None) -> dict[str, Any]:
    """One period's row: days `first` to `last`; `following` is the last day of the next period, if there is one."""
    end = min(last, as_of)
    inside = {p.key: [d for d in p.orders if first <= d <= end] for p in people}
    s = {p.key for p in people if p.stays(first - timedelta(days=1))}
    e = {p.key for p in people if p.stays(end)}
    began = {p.key for p in people if (since := p.since()) is not None and first <= since <= end}
    n = e & began
    w = e - s - n
    lost = s - e
    buying = {key for key, days in inside.items() if days}
    counts = {p.key: sum(p.orders[d][0] for d in inside[p.key]) for p in people}
    net = sum((p.orders[d][1] for p in people for d in inside[p.key]), Decimal(0))
    repeat = {key for key in buying if counts[key] >= 2}
    again = {p.key for p in people if p.key in buying and following and any(last < d <= following for d in p.orders)}
    gaps = [(b - a).days for p in people for a, b in itertools.pairwise(sorted(p.orders)) if first <= b <= end]
    row: dict[str, Any] = {
        "customers_start": len(s),
        "customers_end": len(e),
        "became_buyers": len(began),
        "new_customers": len(n),
        "won_back": len(w),
        "lost": len(lost),
        "buying_customers": len(buying),
        "bought_again_next_period": len(again),
        "repeat_customers": len(repeat),
        "orders": sum(counts.values()),
        "net_revenue": net,
        "gaps": len(gaps),
        "retention_rate": quotient(len(e) - len(n) - len(w), len(s)),
        "retention_rate_incl_winbacks": quotient(len(e) - len(n), len(s)),
        "churn_rate": quotient(len(lost), len(s)),
        "repurchase_rate_next_period": quotient(len(again), len(buying)),
        "repeat_share": quotient(len(repeat), len(buying)),
        "repeat_ratio": quotient(len(repeat), len(buying - repeat)),
        "purchase_frequency": quotient(sum(counts.values()), len(buying)),
        "aov": quotient(net, sum(counts.values())),
        "mean_days_between_orders": statistics.mean(gaps) if gaps else None,
        "median_days_between_orders": statistics.median(gaps) if gaps else None,
        "p75_days_between_orders": percentile(gaps, 0.75),
        "p90_days_between_orders": percentile(gaps, 0.9),
    }
    firsts = [p for p in people if p.orders and first <= min(p.orders) <= end]
    for days in (30, 60, 90, 180):
        known = [p for p in firsts if (as_of - min(p.orders)).days >= days]
        second = [p for p in known if _days_to_second_order(p) <= days]
        row |= {f"followed_{days}d": len(known), f"second_order_{days}d": len(second)}
        row[f"second_order_rate_{days}d"] = quotient(len(second), len(known))
    return row


def _days_to_second_order(person: Person) -> float:
    days = sorted(day for day, (orders, _) in person.orders.items() for _ in range(orders))
    return (days[1] - days[0]).days if len(days) > 1 else float("inf")


def _cohort(person: Person) -> str:
    return f"{min(person.orders):%Y-%m}" if person.orders else "unknown"


RATIOS = (
    "retention_rate",
    "retention_rate_incl_winbacks",
    "churn_rate",
    "repurchase_rate_next_period",
    "repeat_share",
    "repeat_ratio",
    "purchase_frequency",
    "aov",
    "mean_days_between_orders",
    "median_days_between_orders",
    "p75_days_between_orders",
    "p90_days_between_orders",
    *(f"second_order_rate_{days}d" for days in (30, 60, 90, 180)),
)


def simple_clv(people: list[Person], closing: date, as_of: date, began: date) -> float | None:
    """AOV × orders per customer and year × 1 / lapse rate, of the twelve months up to `closing`."""
    before = back_a_year(closing)
    if before < began:
        return None
    year = measured(people, before + timedelta(days=1), closing, as_of, None)
    if not year["lost"] or not year["orders"]:
        return None
    return float(year["aov"] * year["purchase_frequency"] / year["churn_rate"])


def expected(as_of: date, people: list[Person]) -> dict[tuple[str, date, str, str], dict[str, Any]]:
    """Every row of the cuts `all`, `country` and `cohort_month`."""
    found: dict[tuple[str, date, str, str], dict[str, Any]] = {}
    cuts: list[tuple[str, str, Callable[[Person], bool]]] = [("all", "all", lambda p: True)]
    for country in {p.country for p in people}:
        cuts.append(("country", country or "unknown", lambda p, country=country: p.country == country))  # type: ignore[misc]
    for cohort in {_cohort(p) for p in people}:
        cuts.append(("cohort_month", cohort, lambda p, cohort=cohort: _cohort(p) == cohort))  # type: ignore[misc]
    everyone = [since for p in people if (since := p.since()) is not None]
    for cut, value, belongs in cuts:
        members = [p for p in people if belongs(p)]
        begins = [since for p in members if (since := p.since()) is not None]
        if not begins:
            continue
        for kind in ("month", "quarter", "year"):
            first = start_of(kind, min(begins))
            while first <= as_of:
                following = next_start(kind, first)
                last = following - timedelta(days=1)
                after = next_start(kind, following) - timedelta(days=1)
                row = measured(members, first, last, as_of, after)
                row["is_complete"] = last <= as_of
                row["simple_clv"] = simple_clv(members, last, as_of, min(begins))
                if not row["is_complete"]:
                    row |= dict.fromkeys(RATIOS) | {"simple_clv": None}
                if after > as_of:
                    row["repurchase_rate_next_period"] = None
                found[(kind, first, cut, value)] = row
                first = following
        overall = measured(members, min(everyone), as_of, as_of, None)
        closing = start_of("month", as_of + timedelta(days=1)) - timedelta(days=1)
        overall |= {
            "is_complete": True,
            "repurchase_rate_next_period": None,
            "simple_clv": simple_clv(members, closing, as_of, min(begins)),
        }
        found[("overall", start_of("month", min(everyone)), cut, value)] = overall
    return found


@pytest.fixture(scope="module")
def project() -> Project:
    return Project.compile(lifecycle_method="fixed", at_risk_after_days=AT_RISK, lapsed_after_days=LAPSED)


def _one_order(key: str, day: date) -> Person:
    return Person(key, None, {day: (1, Decimal(10))}, None)


@settings(max_examples=many(25), deadline=None, suppress_health_check=list(HealthCheck))
@given(shop=shops())
# lapsed from February's last day, and from the day after it: random days seldom meet a period's close
@example(shop=(date(2023, 4, 10), [_one_order("c0", date(2023, 1, 18)), _one_order("c1", date(2023, 1, 19))]))
@example(shop=(date(2023, 12, 31), [Person("c0", None, {}, (START, START + timedelta(days=1)))]))
def test_every_rate_of_every_period_is_the_oracles(project: Project, shop: tuple[date, list[Person]]) -> None:
    as_of, people = shop
    found = {
        (row["period_type"], row["period_start"], row["cut"], row["cut_value"]): row
        for row in rows(project, as_of, people)
        if row["cut"] in ("all", "country", "cohort_month")
    }
    wanted = expected(as_of, people)
    assert set(found) == set(wanted)
    for key, row in wanted.items():
        actual = {name: found[key][name] for name in row}
        assert actual == {k: pytest.approx(v, abs=1e-9) if isinstance(v, float) else v for k, v in row.items()}, key
        assert row["customers_start"] - row["lost"] + row["new_customers"] + row["won_back"] == row["customers_end"]


def _monthly(first: date, months: int) -> list[date]:
    days = [first]
    for _ in range(months - 1):
        days.append((days[-1].replace(day=1) + timedelta(days=32)).replace(day=first.day))
    return days


def test_trends_compare_with_the_period_before_and_the_same_a_year_before(project: Project) -> None:
    """One buyer all along, a second from the second year on: growth is relative, rates change by their difference."""
    one = Decimal(10)
    steady = Person("a", None, dict.fromkeys(_monthly(date(2023, 1, 15), 25), (1, one)), None)
    late = Person("b", None, dict.fromkeys(_monthly(date(2024, 1, 15), 13), (2, 2 * one)), None)
    found = {
        row["period_start"]: row
        for row in rows(project, date(2025, 1, 31), [steady, late])
        if row["period_type"] == "month" and row["cut"] == "all"
    }
    january = found[date(2024, 1, 1)]
    assert (january["customers_end_change_previous"], january["customers_end_change_last_year"]) == (1.0, 1.0)
    assert january["net_revenue_change_previous"] == pytest.approx(2.0)
    assert january["purchase_frequency_change_previous"] == pytest.approx(0.5)
    assert january["repeat_share_change_last_year"] == pytest.approx(0.5)
    assert found[date(2023, 1, 1)]["retention_rate_change_previous"] is None
    assert found[date(2025, 1, 1)]["net_revenue_change_last_year"] == pytest.approx(0.0)


def test_months_without_activity_are_rows_of_zeros_and_have_no_quotients(project: Project) -> None:
    person = Person("a", None, {date(2023, 1, 15): (1, Decimal(10))}, None)
    found = {
        row["period_start"]: row
        for row in rows(project, date(2023, 6, 30), [person])
        if row["period_type"] == "month" and row["cut"] == "all"
    }
    assert sorted(found) == [date(2023, month, 1) for month in range(1, 7)]
    june = found[date(2023, 6, 1)]
    assert (june["orders"], june["customers_start"], june["net_revenue"], june["gaps"]) == (0, 0, 0, 0)
    assert (june["aov"], june["retention_rate"], june["repeat_share"], june["is_complete"]) == (None, None, None, True)


def test_lifespan_can_be_the_observed_one() -> None:
    """Policy clv_lifespan: the mean time from first order to lapse, instead of one over the lapse rate."""
    observed = Project.compile(
        lifecycle_method="fixed", at_risk_after_days=AT_RISK, lapsed_after_days=LAPSED, clv_lifespan="observed"
    )
    steady = Person("a", None, dict.fromkeys(_monthly(date(2023, 1, 15), 14), (1, Decimal(10))), None)
    gone = Person("b", None, {date(2023, 1, 15): (1, Decimal(10)), date(2023, 2, 10): (1, Decimal(10))}, None)
    found = [
        row
        for row in rows(observed, date(2024, 1, 31), [steady, gone])
        if row["cut"] == "all" and row["period_start"] == date(2024, 1, 1) and row["period_type"] == "month"
    ]
    # lapsed on 2023-03-23, 67 days after the first order
    assert (found[0]["clv_lapses"], found[0]["clv_lapse_days"]) == (1, 67)
    assert found[0]["simple_clv"] == pytest.approx(10 * 13 / 2 * 67 / 365.25)

"""From raw events through the step to the marts, on the SQL that ships."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from tests.support import Project

MARTS = (
    "customer_nps", "nps", "loyalty_ledger", "customer_loyalty", "loyalty_tier_history", "customer_milestones",
    "loyalty_monthly", "referrals", "referral_rates",
)  # fmt: skip


@pytest.fixture(scope="module")
def project() -> Project:
    return Project.compile()


def test_without_their_sources_the_marts_are_empty_and_typed(project):
    con = project.connect({"orders": [{"order_id": "o1", "ordered_at": "2024-03-01T10:00:00Z", "total": "10"}]})
    project.run(con, *MARTS, "int_loyalty__checks", as_of="2024-03-31")
    for mart in (*MARTS, "int_loyalty__checks"):
        relation = project.relation(mart)
        assert con.execute(f"select count(*) from {relation}").fetchone() == (0,), mart
        types = {row[1] for row in con.execute(f"describe {relation}").fetchall()}
        assert types & {"BIGINT", "DATE"}, mart
        assert "INTEGER" not in types or mart != "loyalty_ledger"


def _earn(number, points, at, **columns):
    event = {"event_id": f"e{number}", "customer_id": "c1", "points": points, "type": "earn", "occurred_at": at}
    return event | columns


def test_a_member_from_raw_events_to_balance_tier_milestone_and_liability(project):
    raw = {
        "orders": [{"order_id": "o1", "ordered_at": "2024-01-10T10:00:00Z", "total": "300", "customer_id": "c1"}],
        "customers": [{"customer_id": "c1", "email": "ann@example.org", "created_at": "2024-01-01T00:00:00Z"}],
        "loyalty_events": [
            _earn(1, 300, "2024-01-10T10:00:00Z", order_id="o1", expires_at="2024-04-10T10:00:00Z"),
            _earn(2, 100, "2024-02-10T10:00:00Z", customer_id=None, email="ANN@example.org "),
            _earn(3, -120, "2024-02-20T10:00:00Z", type="redeem"),
            _earn(4, -9999, "2024-02-21T10:00:00Z", type="redeem"),
            _earn(5, 50, "2024-02-21T10:00:00Z", customer_id=None, email="nobody"),
            _earn(6, 50, "2024-04-02T10:00:00Z"),
        ],
    }
    con = project.connect(raw)
    project.run(con, "customer_loyalty", "loyalty_ledger", "int_loyalty__checks", as_of="2024-03-31")
    (member,) = project.query(con, f"select * from {project.relation('customer_loyalty')}")
    expected = {
        "balance": 280, "points_earned": 400, "points_redeemed": 120, "liability": Decimal("2.80"), "tier": "bronze",
        "qualifying_points": 400, "next_tier": "silver", "points_to_next_tier": 600, "expiring_30d": 180,
        "milestones_reached": 1, "next_milestone": "points_500", "next_milestone_remaining": Decimal("100.00"),
    }  # fmt: skip
    assert {name: member[name] for name in expected} == expected
    checks = project.query(con, f"select item, rows_failed from {project.relation('int_loyalty__checks')}")
    assert {"item": "more_than_balance", "rows_failed": 1} in checks
    assert {"item": "unknown_customer", "rows_failed": 1} in checks
    # a day later the lot is over: it ended by itself, and the ledger says so
    project.run(con, "customer_loyalty", "loyalty_ledger", as_of="2024-04-10")
    (member,) = project.query(con, f"select * from {project.relation('customer_loyalty')}")
    assert (member["balance"], member["points_expired"], member["next_expiry_date"]) == (150, 180, None)


def test_a_firm_rises_by_spend_is_reviewed_and_keeps_its_tier_for_the_days_of_grace(project):
    """B2B: silver_partner from 5,000.00 in twelve months, reviewed after a year, held 60 days more, then partner."""
    raw = {
        "customers": [
            {
                "customer_id": "f1",
                "email": "buyer@firm.example",
                "created_at": "2023-01-01T00:00:00Z",
                "account_type": "b2b",
            }
        ],
        "orders": [
            {"order_id": "o1", "ordered_at": "2023-01-10T10:00:00Z", "total": "4999.99", "customer_id": "f1"},
            {"order_id": "o2", "ordered_at": "2023-03-01T10:00:00Z", "total": "100", "customer_id": "f1"},
            {"order_id": "o3", "ordered_at": "2024-03-20T10:00:00Z", "total": "1200", "customer_id": "f1"},
        ],
        "loyalty_events": [_earn(1, 10, "2023-01-10T10:00:00Z", customer_id="f1", order_id="o1")],
    }

    def account(as_of: str) -> dict[str, object]:
        con = project.connect(raw)
        project.run(con, "customer_loyalty", "loyalty_monthly", as_of=as_of)
        (member,) = project.query(con, f"select * from {project.relation('customer_loyalty')}")
        cuts = project.query(
            con, f"select distinct cut, cut_value from {project.relation('loyalty_monthly')} order by 1"
        )
        assert cuts == [{"cut": "all", "cut_value": "all"}, {"cut": "audience", "cut_value": "b2b"}]
        return member

    def stands(as_of: str, **expected: object) -> None:
        member = account(as_of)
        assert {name: member[name] for name in expected} == expected, as_of

    # a cent is missing, so points don't help: a firm's tiers count spend
    stands("2023-02-28", audience="b2b", tier="partner", next_tier="silver_partner", points_to_next_tier=None,
           spend_to_next_tier=Decimal("0.01"), tier_basis="spend")  # fmt: skip
    stands("2023-03-01", tier="silver_partner", tier_cause="upgraded", tier_since=date(2023, 3, 1),
           qualifying_spend=Decimal("5099.99"), review_on=date(2024, 3, 1), next_tier="gold_partner",
           spend_to_next_tier=Decimal("19900.01"))  # fmt: skip
    # on the day of the review neither order counts any more: twelve months have passed
    stands("2024-03-01", tier="silver_partner", is_tier_earned=False, spend_to_keep_tier=Decimal("5000.00"),
           grace_until=date(2024, 4, 30))  # fmt: skip
    stands("2024-04-30", tier="silver_partner", is_tier_earned=False, spend_to_keep_tier=Decimal("3800.00"))
    stands("2024-05-01", tier="partner", tier_cause="downgraded", previous_tier="silver_partner",
           spend_to_next_tier=Decimal("3800.00"))  # fmt: skip

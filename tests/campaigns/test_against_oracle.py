"""The SQL that ships against plain Python written from METRICS.md, on campaigns nobody would run."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ritorno.experiments import records
from ritorno.home import Home
from tests.campaigns import oracle
from tests.campaigns.shop import POLICY, Assignment, Campaign, Order, Shop, Touch, at, run
from tests.support.examples import many

EXAMPLES = settings(max_examples=many(15), deadline=None, suppress_health_check=list(HealthCheck))
MODELS = ("int_campaigns__arms", "int_campaigns__credits", "campaign_results", "campaign_attribution")
ACCOUNTS = {"a0": "c0", "a1": "c1", "a2": "c2", "a2b": "c2", "a3": "c3", "a4": "c4"}  # a2 and a2b are one person

days = st.integers(0, 40)
# noon, and both sides of Berlin's midnight
instants = st.builds(at, days, st.sampled_from([12, 12, 22, 23]), st.sampled_from([0, 30]))
names = st.sampled_from(["summer", "winter", "summer", "unheard of"])
accounts = st.sampled_from([*ACCOUNTS, "nobody"])
amounts = st.sampled_from([Decimal("10.00"), Decimal("0.00"), Decimal("9.99"), Decimal("1234567.89")])
assignments = st.builds(Assignment, names, accounts, st.sampled_from(["holdout", "Control ", "a", "A", "b"]), instants)
orders = st.builds(
    Order,
    st.sampled_from(["c0", "c1", "c2", "c3", "c4", None]),
    instants,
    amounts,
    st.sampled_from([Decimal(0), Decimal("1.50")]),
)
touches = st.builds(
    Touch,
    accounts,
    instants,
    st.sampled_from(["summer", "winter", "unheard of", None]),
    st.sampled_from(["email", "Email", "sms", "push", "post"]),
    st.sampled_from(["opened", "clicked", "push_opened", "sent"]),
    st.sampled_from([False, False, None, True]),
)


@st.composite
def shops(draw: st.DrawFn) -> Shop:
    begin = draw(st.sampled_from([0, 5, 10, 39]))
    campaigns = [
        Campaign(
            "summer", at(begin, 8), at(begin + draw(st.sampled_from([5, 10, 20])), draw(st.sampled_from([12, 23])))
        ),
        Campaign("winter", draw(st.sampled_from([None, at(3)]))),
    ]
    assigned = draw(st.lists(assignments, min_size=4, max_size=14))
    # most orders lie where they are decided: at an assignment, at the windows' ends, hours after a touch
    near = [
        Order(
            ACCOUNTS.get(a.account),
            a.at + draw(st.sampled_from([0, 1, -1, 24 * 10, 24 * -20, 24 * 9])) * timedelta(hours=1),
        )
        for a in assigned
    ]
    touched = draw(st.lists(touches, max_size=8))
    # rivals for the same order: without them hardly any has two open windows, and "the last touch" is never decided
    sure = {"channel": "email", "kind": "clicked", "is_bot": False}
    for t in touched[:3]:
        for hours in draw(st.sampled_from([(0, 0), (0, 1), (-1, 23), (1, -1)])):
            rival = replace(
                t, at=t.at + hours * timedelta(hours=1), campaign=draw(st.sampled_from(["summer", "winter"]))
            )
            touched.append(replace(rival, **sure))
    near += [
        Order(ACCOUNTS.get(t.account), t.at + draw(st.sampled_from([0, 24, 120, 121, 25, -1])) * timedelta(hours=1))
        for t in touched
    ]
    bought = near + draw(st.lists(orders, max_size=8))
    as_of = date(2024, 1, 1) + timedelta(days=draw(st.sampled_from([20, 30, 45])))
    return Shop(as_of, campaigns, assigned, bought, touched, ACCOUNTS).until_as_of()


@EXAMPLES
@given(shops())
def test_every_sum_and_every_credit_is_the_oracles(shop):
    rows = run(shop, *MODELS)
    expected = oracle.arms(shop, POLICY)
    actual = {(row["campaign_key"].removeprefix("files:"), row["arm"]): row for row in rows["int_campaigns__arms"]}
    assert actual.keys() == expected.keys()
    for key, row in expected.items():
        found = {name: actual[key][name] for name in row}
        assert found == {
            n: pytest.approx(v, rel=1e-12, abs=1e-9) if isinstance(v, float) else v for n, v in row.items()
        }, key
    credits = {
        row["order_key"]: (row["campaign_key"].removeprefix("files:"), row["channel"], row["net_revenue"])
        for row in rows["int_campaigns__credits"]
    }
    assert len(rows["int_campaigns__credits"]) == len(credits)
    assert credits == oracle.credits(shop)
    _adds_up(rows, credits)


def _adds_up(rows, credits):
    for row in rows["campaign_attribution"]:
        mine = [
            net
            for (campaign, channel, net) in credits.values()
            if row["campaign_key"] == f"files:{campaign}" and row["channel"] in ("all", channel)
        ]
        if row["period_type"] == "overall":
            assert (row["attributed_orders"], row["attributed_revenue"]) == (len(mine), sum(mine, Decimal(0)))
    for kind in ("month", "overall"):
        for is_all in (True, False):
            total = sum(
                row["attributed_revenue"]
                for row in rows["campaign_attribution"]
                if row["period_type"] == kind and (row["channel"] == "all") is is_all
            )
            assert total == sum((net for _, _, net in credits.values()), Decimal(0))
    assert len(rows["campaign_results"]) == len(rows["int_campaigns__arms"])
    assert all(row["verdict"] and row["status"] for row in rows["campaign_results"])


@settings(EXAMPLES, max_examples=many(4))
@given(shops(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(shop: Shop, chance: random.Random):
    shuffled = replace(
        shop,
        campaigns=chance.sample(list(shop.campaigns), len(shop.campaigns)),
        assignments=chance.sample(list(shop.assignments), len(shop.assignments)),
    )
    models = ("campaign_results", "campaign_attribution")
    assert run(shop, *models) == run(shuffled, *models)


def test_without_campaigns_the_marts_are_empty_and_typed():
    assert run(Shop(date(2024, 1, 31)), "campaign_results", "campaign_attribution") == {
        "campaign_results": [],
        "campaign_attribution": [],
    }


def test_squares_of_millions_lose_no_cent():
    """Ten million and ten cents apart: a naive sum of squares in doubles would say 0, or worse."""
    people = {f"p{n}": f"p{n}" for n in range(4)}
    assigned = [Assignment("summer", key, "a", at(1)) for key in people]
    bought = [Order(key, at(2), Decimal("10000000.00") + n * Decimal("0.10")) for n, key in enumerate(people)]
    shop = Shop(date(2024, 1, 31), [], assigned, bought, [], people)
    (row,) = run(shop, "int_campaigns__arms")["int_campaigns__arms"]
    assert row["spend_squares"] == pytest.approx(0.05, rel=1e-12)


def test_experiments_on_segments_enter_the_same_results_with_their_own_plan(tmp_path):
    """What the audience engine recorded in the state store; the merged customer was put in both arms."""
    home = Home(tmp_path)
    with duckdb.connect(str(home.state)) as state:
        state.execute("create schema publish")
        state.execute(
            "create table publish.assignment (experiment varchar, customer_key varchar, bucket integer, arm varchar, "
            "assigned_at timestamp, run_id varchar)"
        )
        for key, arm in {"a0": "holdout", "a1": "gift", "a2": "gift", "a2b": "holdout", "gone": "gift"}.items():
            state.execute("insert into publish.assignment values ('thanks', ?, 1, ?, ?, 'r')", [key, arm, at(3)])
        state.execute("insert into publish.assignment values ('thanks', 'a3', 1, 'gift', ?, 'r')", [at(30)])
    shop = Shop(date(2024, 1, 20), [], [], [Order("c1", at(4))], [], ACCOUNTS, home)
    rows = {row["arm"]: row for row in run(shop, "campaign_results")["campaign_results"]}
    assert {key: (r["recorded"], r["contaminated"], r["unidentified"], r["assigned"]) for key, r in rows.items()} == {
        "holdout": (2, 1, 0, 1),
        "gift": (3, 1, 1, 1),
    }
    assert (rows["gift"]["campaign_key"], rows["gift"]["converters"]) == ("ritorno:thanks", 1)
    assert rows["gift"]["planned_share"] is None  # no segment declares it any more: nothing to hold it against
    assert rows["gift"]["method"] == "always_valid"


def test_a_segments_experiment_brings_its_end_and_shares():
    meta = {"segment": {"experiment": {"key": "thanks", "salt": "s", "arms": {"holdout": 0.1, "gift": 0.9},
                                       "metric": "conversion", "end_date": "2024-06-30"}}}  # fmt: skip
    manifest = {"nodes": {"m": {"name": "vip", "config": {"meta": meta}}, "n": {"name": "orders", "config": {}}}}
    assert list(records.definitions(manifest)) == [
        {"experiment": "thanks", "segment": "vip", "metric": "conversion", "end_date": date(2024, 6, 30),
         "arm": arm, "planned_share": share}
        for arm, share in (("holdout", 0.1), ("gift", 0.9))
    ]  # fmt: skip


def test_months_of_a_campaign_reach_from_the_first_touch_to_the_end_of_the_last_window():
    touch = Touch("a1", at(29), "summer")
    shop = Shop(date(2024, 2, 20), [Campaign("summer", at(0), at(40))], [], [Order("c1", at(30))], [touch], ACCOUNTS)
    rows = run(shop, "campaign_attribution")["campaign_attribution"]
    told = {
        (row["period_type"], row["order_month"], row["channel"]): (row["attributed_orders"], row["is_complete"])
        for row in rows
    }
    assert told == {
        ("month", date(2024, 1, 1), "all"): (1, True),
        ("month", date(2024, 1, 1), "email"): (1, True),
        ("month", date(2024, 2, 1), "all"): (0, False),
        ("month", date(2024, 2, 1), "email"): (0, False),
        ("overall", None, "all"): (1, True),
        ("overall", None, "email"): (1, True),
    }
    status = {row["incremental_status"] for row in rows if row["period_type"] == "overall" and row["channel"] == "all"}
    assert status == {"no_assignments"}


def test_the_whole_way_from_assignments_to_a_verdict_beside_the_attributed_revenue():
    """The glossary's worked example through the SQL and the step, run at the end and a day before it."""
    people = {f"h{n}": f"h{n}" for n in range(500)} | {f"v{n}": f"v{n}" for n in range(1000)}
    assigned = [Assignment("summer", key, "holdout" if key[0] == "h" else "gift", at(1)) for key in people]
    buyers = [f"h{n}" for n in range(40)] + [f"v{n}" for n in range(120)]
    bought = [Order(key, at(5), Decimal("93.75") if key[0] == "h" else Decimal("75.00")) for key in buyers]
    clicks = [Touch(f"v{n}", at(4), "summer") for n in range(30)]
    shop = Shop(date(2024, 1, 14), [Campaign("summer", at(0), at(10))], assigned, bought, clicks, people)
    plan = {
        "campaign_arm_shares": [("summer", "holdout", Decimal("0.333333")), ("summer", "gift", Decimal("0.666667"))]
    }
    rows = run(shop, "campaign_results", "campaign_attribution", seeds=plan)
    gift = next(row for row in rows["campaign_results"] if row["arm"] == "gift")
    assert (gift["status"], gift["method"], gift["is_sample_ratio_alarm"]) == ("better", "fixed_end", False)
    assert (gift["spend"], gift["spend_per_head"]) == (Decimal("9000.00"), 9.0)
    assert gift["conversion_p_value"] == pytest.approx(0.0180, abs=5e-5)
    assert (gift["incremental_revenue"], gift["incremental_orders"]) == (Decimal("1500.00"), pytest.approx(40))
    overall = next(r for r in rows["campaign_attribution"] if r["period_type"] == "overall" and r["channel"] == "all")
    assert (overall["attributed_orders"], overall["attributed_revenue"]) == (30, Decimal("2250.00"))
    assert (overall["incremental_revenue"], overall["incremental_status"]) == (Decimal("1500.00"), "better")
    day_before = run(replace(shop, as_of=date(2024, 1, 13)), "campaign_results", seeds=plan)["campaign_results"]
    gift = next(row for row in day_before if row["arm"] == "gift")
    # one order day is missing to the end (11 January + 3 days): nothing is concluded
    assert (gift["status"], gift["conversion_p_value"], gift["incremental_revenue"]) == ("running", None, None)
    unplanned = next(r for r in run(shop, "campaign_results")["campaign_results"] if r["arm"] == "gift")
    assert (unplanned["planned_share"], unplanned["status"]) == (0.8, "srm_alarm")
    assert unplanned["incremental_revenue"] is None

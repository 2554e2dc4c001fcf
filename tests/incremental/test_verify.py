"""What `ritorno verify` says: where two copies of the marts differ without telling who, and when it can't compare."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from ritorno import comparison, landing
from ritorno.dbt import DbtProject
from ritorno.errors import UnusableInput
from ritorno.home import Home
from ritorno.incremental import RUN, Decision, decision_in, policy_hash
from ritorno.policy import load_policy
from ritorno.run_log import RunLog
from ritorno.scratch import build
from ritorno.simulate import simulate
from ritorno.steps import STEPS
from ritorno.verify import STATE_STEPS, verify

AS_OF = date(2025, 6, 30)
ALWAYS = {"incremental": "always", "quarantine_limit": 0.9}


@pytest.fixture
def two() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    for side in ("a", "b"):
        con.execute(f"attach ':memory:' as {side}; create schema {side}.marts")
        con.execute(
            f"""
            create table {side}.marts.customers as
            select
                'k' || i as customer_key, 'anna' || i || '@example.org' as email, cast(i as decimal(18, 2)) as revenue,
                sqrt(i) as p_alive, date '2025-06-30' as as_of_date, 'run-{side}' as run_id
            from range(20) as t (i)
            """
        )
    return con


def _found(con: duckdb.DuckDBPyConnection) -> list[comparison.Difference]:
    return comparison.differences(con, ["customers"], "a.marts", "b.marts")


def test_equal_marts_are_equal_in_any_order_and_under_another_run_id(two: duckdb.DuckDBPyConnection) -> None:
    two.execute("create or replace table b.marts.customers as from b.marts.customers order by revenue desc")
    assert _found(two) == []


def test_a_float_may_differ_in_its_last_digits_and_nothing_else_may(two: duckdb.DuckDBPyConnection) -> None:
    two.execute("update b.marts.customers set p_alive = p_alive * (1 + 1e-12)")
    assert _found(two) == []
    two.execute("update b.marts.customers set p_alive = p_alive * 1.01 where customer_key = 'k7'")
    assert [(one.rows, one.other_rows, one.columns) for one in _found(two)] == [(1, 1, ("p_alive",))]


def test_a_cent_is_told_with_column_and_key_and_no_address(two: duckdb.DuckDBPyConnection) -> None:
    two.execute("update b.marts.customers set revenue = revenue + 0.01 where customer_key = 'k3'")
    (difference,) = _found(two)
    assert difference.columns == ("revenue",)
    assert "customer_key k3" in str(difference)
    assert "@" not in str(difference)


def test_missing_and_doubled_rows_and_other_columns_are_told(two: duckdb.DuckDBPyConnection) -> None:
    two.execute("delete from b.marts.customers where customer_key = 'k1'")
    two.execute("insert into b.marts.customers from b.marts.customers where customer_key = 'k2'")
    assert [(one.rows, one.other_rows) for one in _found(two)] == [(1, 1)]
    two.execute("alter table b.marts.customers drop column email")
    assert [one.columns for one in _found(two)] == [("email",)]


def _home(tmp_path: Path, status: str = "published", policy: str = "") -> Home:
    home = Home.at(tmp_path).ensure()
    log = RunLog(home)
    log.start("run", AS_OF, False)
    log.finish("run", status, None, None, {})
    with duckdb.connect(str(home.warehouse)) as con:
        con.execute("create schema intermediate")
        con.execute(
            "create table intermediate.int_changes__run as "
            f"select date '{AS_OF}' as as_of_date, '{policy or policy_hash(load_policy().values)}' as policy_hash"
        )
    return home


def test_a_home_without_a_warehouse_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="refresh first"):
        verify(Home.at(tmp_path), load_policy())


def test_a_home_whose_last_refresh_failed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="is failed: what landed and what was built are of two moments"):
        verify(_home(tmp_path, status="failed"), load_policy())


def test_another_policy_than_the_last_refreshs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="give verify the same --vars"):
        verify(_home(tmp_path), load_policy(overrides={"count_refunds": False}))


def _decided(mode: str, reason: str | None, touched: int, everything: int) -> Decision:
    return Decision("heavy tier", mode, reason, touched, everything, "customers touched")


def test_what_a_run_says_of_a_decision() -> None:
    everyday = _decided("full", "policy: fewer orders than incremental_from_orders", 0, 0)
    assert not everyday.is_news
    forced = _decided("full", "the policy has changed", 10, 10)
    assert (forced.is_news, forced.sentence) == (True, "heavy tier built in full: the policy has changed")
    day = _decided("incremental", None, 1_073, 99_957)
    assert (day.is_news, day.sentence) == (True, "heavy tier incremental: 1,073 of 99,957 customers touched")


@pytest.mark.soak
def test_days_of_a_simulated_shop_verify_as_equal_in_every_mart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path / "target"))
    raw = simulate(tmp_path / "shop", customers=150, seed=6, years=1.0, end=AS_OF, format="parquet").raw
    home, policy = Home.at(tmp_path / "home").ensure(), load_policy(overrides=ALWAYS)
    with duckdb.connect(str(home.warehouse)) as con:
        con.execute("set timezone = 'UTC'")
        landing.land(con, [landing.Source("files", raw)], run_id="landed")
        for step in STEPS:
            step.ensure(con)
    project, modes = DbtProject(home, policy.overrides), []
    for days_before in (6, 3, 1, 0):
        day = AS_OF - timedelta(days=days_before)
        build(project, day, policy, f"run-{day}", without_steps=STATE_STEPS)
        tier = decision_in(home, RUN)
        modes.append(tier.mode if tier else "")
    assert modes == ["full", "incremental", "incremental", "incremental"]
    verdict = verify(home, policy)
    assert (verdict.as_of, verdict.differences) == (AS_OF, [])
    assert verdict.marts > 50

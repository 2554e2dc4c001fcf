"""Spark: every macro and every mart the same as on DuckDB, on a real cluster; tables go over and come back."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest

from ritorno.engines import make_engine
from ritorno.engines.spark import Spark, settings
from ritorno.errors import UnusableInput
from tests.engines.compare import differences, marts_of
from tests.engines.macros import disagreements
from tests.engines.shop import built, dirty_shop, refreshed
from tests.engines.spark_cluster import missing, spark_cluster

SMALL = {
    "RITORNO_SPARK_PARTITIONS": "1",
    "RITORNO_SPARK_ADAPTIVE": "false",
    "RITORNO_SPARK_CODEGEN": "false",
    "RITORNO_SPARK_CATALOG": "in-memory",
    "RITORNO_SPARK_JAVA": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}
"""A session for few rows: generated code, adaptive plans and a metastore cost more than they save."""
SPINE = ["orders", "order_items", "customer_rfm", "cohort_retention"]
pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spark]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**SMALL, "RITORNO_SPARK_MASTER": "local[1]", "SPARK_LOCAL_IP": "127.0.0.1"}.items():
            patch.setenv(name, value)
        engine = Spark(tmp_path_factory.mktemp("spark"))
        yield engine
        engine.session.stop()


# --- macros


def test_every_engine_macro_says_on_spark_what_it_says_on_duckdb(spark: Spark) -> None:
    assert disagreements("spark", lambda statement: spark.rows(Path(), statement)) == {}


# --- tables


def test_tables_come_back_from_spark_as_they_went(spark: Spark, tmp_path: Path) -> None:
    home = duckdb.connect(str(tmp_path / "home.duckdb"))
    home.execute("set TimeZone = 'UTC'; create schema raw")
    home.execute(
        r"""
        create table raw.things as
        select * from (values
            (1, 'a,"b"' || chr(10) || 'c', cast(12.30 as decimal(18, 2)), date '2024-02-29',
             timestamp '2024-03-31 01:59:59.123456', true, 0.1::double + 0.2, cast(7 as hugeint), ['x', 'y"']),
            (2, '', cast(null as decimal(18, 2)), null, null, null, null, null, []),
            (3, '\N', cast(-0.01 as decimal(18, 2)), date '1900-01-01', timestamp '1900-01-01', false, 1e300, -1, null)
        ) as t (id, words, money, day, moment, flag, real, wide, list)
        """
    )
    home.execute("create table raw.nothing as select * from raw.things where false")
    tables = [("raw", "things"), ("raw", "nothing")]
    before = home.execute("select * replace (cast(to_json(list) as varchar) as list) from raw.things order by id")
    expected = before.fetchall()
    spark.send(home, tables, tmp_path)
    home.execute("drop table raw.things; drop table raw.nothing")
    assert spark.count(home, [*tables, ("raw", "absent")]) == {("raw", "things"): 3, ("raw", "nothing"): 0}
    # what Spark wrote itself, a view that is no table, a name that is a word of SQL, and a partitioned table
    spark.rows(Path(), "create schema if not exists marts")
    spark.rows(Path(), "create table marts.`order` using parquet as select * from raw.things")
    spark.rows(Path(), "create view marts.seen as select * from raw.things")
    spark.rows(Path(), "create table marts.by_day using parquet partitioned by (day) as select id, day from raw.things")
    assert spark.count(home, [("marts", "order"), ("marts", "seen")]) == {("marts", "order"): 3}
    spark.fetch(home, [*tables, ("marts", "order"), ("marts", "by_day")], tmp_path)
    for table in ("raw.things", 'marts."order"'):
        assert home.execute(f"select * from {table} order by id").fetchall() == expected
        types = [row[1] for row in home.execute(f"describe {table}").fetchall()]
        assert types == [
            *["INTEGER", "VARCHAR", "DECIMAL(18,2)", "DATE", "TIMESTAMP", "BOOLEAN", "DOUBLE", "DECIMAL(38,0)"],
            "VARCHAR",
        ]
    assert home.execute("select count(*) from raw.nothing").fetchone() == (0,)
    days = home.execute("select id, day from marts.by_day order by id").fetchall()
    assert days == [(row[0], row[3]) for row in expected]
    assert list(tmp_path.glob("exchange-*")) == []


def test_published_views_show_the_last_run_and_the_one_before_can_still_be_read(spark: Spark, tmp_path: Path) -> None:
    spark.rows(Path(), "create schema if not exists shown")
    for number in (1, 2, 3):
        spark.rows(Path(), "drop table if exists shown.one")
        spark.rows(Path(), f"create table shown.one using parquet as select {number} as a")
        if number == 3:
            before = spark.session.sql("select a, published_run_id from published.one")
        spark.publish([("shown", "one")], f"run-{number}", date(2025, 6, number))
        rows = spark.rows(Path(), "select a, published_run_id, published_as_of from published.one")
        assert rows == [(number, f"run-{number}", date(2025, 6, number))]
    assert [tuple(row) for row in before.collect()] == [(2, "run-2")]


# --- addresses


def test_a_master_that_is_not_there_is_said_to_be_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(UnusableInput, match=r"needs Java 17.*openjdk-17-jre-headless"):
        _ = Spark(tmp_path).session


def test_spark_is_an_engine(tmp_path: Path) -> None:
    assert make_engine("spark", home=tmp_path).name == "spark"
    assert settings(tmp_path)["spark.sql.warehouse.dir"] == f"{tmp_path}/spark"


def test_checks_run_where_pyspark_is_installed() -> None:
    code = "from ritorno.quality.gx import quiet\nwith quiet(): import great_expectations\nprint('alive')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "alive"), done.stderr


# --- the whole refresh


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A master and two workers that a refresh of this test finds; their log."""
    with spark_cluster(tmp_path / "cluster") as master:
        for name, value in {**SMALL, "RITORNO_SPARK_MASTER": master, "SPARK_LOCAL_IP": "127.0.0.1"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("RITORNO_SPARK_EXECUTOR_MEMORY", "512m")
        yield tmp_path / "cluster" / "cluster.log"


def workers_at_work(log: Path) -> int:
    return len(set(re.findall(r"Launching executor app-\S+?/(\d+)", log.read_text(errors="replace"))))


@pytest.mark.slow(120)
def test_identity_orders_rfm_and_cohorts_are_the_same_on_a_spark_cluster(cluster: Path, tmp_path: Path) -> None:
    raw = dirty_shop(tmp_path / "shop")
    expected = built(raw, tmp_path / "duckdb", "duckdb", SPINE)
    found = built(raw, tmp_path / "spark", "spark", SPINE)
    assert set(marts_of(str(found))) >= set(SPINE)
    assert differences(str(expected), str(found)) == {}
    assert workers_at_work(cluster) == 2


@pytest.mark.spark
def test_a_history_of_days_is_the_same_on_spark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**SMALL, "RITORNO_SPARK_MASTER": "local[1]", "SPARK_LOCAL_IP": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "orders.csv").write_text("order_id,ordered_at,total\no1,2024-12-01,10\n", encoding="utf-8")
    head = "subscription_id,email,status,price,currency,interval,started_at\n"
    days = [
        (date(2025, 1, 1), {"s1": 10, "s2": 20, "s3": 5}),
        (date(2025, 1, 5), {"s1": 12, "s3": 5, "s4": 7}),  # changed, gone, the same, new
        (date(2025, 1, 5), {"s1": 13, "s2": 20, "s3": 5}),  # the same day once more, with other facts
        (date(2025, 1, 3), {"s1": 99}),  # a day that is past adds nothing
    ]
    for day, prices in days:
        rows = [f"{key},{key}@example.com,active,{price},EUR,month,2024-12-01\n" for key, price in prices.items()]
        (raw / "subscriptions.csv").write_text(head + "".join(rows), encoding="utf-8")
        seen = []
        for engine in ("duckdb", "spark"):
            warehouse = built(raw, tmp_path / engine, engine, ["snapshot.ritorno.subscriptions_history"], day)
            with duckdb.connect(str(warehouse), read_only=True) as con:
                seen.append(
                    con.execute(
                        "select subscription_key, price, dbt_valid_from, dbt_valid_to, dbt_updated_at "
                        "from snapshots.subscriptions_history order by all"
                    ).fetchall()
                )
        assert seen[0] == seen[1]
    assert len(seen[0]) == 4  # s1 twice, s2, s3


@pytest.mark.spark
def test_every_mart_is_the_same_on_a_spark_cluster_value_by_value(cluster: Path, tmp_path: Path) -> None:
    raw = dirty_shop(tmp_path / "shop")
    expected = refreshed(raw, tmp_path / "duckdb", "duckdb")
    published = refreshed(raw, tmp_path / "spark", "spark")
    assert differences(str(expected), str(published)) == {}
    assert workers_at_work(cluster) == 2

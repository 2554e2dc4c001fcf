"""Spark: every macro and every mart the same as on DuckDB, on a real cluster; tables go over and come back."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from ritorno.engines import make_engine
from ritorno.engines.spark import Spark, settings
from ritorno.engines.spark_files import ArrowFiles, HadoopFiles
from ritorno.engines.spark_layout import Layout
from ritorno.errors import RitornoError, UnusableInput
from tests.engines.compare import differences, marts_of
from tests.engines.macros import almost_values, disagreements, of_texts, told
from tests.engines.rendering import render
from tests.engines.shop import LENIENT, built, dirty_shop, refreshed
from tests.engines.spark_cluster import connect_server, missing, spark_cluster, thrift_server
from tests.report.shop import AS_OF, contracts, raw_of_the_home, real_home, shared_folder
from tests.support import Project

SMALL = {
    "RITORNO_SPARK_PARTITIONS": "1",
    "RITORNO_SPARK_ADAPTIVE": "false",
    "RITORNO_SPARK_CODEGEN": "false",
    "RITORNO_SPARK_CATALOG": "in-memory",
    "RITORNO_SPARK_JAVA": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}
"""A session for few rows: generated code, adaptive plans and a metastore cost more than they save."""
LARGE = {"spark_layout_from_rows": 0, "spark_buckets": 2}
"""Tables in parts and buckets, as a shop of many million orders has them."""
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
    texts = almost_values(1000)
    with duckdb.connect() as here:
        here.execute("set TimeZone = 'UTC'")
        expected = [tuple(map(told, row)) for row in here.execute(of_texts("duckdb", texts)).fetchall()]
    read = [tuple(map(told, row)) for row in spark.rows(Path(), of_texts("spark", texts))]
    assert {texts[row[0]]: (row, other) for row, other in zip(expected, read, strict=True) if row != other} == {}


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


def test_a_mart_of_any_layout_is_published(spark: Spark) -> None:
    """Delta and Iceberg tables have files that are no rows any more, and partitions have columns that no file holds."""
    rows = "select id, id % 3 as part, cast(id as decimal(18, 2)) as money from range(10)"
    spark.rows(Path(), "create schema if not exists laid")
    spark.rows(Path(), f"create table laid.other using orc as {rows}")
    spark.rows(Path(), f"create table laid.parts using parquet partitioned by (part) as {rows}")
    spark.rows(Path(), f"create table laid.bucketed using parquet clustered by (id) into 3 buckets as {rows}")
    tables = [("laid", name) for name in ("other", "parts", "bucketed")]
    spark.publish(tables, "run-1", date(2025, 6, 1))
    for _, name in tables:
        found = spark.rows(Path(), f"select id, part, money from published.{name} order by id")
        assert found == [(number, number % 3, Decimal(number)) for number in range(10)]
    none = f"create table laid.none using parquet clustered by (id) into 3 buckets as {rows} where id < 0"
    spark.rows(Path(), none)
    spark.publish([("laid", "none")], "run-2", date(2025, 6, 2))
    assert spark.rows(Path(), "select id, part, money from published.none") == []


# --- parts and buckets


@pytest.fixture
def landed(tmp_path: Path) -> duckdb.DuckDBPyConnection:
    """A home with three rows that were landed in two months, and one that a loader wrote."""
    home = duckdb.connect(str(tmp_path / "home.duckdb"))
    home.execute("set TimeZone = 'UTC'; create schema raw; create schema landing")
    home.execute(
        """
        create table landing.files as select * from (values
            (1, timestamp '2025-01-05 03:00'), (2, timestamp '2025-01-20 03:00'), (3, timestamp '2025-02-01 03:00')
        ) as t (batch, landed_at);
        create table raw.orders as select * from (values
            ('a', '1', 'x.csv', 1::bigint), ('b', '2', 'y.csv', 2), ('c', '3', 'z.csv', 3), ('d', '4', null, null)
        ) as t (order_id, total, _ritorno_file, _ritorno_batch)
        """
    )
    return home


def files_of(spark: Spark, part: str = "") -> dict[str, tuple[int, int]]:
    """The files of raw.orders and what tells a file from one written in its place."""
    folder = Path(spark.warehouse.removeprefix("file:")) / "_sent" / "raw" / "orders"
    found = {str(path.relative_to(folder)): path.stat() for path in folder.rglob("*.parquet")}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in found.items() if name.startswith(part)}


def test_a_part_is_sent_again_only_if_its_rows_changed(
    spark: Spark, landed: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    engine = Spark(spark.home, Layout(from_rows=1))
    january, february = "_ritorno_landed=2025-01-01", "_ritorno_landed=2025-02-01"

    def sent(change: str = "select 1") -> dict[str, tuple[int, int]]:
        landed.execute(change)
        engine.send(landed, [("raw", "orders")], tmp_path)
        expected = landed.execute("select order_id, total from raw.orders order by all").fetchall()
        assert engine.rows(Path(), "select order_id, total from raw.orders order by 1, 2") == expected
        return files_of(spark)

    first = sent()
    assert {name.split("/")[0] for name in first} == {january, february, "_ritorno_landed=1900-01-01"}
    assert engine.environment["RITORNO_SPARK_BUCKETS"] == "0"  # one partition of a shuffle in this session
    assert sent() == first
    # a value in a row that stays where it is, as the erasure of a person changes it
    second = sent("update raw.orders set total = '30' where order_id = 'c'")
    assert {name for name in first if second.get(name) != first[name]} == {n for n in first if n.startswith(february)}
    # two rows exchange a value; a month is gone
    assert sent("update raw.orders set total = case total when '1' then '2' else '1' end where total < '3'") != second
    assert all(not name.startswith(february) for name in sent("delete from raw.orders where order_id = 'c'"))
    sent("alter table raw.orders add column note varchar; update raw.orders set note = 'n' where order_id = 'a'")
    assert engine.rows(Path(), "select note from raw.orders order by order_id") == [("n",), (None,), (None,)]


def test_whoever_was_killed_while_sending_sends_everything(
    spark: Spark, landed: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Spark(spark.home, Layout(from_rows=1))
    engine.send(landed, [("raw", "orders")], tmp_path)
    before = files_of(spark)

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    landed.execute("update raw.orders set total = '30' where order_id = 'c'")
    with monkeypatch.context() as patch:
        patch.setattr(HadoopFiles, "upload", stopped)
        with pytest.raises(KeyboardInterrupt):
            engine.send(landed, [("raw", "orders")], tmp_path)
    engine.send(landed, [("raw", "orders")], tmp_path)
    assert not set(before.values()) & set(files_of(spark).values())
    assert engine.rows(Path(), "select sum(cast(total as int)) from raw.orders") == [(1 + 2 + 30 + 4,)]


def test_a_small_table_is_one_file_and_a_day_can_be_a_part(
    spark: Spark, landed: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    Spark(spark.home, Layout(from_rows=5)).send(landed, [("raw", "orders")], tmp_path)
    assert len(files_of(spark)) == 1
    assert not files_of(spark, "_ritorno_landed")
    Spark(spark.home, Layout("day", from_rows=4)).send(landed, [("raw", "orders")], tmp_path)
    assert len(files_of(spark, "_ritorno_landed=2025-01-")) == 2
    Spark(spark.home, Layout("none", from_rows=1)).send(landed, [("raw", "orders")], tmp_path)
    assert len(files_of(spark)) == 1
    landed.execute("delete from raw.orders")
    engine = Spark(spark.home, Layout(from_rows=0))
    engine.send(landed, [("raw", "orders")], tmp_path)
    assert engine.rows(Path(), "select count(*) from raw.orders") == [(0,)]


@pytest.mark.parametrize(
    ("layout", "rows", "buckets"),
    [
        (Layout(), 5_000_000, 8),
        (Layout(), 4_999_999, 0),
        (Layout(buckets=64), 10, 64),
        (Layout(buckets=0), 10**9, 0),
        (Layout(buckets=1), 10**9, 0),
    ],
)
def test_small_shops_have_no_buckets_unless_told_to(layout: Layout, rows: int, buckets: int) -> None:
    assert layout.buckets_for(rows, shuffle_partitions=8) == buckets


def test_joining_customers_tables_in_buckets_moves_no_rows(spark: Spark) -> None:
    spark.rows(Path(), "create schema if not exists bucketed")
    spark.rows(Path(), "set spark.sql.autoBroadcastJoinThreshold = -1")
    how = render("{{ spark__clustered('parquet', 4) }}", "spark", {})
    for name in ("one", "two"):
        spark.rows(
            Path(),
            f"create table bucketed.{name} using parquet {how} as select /*+ repartition(4, customer_key) */ * from "
            "(select cast(id as string) as customer_key, id as number from range(0, 100, 1, 3)) as unclustered",
        )
        assert len(list((spark.home or Path()).glob(f"spark/bucketed.db/{name}/*.parquet"))) == 4  # not tasks × buckets
    joined = "select count(*) from bucketed.one inner join bucketed.two using (customer_key)"
    plan = spark.rows(Path(), f"explain {joined}")[0][0]
    assert "SortMergeJoin" in plan or "ShuffledHashJoin" in plan
    assert "hashpartitioning(customer_key" not in plan
    assert spark.rows(Path(), joined) == [(100,)]
    spark.rows(Path(), "reset spark.sql.autoBroadcastJoinThreshold")


def test_the_tables_in_buckets_are_those_whose_grain_begins_with_the_customer() -> None:
    listed = str(render("{{ customer_tables() }}", "spark", {}))
    nodes = Project.compile().manifest["nodes"].values()
    meant = {
        node["name"]
        for node in nodes
        if node["resource_type"] == "model"
        and node["config"]["materialized"] in ("table", "touched")
        and node["schema"] in ("intermediate", "marts")
        and not node["name"].startswith("int_changes__")
        and "customer_key" in node["columns"]
        and re.match(r"One row per (known )?customer\b", node["description"])
    }
    assert set(re.findall(r"'(\w+)'", listed)) == meant


# --- Delta and Iceberg, whose jars no registry of ours has


@pytest.mark.parametrize(
    "statement",
    [
        "{{ delete_keys('a.b', 'order_key', 'c.d') }}",
        "create or replace table a.b using iceberg {{ spark__clustered('iceberg', 8) }} as select 1 as customer_key",
        "create or replace table a.b using delta {{ spark__clustered('delta', 8) }} as select 1 as customer_key",
    ],
)
def test_what_delta_and_iceberg_would_be_told_is_sparks_grammar(spark: Spark, statement: str) -> None:
    parser = spark.session._jsparkSession.sessionState().sqlParser()
    assert parser.parsePlan(render(statement, "spark", {})) is not None


@pytest.mark.spark
@pytest.mark.parametrize("wanted", ["delta", "iceberg"])
def test_a_format_whose_classes_are_missing_is_refused_by_name(wanted: str, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("order_id,ordered_at,total\no1,2024-12-01,10\n", encoding="utf-8")
    command = ["refresh", "--raw", str(tmp_path / "orders.csv"), "--home", str(tmp_path / "home"), "--engine", "spark"]
    told = [*command, "--as-of", "2025-01-01", "--vars", f"{{spark_table_format: {wanted}}}"]
    environment = {**os.environ, **SMALL, "RITORNO_SPARK_MASTER": "local[1]", "SPARK_LOCAL_IP": "127.0.0.1"}
    code = "from ritorno.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, *told], env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    said = re.sub(r"[\s│]+", " ", done.stdout + done.stderr)
    assert f"policy var spark_table_format: {wanted}, but this Spark can't write it" in said
    assert "say spark_table_format: parquet" in said


# --- ways to Spark


def test_dbt_keeps_sparks_errors_where_the_profile_wants_them(spark: Spark) -> None:
    from dbt.adapters.spark.connections import SparkCredentials
    from dbt.adapters.spark.session import Connection

    spark.rows(Path(), "select 1")
    credentials = SparkCredentials(
        host="session", schema="ritorno", method="session", server_side_parameters=settings(spark.home)
    )
    cursor = Connection(server_side_parameters=credentials.server_side_parameters).cursor()
    cursor.execute("select cast('x' as int)")
    with pytest.raises(Exception, match="CAST_INVALID_INPUT"):
        cursor.fetchall()


@pytest.mark.parametrize("name", ["RITORNO_SPARK_REMOTE", "RITORNO_SPARK_THRIFT"])
def test_tables_at_a_server_need_a_place_that_both_reach(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "localhost:1")
    with pytest.raises(UnusableInput, match="needs RITORNO_SPARK_WAREHOUSE"):
        _ = Spark(tmp_path).warehouse


def test_a_thrift_server_that_is_not_there_is_said_to_be_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RITORNO_SPARK_THRIFT", "localhost")
    with pytest.raises(UnusableInput, match=r"RITORNO_SPARK_THRIFT=localhost: want host:port"):
        Spark(tmp_path).rows(Path(), "select 1")
    monkeypatch.setenv("RITORNO_SPARK_THRIFT", "127.0.0.1:1")
    with pytest.raises(RitornoError, match=r"Thrift server at 127\.0\.0\.1:1 can't be used"):
        Spark(tmp_path).rows(Path(), "select 1")


def test_files_on_a_shared_folder_are_written_without_a_jvm(tmp_path: Path) -> None:
    files, place, local = ArrowFiles(), f"file://{tmp_path}/a%20b/c", tmp_path / "local"
    assert files.read(f"{place}/record.json") is None
    files.write(f"{place}/record.json", "{}")
    assert files.read(f"{place}/record.json") == "{}"
    local.mkdir()
    (local / "one.parquet").write_bytes(b"1")
    files.upload(local, f"{place}/table")
    (local / "one.parquet").rename(local / "two.parquet")
    files.upload(local, f"{place}/table")
    files.download(f"{place}/table", tmp_path / "back")
    assert [path.name for path in (tmp_path / "back").iterdir()] == ["two.parquet"]
    assert files.children(place) == [f"{place}/table"]
    files.delete(f"{place}/table")
    files.delete(f"{place}/record.json")
    assert files.read(f"{place}/record.json") is None
    assert files.children(place) == files.children(f"{place}/absent") == []
    with pytest.raises(UnusableInput, match="RITORNO_SPARK_WAREHOUSE=ftp://x/y: can't be written from here"):
        files.read("ftp://x/y")


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


@pytest.mark.slow(280)  # and the shared home, which it is compared with at its end
def test_every_mart_is_the_same_on_a_spark_cluster_value_by_value(
    cluster: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RITORNO_SPARK_THREADS", "2")  # while one model is planned, another is computed
    shared = shared_folder(tmp_path_factory)
    found = built(raw_of_the_home(shared), tmp_path / "spark", "spark", sorted(contracts()), AS_OF, LARGE)
    assert marts_of(str(found)) == contracts().keys()
    assert differences(str(real_home(shared).warehouse), str(found)) == {}
    assert workers_at_work(cluster) == 2
    tables = tmp_path / "spark" / "spark"
    assert [path.name for path in (tables / "_sent" / "raw" / "orders").iterdir()] == [
        f"_ritorno_landed={date.today().replace(day=1)}"
    ]
    for table in ("marts.db/customer_rfm", "intermediate.db/int_customers__order_days"):
        buckets = sorted(re.findall(r"_(\d{5})\.c000", path.name)[0] for path in (tables / table).glob("*.parquet"))
        assert buckets == ["00000", "00001"]


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
            warehouse = built(
                {"files": raw}, tmp_path / engine, engine, ["snapshot.ritorno.subscriptions_history"], day
            )
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
def test_a_whole_refresh_with_every_odd_text_in_every_column_publishes_the_same_marts(
    cluster: Path, tmp_path: Path
) -> None:
    sources = dirty_shop(tmp_path / "shop")
    expected = refreshed(sources, tmp_path / "duckdb", "duckdb")
    published = refreshed(sources, tmp_path / "spark", "spark", {**LENIENT, **LARGE})
    assert differences(str(expected), str(published)) == {}
    assert workers_at_work(cluster) == 2


@pytest.mark.spark
@pytest.mark.parametrize("way", ["connect", "thrift"])
def test_orders_and_rfm_are_the_same_by_way_of_a_server(
    way: str, cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources, models, tables = dirty_shop(tmp_path / "shop"), ["orders", "customer_rfm"], tmp_path / "tables"
    expected = built(sources, tmp_path / "duckdb", "duckdb", models)
    given = {**settings(tmp_path / "server"), "spark.executor.memory": "512m"}
    server, name = {
        "connect": (connect_server, "RITORNO_SPARK_REMOTE"),
        "thrift": (thrift_server, "RITORNO_SPARK_THRIFT"),
    }[way]
    given |= {"spark.sql.warehouse.dir": str(tables), "spark.sql.catalogImplementation": "hive"}
    with server(tmp_path / "server", os.environ["RITORNO_SPARK_MASTER"], given) as address:
        monkeypatch.setenv(name, address)
        monkeypatch.setenv("RITORNO_SPARK_WAREHOUSE", str(tables))
        monkeypatch.setenv("PATH", "/nowhere")  # no Java on this side
        found = built(sources, tmp_path / "spark", "spark", models, policy={**LENIENT, **LARGE})
    assert set(marts_of(str(found))) >= set(models)
    assert differences(str(expected), str(found)) == {}
    assert workers_at_work(cluster) == 2

"""Online Retail II, a real shop's year, on PostgreSQL and Spark: each mart equal value by value to DuckDB's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest

from tests.audiences.destinations.servers import postgres_server
from tests.engines.compare import differences
from tests.engines.shop import built
from tests.engines.spark_cluster import missing, spark_cluster
from tests.orders.online_retail import FILE, RETURNS_COUNTED
from tests.support import Project

AS_OF = date(2010, 12, 9)
pytestmark = pytest.mark.skipif(FILE is None, reason="../shared/data/online_retail_II_y2009_2010.parquet is absent")


@pytest.fixture(scope="module")
def marts() -> list[str]:
    nodes = Project.compile().manifest["nodes"].values()
    return sorted(node["name"] for node in nodes if node["resource_type"] == "model" and node["schema"] == "marts")


@pytest.fixture(scope="module")
def expected(marts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = every_mart(tmp_path_factory.mktemp("home") / "duckdb", "duckdb", marts)
    with duckdb.connect(str(found), read_only=True) as con:  # not an empty shop that is equal everywhere
        counted = con.execute("select count(*) from marts.customers where orders > 0").fetchone()
    assert counted is not None
    assert counted[0] > 4000
    return found


def every_mart(home: Path, engine: str, marts: list[str], **policy: int) -> Path:
    """A warehouse of the file's lines on an engine."""
    assert FILE is not None
    return built({"online_retail": FILE}, home, engine, marts, AS_OF, {**RETURNS_COUNTED, **policy})


@pytest.mark.soak  # a fortieth of it is in tests/engines/test_postgres.py
def test_online_retail_is_the_same_on_postgresql(
    marts: list[str], expected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres_server() as (host, port):
        monkeypatch.setenv("RITORNO_POSTGRES_URL", f"postgresql://ritorno@{host}:{port}/postgres")
        assert differences(str(expected), str(every_mart(tmp_path / "postgres", "postgres", marts))) == {}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with spark_cluster(tmp_path / "cluster", memory="1500m") as master:
        for name, value in {
            "RITORNO_SPARK_MASTER": master,
            "RITORNO_SPARK_CATALOG": "in-memory",
            "RITORNO_SPARK_PARTITIONS": "4",
            "RITORNO_SPARK_EXECUTOR_MEMORY": "1g",
            "RITORNO_SPARK_JAVA": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
            "SPARK_LOCAL_IP": "127.0.0.1",
        }.items():
            monkeypatch.setenv(name, value)
        yield


@pytest.mark.spark
@pytest.mark.skipif(bool(missing()), reason=missing())
def test_online_retail_is_the_same_on_a_spark_cluster(
    marts: list[str], expected: Path, tmp_path: Path, cluster: None
) -> None:
    found = every_mart(tmp_path / "spark", "spark", marts, spark_layout_from_rows=100_000)
    assert differences(str(expected), str(found)) == {}
    purchases = tmp_path / "spark" / "spark" / "intermediate.db" / "int_products__purchases"
    assert len(list(purchases.glob("*.parquet"))) == 4  # one a bucket, and not one for each task and bucket

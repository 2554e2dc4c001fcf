"""The dashboards for Superset fit together; their SQL says the same in the published file and in PostgreSQL."""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import psycopg2.errors
import pytest
import yaml

from bi import serve
from ritorno.engines.postgres import Server
from ritorno.home import PROJECT_ROOT
from tests.bi.bundle import charts_of, contents
from tests.report.shop import contracts

DATASETS = contents("datasets")
CHARTS = contents("charts")
DASHBOARDS = contents("dashboards")
Rows = tuple[list[str], Counter[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def postgres(server: Server) -> Iterator[Any]:
    con = psycopg2.connect(host=server.host, port=server.port, user=server.user, dbname=server.database)
    yield con
    con.close()


def _read_by_datasets() -> set[str]:
    return {mart for sql in serve.datasets().values() for mart in re.findall(r"\bmarts\.(\w+)", sql)}


def _answer(cursor: Any, sql: str) -> Rows:
    cursor.execute(sql)
    names = [column[0] for column in cursor.description]
    return names, Counter(tuple(map(_plain, row)) for row in cursor.fetchall())


def _plain(value: Any) -> Any:
    return f"{value:.9g}" if isinstance(value, float) else str(value)


@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_says_the_same_in_the_published_file_and_in_postgresql(
    name: str, published: duckdb.DuckDBPyConnection, postgres: Any
) -> None:
    names, rows = _answer(published, serve.datasets()[name])
    assert names == [column["column_name"] for column in DATASETS[name]["columns"]]
    assert rows, "the shop gives every dataset something to say"
    with postgres.cursor() as cursor:
        assert _answer(cursor, serve.datasets(serve.PUBLISHED)[name]) == (names, rows)


@pytest.mark.parametrize("name", DATASETS)
def test_every_metric_of_a_dataset_can_be_asked_for_on_both(
    name: str, published: duckdb.DuckDBPyConnection, postgres: Any
) -> None:
    asked = ", ".join(metric["expression"] for metric in DATASETS[name]["metrics"])
    with postgres.cursor() as cursor:
        theirs = _answer(cursor, f"select {asked} from ({serve.datasets(serve.PUBLISHED)[name]}) as dataset")[1]
    ours = _answer(published, f"select {asked} from ({serve.datasets()[name]}) as dataset")[1]
    for one, other in zip(*ours, *theirs, strict=True):  # one row each
        assert _exact(one) == _number(other)


def _exact(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def _number(text: str) -> Any:
    try:
        return pytest.approx(float(text), rel=1e-8)  # decimals of one engine are doubles of the other
    except ValueError:
        return text


def test_the_role_of_the_page_reads_what_is_published_and_nothing_else(postgres: Any) -> None:
    page = (PROJECT_ROOT / "docs" / "bi.md").read_text(encoding="utf-8")
    told = re.findall(r"^    ((?:create|grant|alter) .*;)$", page.split("## PostgreSQL")[1], re.MULTILINE)
    assert len(told) == 4
    with postgres.cursor() as cursor:
        for statement in told:
            cursor.execute(statement)
        cursor.execute("create schema marts; create table marts.customers (customer_key text)")
        cursor.execute("create table published.later (one integer)")
        cursor.execute("set local role bi")
        cursor.execute("select count(*) from published.customers cross join published.later")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute("select * from marts.customers")
    postgres.rollback()


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_asks_its_dataset_for_what_it_has(name: str) -> None:
    chart = CHARTS[name]
    dataset = next(one for one in DATASETS.values() if one["uuid"] == chart["dataset_uuid"])
    columns = {column["column_name"] for column in dataset["columns"]}
    metrics = {metric["metric_name"] for metric in dataset["metrics"]}
    asked = chart["params"]
    assert asked["viz_type"] == chart["viz_type"]
    assert chart["description"]
    groups = asked.get("groupby") or []
    named = [*([groups] if isinstance(groups, str) else groups), *asked.get("all_columns", [])]
    named += [asked[key] for key in ("x_axis", "source", "target") if key in asked]
    named += [condition["subject"] for condition in asked["adhoc_filters"]]
    assert set(named) <= columns
    measured = [*asked.get("metrics", []), *([asked["metric"]] if "metric" in asked else [])]
    assert set(measured) <= metrics
    assert set(asked.get("column_config", {})) <= columns | metrics


def test_every_chart_is_on_a_dashboard_and_every_dataset_behind_a_chart() -> None:
    assert {chart for dashboard in DASHBOARDS for chart in charts_of(dashboard)} == set(CHARTS)
    assert {chart["dataset_uuid"] for chart in CHARTS.values()} == {one["uuid"] for one in DATASETS.values()}
    things = [*DATASETS.values(), *CHARTS.values(), *DASHBOARDS.values(), *contents("databases").values()]
    assert len({thing["uuid"] for thing in things}) == len(things)


def test_a_filter_of_a_dashboard_names_a_column_that_there_is() -> None:
    columns = {one["uuid"]: {column["column_name"] for column in one["columns"]} for one in DATASETS.values()}
    filters = [one for board in DASHBOARDS.values() for one in board["metadata"]["native_filter_configuration"]]
    assert filters
    for one in filters:
        for target in one["targets"]:
            assert target["column"]["name"] in columns[target["datasetUuid"]]


def test_dashboards_read_marts_only_and_show_nobody() -> None:
    """A dashboard is passed around: it holds counts, no keys, names or addresses."""
    assert _read_by_datasets() <= set(contracts())
    personal = {"customer_key", "company", "birth_year", "alias", "referred_by", "referrer_key", "referee_key"}
    for name, dataset in DATASETS.items():
        assert not {column["column_name"] for column in dataset["columns"]} & personal, name
        assert set(re.findall(r"\b(?:from|join)\s+(\w+)\.", dataset["sql"])) == {serve.MARTS}, name
        assert "*" not in re.sub(r"count\(\*\)|select \* from marts\.", "", dataset["sql"]), name


@pytest.mark.parametrize(
    ("address", "schema", "parameters"),
    [
        ("duckdb:////srv/shop/published/ritorno.duckdb", "marts", {"connect_args": {"read_only": True}}),
        ("postgresql+psycopg2://bi:secret@db:5432/shop", "published", None),
    ],
)
def test_the_bundle_names_the_database_that_it_was_made_for(
    address: str, schema: str, parameters: dict[str, Any] | None
) -> None:
    with zipfile.ZipFile(io.BytesIO(serve.bundle(address, "Dashboard"))) as archive:
        files = {name: yaml.safe_load(archive.read(name)) for name in archive.namelist()}
    assert files["ritorno/metadata.yaml"]["type"] == "Dashboard"
    database = files["ritorno/databases/Ritorno.yaml"]
    assert (database["sqlalchemy_uri"], database["extra"].get("engine_params")) == (address, parameters)
    datasets = [content for name, content in files.items() if "/datasets/" in name]
    assert len(datasets) == len(DATASETS)
    for dataset in datasets:
        assert dataset["schema"] == schema
        assert set(re.findall(r"\b(\w+)\.\w+", re.sub(r"(from|join) (?!\w+\.)", "", dataset["sql"]))) >= {schema}
        assert schema == serve.MARTS or not re.search(r"\bmarts\.", dataset["sql"])


def test_a_bundle_with_a_password_is_for_its_owner_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "dashboards.zip"
    serve.main(["--bundle", str(made), "--database", "postgresql+psycopg2://bi:secret@db/shop"])
    assert made.stat().st_mode & 0o777 == 0o600
    assert zipfile.is_zipfile(made)
    assert "secret" not in capsys.readouterr().out


def test_the_shipped_connection_holds_no_password() -> None:
    assert [one["sqlalchemy_uri"] for one in contents("databases").values()] == [
        "duckdb:////srv/ritorno/published/ritorno.duckdb"
    ]


def test_a_port_that_somebody_has_is_refused_before_anything_is_installed(tmp_path: Path) -> None:
    import socket

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        with pytest.raises(serve.NoSupersetError, match=rf"port {port} .*--port"), serve.serving(tmp_path, "", port):
            pass
    assert list(tmp_path.iterdir()) == []


def test_without_a_published_run_the_command_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"nothing is published.*make demo"):
        serve.main(["--home", str(tmp_path)])

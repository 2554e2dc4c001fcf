"""Which dbt node runs when, on small manifests and on the project's own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import duckdb
import pytest

from ritorno.dbt import DbtProject, cross_stage_tests, marts, stage_of, stages
from ritorno.errors import UnusableInput
from ritorno.home import Home
from ritorno.step_context import StepContext
from ritorno.steps import STEPS, PythonStep


def step(name: str, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> PythonStep:
    def nothing(con: duckdb.DuckDBPyConnection) -> None: ...

    def run(context: StepContext) -> Mapping[str, Any]:
        return {}

    return PythonStep(name=name, description="", inputs=inputs, outputs=outputs, ensure=nothing, run=run)


def node(name: str, *reads: str, kind: str = "model", attached: str | None = None) -> tuple[str, dict[str, Any]]:
    unique_id = f"{kind}.p.{name}"
    return unique_id, {
        "unique_id": unique_id,
        "name": name,
        "resource_type": kind,
        "depends_on": {"nodes": list(reads)},
        "attached_node": attached,
    }


def manifest(*nodes: tuple[str, dict[str, Any]], sources: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "nodes": dict(nodes),
        "sources": {
            f"source.p.{name}": {"source_name": name.split(".")[0], "name": name.split(".")[1]} for name in sources
        },
    }


SIGHTINGS = node("sightings", "source.p.raw.orders")
CUSTOMERS = node("customers", "source.p.identity.components")
SOURCES = ("raw.orders", "identity.components")
IDENTITY = step("identity", ("sightings",), ("identity.components",))


def test_what_reads_a_steps_output_comes_after_it_and_the_rest_before() -> None:
    project = manifest(SIGHTINGS, CUSTOMERS, node("rfm", "model.p.customers"), node("plain"), sources=SOURCES)
    numbers = stage_of(project, [IDENTITY])
    assert {key: numbers[key] for key in project["nodes"]} == {
        "model.p.sightings": 0, "model.p.customers": 1, "model.p.rfm": 1, "model.p.plain": 0,
    }  # fmt: skip
    found = stages(project, [IDENTITY])
    assert [stage.number for stage in found.dbt] == [0, 1]
    assert [s.name for s in found.steps[0]] == ["identity"]
    assert found.steps[1] == ()


def test_a_model_waits_for_what_its_tests_read_and_takes_its_children_along() -> None:
    items = node("items", "source.p.raw.orders")
    relationship = node("rel", "model.p.items", "model.p.customers", kind="test", attached="model.p.items")
    project = manifest(SIGHTINGS, CUSTOMERS, items, node("basket", "model.p.items"), relationship, sources=SOURCES)
    numbers = stage_of(project, [IDENTITY])
    assert numbers["model.p.items"] == numbers["model.p.basket"] == numbers["test.p.rel"] == 1
    assert cross_stage_tests(project, [IDENTITY]) == {}


def test_a_test_that_waits_for_what_its_own_model_feeds_is_refused() -> None:
    circular = node("rel", "model.p.sightings", "model.p.customers", kind="test", attached="model.p.sightings")
    with pytest.raises(UnusableInput, match="feeds itself"):
        stage_of(manifest(SIGHTINGS, CUSTOMERS, circular, sources=SOURCES), [IDENTITY])


def test_a_step_that_reads_an_unknown_model_is_refused_by_name() -> None:
    with pytest.raises(UnusableInput, match="step identity reads sightings"):
        stage_of(manifest(CUSTOMERS, sources=SOURCES), [IDENTITY])


def test_a_singular_test_over_two_stages_is_found() -> None:
    loose = node("loose", "model.p.sightings", "model.p.customers", kind="test")
    project = manifest(SIGHTINGS, CUSTOMERS, loose, sources=SOURCES)
    assert list(cross_stage_tests(project, [IDENTITY])) == ["loose"]


def naming(name: str, *reads: str, model: str) -> tuple[str, dict[str, Any]]:
    unique_id, test = node(name, *reads, kind="test")
    return unique_id, test | {"config": {"meta": {"dagster": {"ref": {"name": model}}}}}


def test_a_singular_test_over_two_models_hangs_on_the_one_it_names() -> None:
    totals = node("totals", "model.p.sightings")
    named = naming("same", "model.p.totals", "model.p.customers", model="totals")
    project = manifest(SIGHTINGS, CUSTOMERS, totals, named, sources=SOURCES)
    assert cross_stage_tests(project, [IDENTITY]) == {}
    assert stage_of(project, [IDENTITY])["model.p.totals"] == 1  # waits for what its test reads


def test_a_singular_test_that_names_a_model_it_does_not_read_is_refused() -> None:
    named = naming("same", "model.p.sightings", model="customers")
    with pytest.raises(UnusableInput, match="test same names customers"):
        stage_of(manifest(SIGHTINGS, CUSTOMERS, named, sources=SOURCES), [IDENTITY])


@pytest.fixture(scope="module")
def dbt(tmp_path_factory: pytest.TempPathFactory) -> DbtProject:
    return DbtProject(Home(tmp_path_factory.mktemp("stages")).ensure())


@pytest.fixture(scope="module")
def project(dbt: DbtProject) -> Mapping[str, Any]:
    return dbt.manifest()


def test_every_test_of_the_project_hangs_on_one_model_of_its_stage(project: Mapping[str, Any]) -> None:
    assert cross_stage_tests(project) == {}


def test_every_node_of_the_project_runs_in_exactly_one_stage_after_all_it_reads(project: Mapping[str, Any]) -> None:
    found = stages(project)
    placed = [unique_id for stage in found.dbt for unique_id in (*stage.nodes, *stage.tests)]
    wanted = [key for key, value in project["nodes"].items() if value["resource_type"] not in ("analysis", "operation")]
    assert sorted(placed) == sorted(wanted)
    assert {s.name for after in found.steps.values() for s in after} == {s.name for s in STEPS}
    numbers = stage_of(project)
    for unique_id in placed:
        for parent in project["nodes"][unique_id]["depends_on"].get("nodes", []):
            assert numbers[parent] <= numbers[unique_id]


def test_every_mart_in_the_folder_is_published(project: Mapping[str, Any]) -> None:
    names = {mart["name"] for mart in marts(project)}
    assert {"customers", "orders", "customer_rfm", "cohort_retention", "data_quality"} <= names
    assert {mart["schema"] for mart in marts(project)} == {"marts"}


def test_a_value_that_is_missing_is_told_with_its_column_and_rows(dbt: DbtProject, project: Mapping[str, Any]) -> None:
    [test] = [key for key, value in project["nodes"].items() if key.startswith("test.ritorno.never_null_products_")]
    columns = project["nodes"]["model.ritorno.products"]["columns"].values()
    types = ", ".join(f"{column['name']} {column['data_type']}" for column in columns)
    with duckdb.connect(str(dbt.home.warehouse)) as con:
        con.execute(f"create schema marts; create table marts.products ({types})")
        con.execute("insert into marts.products (product_key) values ('a'), (null)")

    [failure] = dbt.build([test], as_of=date(2026, 1, 1), run_id="run").failures

    assert failure.is_test
    assert failure.message.startswith("check never_null on products: product_key has no value in 1 rows, ")
    assert "system has no value in 2 rows" in failure.message

    with duckdb.connect(str(dbt.home.warehouse)) as con:
        con.execute("delete from marts.products")
    assert dbt.build([test], as_of=date(2026, 1, 1), run_id="run").failures == []

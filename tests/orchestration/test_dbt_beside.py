"""dbt in a process of its own: each node is told with its rows as soon as it is done, and nothing else is another."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ritorno import helper
from ritorno.dbt import BuildFailed, BuildResult, DbtProject, Failure
from ritorno.dbt_beside import Told, beside, building, reading
from ritorno.engines import make_engine
from ritorno.home import Home
from tests.orchestration import helped_work

DAY = date(2026, 1, 1)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DbtProject]:
    monkeypatch.delenv(helper.WANTED, raising=False)
    monkeypatch.setattr(helper, "_cores", lambda: 2)
    monkeypatch.setattr(helper, "AHEAD", {helper.DBT: ()})
    project = DbtProject(Home(tmp_path / "home").ensure())
    with helper.helping(tmp_path / "run.log"):
        yield project


def nodes(project: DbtProject) -> list[str]:
    """All seeds and their tests: what can be built in an empty warehouse."""
    nodes = project.manifest()["nodes"]
    seeds = [name for name, node in nodes.items() if node["resource_type"] == "seed"]
    tests = [
        name
        for name, node in nodes.items()
        if node["resource_type"] == "test" and set(node["depends_on"]["nodes"]) <= set(seeds)
    ]
    assert tests
    return [*seeds, *tests]


def told(project: DbtProject, ids: list[str], run_id: str) -> tuple[list[Told], BuildResult]:
    other = beside(project)
    assert other is not None
    found = []
    results = building(project, other, ids, as_of=DAY, run_id=run_id)
    while True:
        try:
            found.append(next(results))
        except StopIteration as end:
            return found, end.value


def by_id(failure: Failure) -> str:
    return failure.unique_id


def shown(event: Any) -> tuple[str, str, str]:
    node = event["data"]["node_info"]
    return event["info"]["name"], node["unique_id"], node["node_status"]


def test_it_tells_what_dbt_in_this_process_does_and_the_rows_of_each_table(project: DbtProject) -> None:
    with reading(project):
        pass
    ids = nodes(project)
    found, result = told(project, ids, "beside")
    assert result.failures == []
    here = DbtProject(project.home).build(ids, as_of=DAY, run_id="here")
    assert sorted(shown(event) for event, _, _ in found) == sorted(shown(event) for event in here.events)
    assert found[0][0].keys() == here.events[0].keys()
    with duckdb.connect(str(project.home.warehouse), read_only=True) as con:
        for event, rows, tier in found:
            node = event["data"]["node_info"]
            assert tier is None
            if node["resource_type"] == "test":
                assert rows is None
            else:
                counted = con.execute(f"select count(*) from {node['node_relation']['relation_name']}").fetchone()
                assert (rows,) == counted
                assert rows


def test_a_check_that_fails_is_told_as_in_this_process(project: DbtProject) -> None:
    ids = nodes(project)
    told(project, ids, "before")
    with duckdb.connect(str(project.home.warehouse)) as con:
        name = project.manifest()["nodes"][ids[0]]["relation_name"].split(".", 1)[1]
        con.execute(f"delete from {name}; insert into {name} default values; insert into {name} default values")
    tests = [name for name in ids if name.startswith("test.")]
    found, result = told(project, tests, "broken")
    assert result.failures
    assert all(failure.is_test for failure in result.failures)
    assert {event["data"]["node_info"]["node_status"] for event, _, _ in found} & {"fail"}
    here = DbtProject(project.home).build(tests, as_of=DAY, run_id="here")
    # two at a time: which of them ends first is another from run to run
    assert sorted(here.failures, key=by_id) == sorted(result.failures, key=by_id)


def test_one_that_was_killed_ends_the_refresh_in_words_and_lets_go_of_the_warehouse(project: DbtProject) -> None:
    other = beside(project)
    assert other is not None
    other.begin(helped_work.pid)
    pid = other.settle()[0]
    results = building(project, other, nodes(project), as_of=DAY, run_id="killed")
    next(results)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(BuildFailed, match=r"exit code -9.*RITORNO_MEMORY"):
        list(results)
    assert beside(project) is None
    assert DbtProject(project.home).build(nodes(project), as_of=DAY, run_id="again").failures == []


def test_other_engines_and_a_machine_with_one_core_run_dbt_in_this_process(project: DbtProject) -> None:
    assert beside(project) is not None
    url = "postgresql://reader@localhost/shop"
    assert beside(DbtProject(project.home, engine=make_engine("postgres", url))) is None
    helper.do_without(helper.DBT, helper.Gone("one core"))
    assert beside(project) is None

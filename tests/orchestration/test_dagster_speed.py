"""The shortcuts in dagster-dbt: taken with the versions locked, and the answers are dbt's."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ritorno import dagster_speed, dbt_speed
from ritorno.dbt import DbtProject, stages, with_stage_tags
from ritorno.home import PROJECT_ROOT, Home

WITHOUT_DBT = """
import json, sys
from ritorno.dagster_speed import import_without_dbt
import_without_dbt()
import dagster_dbt
from dagster_dbt import compat
imported = sorted(name for name in sys.modules if name.partition(".")[0] in ("dbt", "dbt_common"))
from dbt.contracts.results import NodeStatus, TestStatus
from dbt.node_types import NodeType
ours = [{one.name: str(one) for one in kind} for kind in (compat.NodeStatus, compat.TestStatus, compat.NodeType)]
dbts = [{one.name: str(one.value) for one in kind} for kind in (NodeStatus, TestStatus, NodeType)]
print(json.dumps([imported, ours, dbts, "dbt.version" in sys.modules]))
"""


def run(code: str) -> list[object]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT_ROOT, check=False)
    assert done.returncode == 0, done.stderr
    found: list[object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_dagster_dbt_is_imported_without_dbt_and_has_the_same_statuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(dbt_speed.PLAIN, raising=False)
    imported, ours, dbts, importable = run(WITHOUT_DBT)
    assert imported == []
    assert importable is True
    assert isinstance(ours, list)
    assert isinstance(dbts, list)
    for mine, theirs in zip(ours, dbts, strict=True):
        assert len(mine.keys() & theirs.keys()) >= 5
        assert all(mine[name] == theirs[name] for name in mine.keys() & theirs.keys())
    assert ours[0].keys() >= dbts[0].keys(), "a status that Dagster doesn't know"
    monkeypatch.setenv(dbt_speed.PLAIN, "1")
    assert "dbt.version" in str(run(WITHOUT_DBT)[0])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> DbtProject:
    return DbtProject(Home(tmp_path_factory.mktemp("home")).ensure())


def test_a_stage_is_what_dbts_own_selector_selects(project: DbtProject, monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster_dbt import asset_utils

    monkeypatch.delenv(dbt_speed.PLAIN, raising=False)
    found = stages(project.manifest())
    manifest = with_stage_tags(project.manifest(), found)
    plain = asset_utils.select_unique_ids
    for stage in found.dbt[1:]:
        dbts = plain(f"tag:{stage.name}", "", "", None, manifest)
        assert set(stage.nodes) < set(dbts)
        with dagster_speed.selected_by_tag(manifest):
            assert asset_utils.select_unique_ids is not plain, "the shortcut isn't taken"
            assert asset_utils.select_unique_ids(f"tag:{stage.name}", "", "", None, manifest) == dbts
    assert asset_utils.select_unique_ids is plain
    with dagster_speed.selected_by_tag(manifest):  # what it doesn't know is dbt's to answer
        orders = asset_utils.select_unique_ids("orders", "", "", None, manifest)
        assert "model.ritorno.orders" in orders
        both = ("tag:dbt_stage_0,orders", "", "", None, manifest)
        assert asset_utils.select_unique_ids(*both) == plain(*both)


def test_another_dagster_selects_by_dbt(project: DbtProject, monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster_dbt import asset_utils

    def select_unique_ids(select: str, manifest_json: object) -> None: ...

    monkeypatch.setattr(asset_utils, "select_unique_ids", select_unique_ids)
    with dagster_speed.selected_by_tag(project.manifest()):
        assert asset_utils.select_unique_ids is select_unique_ids
    monkeypatch.undo()
    monkeypatch.setenv(dbt_speed.PLAIN, "1")
    plain = asset_utils.select_unique_ids
    with dagster_speed.selected_by_tag(project.manifest()):
        assert asset_utils.select_unique_ids is plain

"""The dagster.yaml that docs/scale.md hands out is one that Dagster takes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import DagsterInstance, DagsterRunStatus, job, op
from dagster._core.launcher import DefaultRunLauncher
from dagster._core.run_coordinator import QueuedRunCoordinator

from ritorno.home import PROJECT_ROOT
from tests.audiences.destinations.servers import new_database, postgres_server

EXAMPLE = PROJECT_ROOT / "docs" / "examples" / "dagster-cluster.yaml"


@op(pool="warehouse")
def nothing() -> None: ...


@job
def small() -> None:
    nothing()


def test_the_example_of_a_cluster_is_an_instance_with_queue_launcher_and_shared_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(EXAMPLE, tmp_path / "dagster.yaml")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with postgres_server() as (host, port):
        url = new_database(host, port, "dagster").replace("postgresql://", "postgresql+psycopg2://")
        monkeypatch.setenv("RITORNO_DAGSTER_URL", url)
        with DagsterInstance.get() as instance:
            assert isinstance(instance.run_launcher, DefaultRunLauncher)
            coordinator = instance.run_coordinator
            assert isinstance(coordinator, QueuedRunCoordinator)
            concurrency = instance.get_concurrency_config()
            assert concurrency.run_queue_config is not None
            assert concurrency.run_queue_config.max_concurrent_runs == 4
            assert concurrency.pool_config.default_pool_limit == 1
            assert instance.run_monitoring_enabled
            run_id = small.execute_in_process(instance=instance).run_id
        with DagsterInstance.get() as elsewhere:  # another machine's
            found = elsewhere.get_run_by_id(run_id)
            assert found is not None
            assert found.status == DagsterRunStatus.SUCCESS
    assert not {"history", "runs", "schedules"} & {path.name for path in tmp_path.iterdir()}


def test_the_example_asks_of_a_run_what_the_homes_own_settings_ask() -> None:
    own: dict[str, Any] = yaml.safe_load(
        (PROJECT_ROOT / "orchestration" / "ritorno" / "dagster.yaml").read_text(encoding="utf-8")
    )
    shared: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    for name in ("telemetry", "concurrency", "compute_logs", "retention", "nux"):
        assert shared[name] == own[name]


def test_the_launcher_for_kubernetes_in_the_comment_is_yaml() -> None:
    lines = re.findall(r"^#   (.*)$", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE)
    launcher = yaml.safe_load("\n".join(lines))["run_launcher"]
    assert launcher["class"] == "K8sRunLauncher"
    assert launcher["config"]["volume_mounts"][0]["name"] == launcher["config"]["volumes"][0]["name"]

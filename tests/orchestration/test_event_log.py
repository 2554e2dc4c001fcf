"""Dagster's event log with connections kept open: the same rows as Dagster's own storage writes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage
from sqlalchemy import text

from ritorno.event_log import KeptOpenEventLog


@dg.asset(check_specs=[dg.AssetCheckSpec("sound", asset="orders")])
def orders() -> Any:
    yield dg.MaterializeResult(metadata={"rows": 3}, tags={"dagster/data_version": "seven"})
    yield dg.AssetCheckResult(passed=True, check_name="sound", metadata={"observed": "0 of 3 rows break it"})


@dg.asset(deps=[orders])
def customers() -> None: ...


@dg.asset_check(asset=customers)
def complete() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)


TABLES = {
    "event_logs": "dagster_event_type, step_key, asset_key, partition",
    "asset_keys": "asset_key, last_run_id is not null, last_materialization is not null, asset_details, "
    "last_materialization_timestamp is not null",
    "asset_event_tags": "asset_key, key, event_id",
    "asset_check_executions": "asset_key, check_name, execution_status, partition, evaluation_event is not null, "
    "evaluation_event_timestamp is not null, "
    "evaluation_event_storage_id, materialization_event_storage_id",
}


def written_by(storage: SqliteEventLogStorage, home: Path) -> dict[str, list[Any]]:
    """What two runs of a job leave in the index and in the files of the runs."""
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        instance._event_storage = storage
        storage.register_instance(instance)
        job = dg.Definitions(
            assets=[orders, customers], asset_checks=[complete]
        ).resolve_implicit_global_asset_job_def()
        runs = [job.execute_in_process(instance=instance).run_id for _ in range(2)]
        instance.create_run_for_job(job)  # planned, and never begun
        with storage.index_connection() as index:
            found = {
                table: sorted(map(tuple, index.execute(text(f"select {columns} from {table}"))), key=repr)
                for table, columns in TABLES.items()
            }
        for number, run_id in enumerate(runs):
            with storage.run_connection(run_id) as connection:
                rows = connection.execute(text(f"select {TABLES['event_logs']} from event_logs order by id"))
                found[f"run {number}"] = [tuple(row) for row in rows]
        return found


def test_the_same_rows_as_dagsters_own_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = written_by(SqliteEventLogStorage(str(tmp_path / "plain")), tmp_path)
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    kept = written_by(KeptOpenEventLog(str(tmp_path / "kept")), tmp_path)
    assert kept == plain
    assert len(kept["asset_check_executions"]) == 6
    assert [row[2] for row in kept["asset_check_executions"]].count("PLANNED") == 2
    assert len(kept["run 1"]) > 20


def test_a_batch_is_stored_whole_or_not_at_all_and_the_storage_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = KeptOpenEventLog(str(tmp_path / "kept"))
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        run = instance.create_run_for_job(dg.Definitions(assets=[orders]).resolve_implicit_global_asset_job_def())
        events = instance.all_logs(run.run_id)
        assert len(events) == 2  # what it plans: the asset and its check
        monkeypatch.setattr(storage, "store_asset_check_event", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            storage.store_event_batch(events)
        assert storage.get_logs_for_run(run.run_id) == []
        monkeypatch.undo()
        threads = [threading.Thread(target=storage.store_event_batch, args=(events,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(storage.get_logs_for_run(run.run_id)) == 8

"""A refresh from the command line: through Dagster's job, in this process, on the instance of the home."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ritorno import lock, publishing, shared_state
from ritorno.audiences import exposures
from ritorno.dagster_speed import import_without_dbt
from ritorno.dbt import environment
from ritorno.dbt_beside import beside, reading
from ritorno.errors import RitornoError, UnusableInput
from ritorno.helper import helping
from ritorno.home import Home
from ritorno.segments.definitions import load_segments
from ritorno.session import Progress, Request, Run, active

if TYPE_CHECKING:
    from dagster import DagsterInstance


KEEP_DAGSTER_RUNS = 60
DAGSTER_URL = "RITORNO_DAGSTER_URL"
"""Environment variable with the address of a PostgreSQL database for Dagster's runs, events and ticks."""
_OWN_STORAGE = "\n# Dagster's SQLite event log"
"""Where the part of dagster.yaml begins that the shared storage takes the place of: its last."""
_SHARED_STORAGE = f"""
storage:
  postgres:
    postgres_url:
      env: {DAGSTER_URL}
"""


@dataclass(frozen=True)
class Outcome:
    """How a refresh ended.

    Attributes:
        run: with its counts; `run.stopped` says why it stopped, if it did.
        exit_code: for the command line.
    """

    run: Run
    exit_code: int


class RefreshStopped(RitornoError):  # noqa: N818
    """A refresh ended without publishing."""

    def __init__(self, reason: str, exit_code: int) -> None:
        super().__init__(reason)
        self.exit_code = exit_code


def prepare_instance(home: Home) -> None:
    """Ship dagster.yaml into the home, and point Dagster there; its storage is RITORNO_DAGSTER_URL's if that is set.

    Raises:
        UnusableInput: RITORNO_DAGSTER_URL is no PostgreSQL URL.
    """
    home.ensure()
    shipped = Path(__file__).with_name("dagster.yaml").read_text(encoding="utf-8").replace("<home>", str(home.root))
    if _is_shared():
        scheme, _, rest = os.environ[DAGSTER_URL].partition("://")
        if scheme not in ("postgres", "postgresql", "postgresql+psycopg2") or not rest:
            raise UnusableInput(f"{DAGSTER_URL}: want postgresql://user:password@host:5432/database")
        # SQLAlchemy's own choice of driver since 2.1 is psycopg 3, which Dagster doesn't bring
        os.environ[DAGSTER_URL] = f"postgresql+psycopg2://{rest}"
        shipped = shipped[: shipped.index(_OWN_STORAGE)] + _SHARED_STORAGE
    installed = home.dagster / "dagster.yaml"
    if not installed.exists() or installed.read_text(encoding="utf-8") != shipped:
        fresh = installed.with_suffix(".new")
        fresh.write_text(shipped, encoding="utf-8")
        fresh.replace(installed)
    os.environ["DAGSTER_HOME"] = str(home.dagster)
    os.environ["RITORNO_HOME"] = str(home.root)
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "1000")  # what a run plans is stored in one go
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "yes")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")


def _is_shared() -> bool:
    """Whether Dagster's storage is a database that other homes and machines may use as well."""
    return bool(os.environ.get(DAGSTER_URL))


def refresh(request: Request, progress: Progress, *, wait: bool = True, send: bool = False) -> Outcome:
    """Carry out a refresh, and send the audiences if told; another one in the same home is waited for, or refused.

    Raises:
        RitornoError: it can't begin.
    """
    _refuse_mixing(request)
    prepare_instance(request.home)
    patience = shared_state.WAIT_SECONDS if wait else 0
    with (
        lock.hold(request.home, wait=wait, on_wait=progress.note),
        shared_state.locked(request.home, wait_seconds=patience, on_wait=progress.note),
    ):
        request.refuse_backdating()
        run = Run(request, progress)
        try:
            with run.recorded(), active(run), helping(run.log_file):
                _execute(run, send)
        finally:
            publishing.remove_unfinished(run.home)  # what was drafted, and then not published
    if run.stopped:
        return Outcome(run, run.stopped.exit_code)
    return Outcome(run, 1 if run.counts.get("audiences_open") else 0)


def _execute(run: Run, send: bool) -> None:
    with run.step("prepare"):
        with reading(run.dbt):  # the manifest is renewed here, so that the definitions find it fresh
            if beside(run.dbt) is not None:
                import_without_dbt()
            from dagster import DagsterInstance

        load_segments(run.dbt.manifest())  # refuses what a segment's YAML can't mean, before anything is read
        exposures.audiences(run.dbt.manifest())  # the same for audiences
        # a test's id holds the column's name in the engine's quotes: the definitions must be of the run's engine
        with environment({"RITORNO_ENGINE": run.request.engine.name}):
            from ritorno.definitions import JOB, SENDING_JOB, defs

        job = defs.resolve_job_def(SENDING_JOB if send else JOB)
        instance = DagsterInstance.get()
    with instance:
        _bury_the_dead(instance, run.home)
        result = job.execute_in_process(
            instance=instance,
            raise_on_error=False,
            tags={"ritorno/run": run.run_id, "ritorno/pid": str(os.getpid()), **_place(run.home)},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        if not result.success and run.stopped is None:
            run.stop("refresh", RefreshStopped(f"Dagster's run {result.run_id} failed; see {run.log_file}", 1))
        if not _is_shared():
            forget_old_runs(instance)


def forget_old_runs(instance: DagsterInstance, keep: int = KEEP_DAGSTER_RUNS) -> None:
    """Remove all but the newest runs from Dagster's history: 4 MB each, and the run log remembers them anyway."""
    for run_id in instance.get_run_ids()[keep:]:  # newest first
        instance.delete_run(run_id)


def _place(home: Home) -> dict[str, str]:
    """Tags that tell this home's runs from those of others that share the storage."""
    return {"ritorno/host": socket.gethostname(), "ritorno/home": str(home.root)}


def _bury_the_dead(instance: DagsterInstance, home: Home) -> None:
    """Runs of the command line that were killed still look alive to Dagster: say that they are not.

    We hold the home's lock, so none of this home's can be at work.
    """
    from dagster import DagsterRunStatus, RunsFilter

    alive = RunsFilter(statuses=[DagsterRunStatus.STARTED, DagsterRunStatus.STARTING], tags=_place(home))
    for dead in instance.get_runs(alive):
        if "ritorno/pid" in dead.tags:
            instance.report_run_failed(dead, "the process ended without saying why (killed, or the machine went down)")


def _refuse_mixing(request: Request) -> None:
    """Invented customers among real ones would be a quiet disaster."""
    demo = request.home.demo
    foreign = [source.path for source in request.sources if not source.path.is_relative_to(demo)]
    if demo.exists() and foreign:
        raise UnusableInput(
            f"{request.home.root} holds the demo's simulated shop, which {foreign[0]} would be mixed with. "
            f"Name another --home, or remove {request.home.root} first"
        )

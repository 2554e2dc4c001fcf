"""One refresh: what was asked for, its identity, how it stands, and why it stopped."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import duckdb

from ritorno.dbt import DbtProject
from ritorno.engines import Engine, make_engine
from ritorno.errors import RitornoError, UnusableInput
from ritorno.home import Home
from ritorno.incremental import Decision
from ritorno.landing import Source
from ritorno.policy import Policy
from ritorno.publishing import Draft, published_run
from ritorno.quality.history import forget_unpublished
from ritorno.run_log import RunLog

TRANSIENT = (duckdb.IOException, OSError)
"""What may pass by itself: a lock that somebody holds, a disk that hiccups. Bad data doesn't."""


class Progress(Protocol):
    """Who is told how a run goes."""

    def started(self, step: str) -> None:
        """A step began."""

    def detail(self, step: str, text: str) -> None:
        """Something happened inside a step."""

    def finished(self, step: str, seconds: float, status: str, counts: Mapping[str, Any]) -> None:
        """A step ended, `done` or `failed`."""

    def note(self, text: str) -> None:
        """Something that the reader should know."""


class Silent:
    """Tells nobody."""

    def started(self, step: str) -> None:
        """Nothing."""

    def detail(self, step: str, text: str) -> None:
        """Nothing."""

    def finished(self, step: str, seconds: float, status: str, counts: Mapping[str, Any]) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Request:
    """What a refresh was asked for.

    Attributes:
        home: where it writes.
        as_of: the day the marts are a function of.
        policy: the policy, with this run's overrides.
        sources: folders and files to land; none reads what stands in the warehouse's raw schema.
        forget: landed files whose rows are to go.
        backdate: publish although a newer day is published.
        accept_drift: what the drift checks find is reported, and stops nothing this once.
        engine: where dbt's SQL runs.
        full: build the heavy tier whole, whatever the policy would have.
    """

    home: Home
    as_of: date
    policy: Policy
    sources: Sequence[Source] = ()
    forget: Sequence[str] = ()
    backdate: bool = False
    accept_drift: bool = False
    engine: Engine = field(default_factory=make_engine)
    full: bool = False

    @cached_property
    def newest_published_day(self) -> date | None:
        """The newest day published in this home: what the pointer says, or what the run log remembers."""
        last = published_run(self.home)
        days = [day for day in (last.as_of if last else None, RunLog(self.home).newest_day()) if day is not None]
        return max(days, default=None)

    @property
    def is_backdated(self) -> bool:
        """Whether a newer day was already published in this home."""
        return self.newest_published_day is not None and self.as_of < self.newest_published_day

    def refuse_backdating(self) -> None:
        """Stop before anything is touched if this would put older marts over newer ones unasked.

        Raises:
            UnusableInput: says which day is published and what to do.
        """
        if self.is_backdated and not self.backdate:
            raise UnusableInput(
                f"as of {self.as_of} lies before {self.newest_published_day}, which is published in {self.home.root}: "
                "nothing was changed. "
                "Use another --home to look at an earlier day, or --backdate to publish it over the newer one"
            )


def yesterday(policy: Mapping[str, Any], now: datetime | None = None) -> date:
    """The last whole day in the business time zone."""
    zone = ZoneInfo(str(policy["business_timezone"]))
    return (now or datetime.now(UTC)).astimezone(zone).date() - timedelta(days=1)


@dataclass(frozen=True)
class Stopped:
    """Why a run stopped."""

    step: str
    reason: str
    exit_code: int


class Run:
    """A refresh under way. Its steps are timed, told to `progress`, and written to the run log."""

    def __init__(self, request: Request, progress: Progress | None = None) -> None:
        self.request = request
        self.home = request.home
        self.progress = progress or Silent()
        self.started_at = datetime.now(UTC)
        self.run_id = f"{self.started_at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        self.log_file = self.home.logs / f"{self.run_id}.log"
        self.stopped: Stopped | None = None
        self.published = False
        self.counts: dict[str, Any] = {}
        self.decisions: dict[str, Decision] = {}
        self.drafted: Draft | None = None
        self.logger = logging.getLogger(f"ritorno.run.{self.run_id}")
        self._log = RunLog(self.home)
        self._positions: dict[str, int] = {}

    @cached_property
    def dbt(self) -> DbtProject:
        """The dbt project with this run's policy."""
        return DbtProject(self.home, self.request.policy.overrides, self.request.engine, self.request.full)

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return (datetime.now(UTC) - self.started_at).total_seconds()

    @cached_property
    def backdated(self) -> bool:
        """Whether a newer day was published before this run began."""
        return self.request.is_backdated

    @property
    def writes_state(self) -> bool:
        """Whether what is no function of raw data and as-of may be written: not for a day that is past."""
        return not self.backdated

    @contextmanager
    def recorded(self) -> Iterator[Run]:
        """Write the run to the log, from start to end, and its log file beside."""
        self.home.ensure()
        handler = logging.FileHandler(self.log_file, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self.logger.addHandler(handler)
        logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
        logging.getLogger("great_expectations").setLevel(logging.WARNING)
        self.logger.setLevel(logging.INFO)
        self.logger.propagate = False
        # Asking for `backdated` here decides it before this run publishes anything itself.
        self._log.start(self.run_id, self.request.as_of, self.backdated)
        try:
            forget_unpublished(self.home.state)
            yield self
        except BaseException as error:
            self.stop("refresh", error)
            raise
        finally:
            self._finish()
            self.logger.removeHandler(handler)
            logging.getLogger().removeHandler(handler)
            handler.close()

    def _finish(self) -> None:
        stopped = self.stopped
        status = "failed" if stopped else "published" if self.published else "built"
        self.logger.info("%s after %.1f s", status, self.seconds)
        self._log.finish(
            self.run_id, status, stopped.step if stopped else None, stopped.reason if stopped else None, self.counts
        )

    @contextmanager
    def step(self, name: str) -> Iterator[dict[str, Any]]:
        """Time a step; the block may fill the counts it yields."""
        position = self._positions.setdefault(name, len(self._positions))
        began = time.monotonic()
        counts: dict[str, Any] = {}
        self.logger.info("%s started", name)
        self.progress.started(name)
        self._log.step(self.run_id, position, name, "running", None, {})
        status = "done"
        try:
            yield counts
        except TRANSIENT as error:  # tried again; when that ends badly too, Dagster's failure hook calls stop
            status = "failed"
            self.logger.warning("%s: %s", name, error)
            raise
        except GeneratorExit:  # nobody asks a step that tells what it does any more: whoever stopped says why
            status = "failed"
            raise
        except BaseException as error:
            status = "failed"
            self.stop(name, error)
            raise
        finally:
            if self.stopped and self.stopped.step == name:
                status = "failed"
            seconds = time.monotonic() - began
            self.logger.info("%s %s after %.2f s %s", name, status, seconds, counts)
            self._log.step(self.run_id, position, name, status, seconds, counts)
            self.progress.finished(name, seconds, status, counts)

    def detail(self, step: str, text: str) -> None:
        """Tell what happens inside a step."""
        self.logger.info("%s: %s", step, text)
        self.progress.detail(step, text)

    def note(self, text: str) -> None:
        """Say something that the reader should know."""
        self.logger.warning(text)
        self.progress.note(text)

    def stop(self, step: str, error: BaseException) -> None:
        """Remember why the run stopped; the first reason stays."""
        if self.stopped is not None:
            return
        if isinstance(error, RitornoError):
            self.logger.error("%s: %s", step, error)
            self.stopped = Stopped(step, str(error), error.exit_code)
            return
        self.logger.error("%s: unexpected error", step, exc_info=error)
        reason = "interrupted" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}"
        self.stopped = Stopped(step, reason.split("\n")[0], 1)


_active: Run | None = None


@contextmanager
def active(run: Run) -> Iterator[Run]:
    """Make `run` the one that the Dagster job of this process carries out."""
    global _active
    before, _active = _active, run
    try:
        yield run
    finally:
        _active = before


def active_run() -> Run | None:
    """The run that this process carries out, if it was started by the command line."""
    return _active

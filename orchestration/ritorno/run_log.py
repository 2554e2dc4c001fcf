"""The run log: every attempt to refresh, how it went, step by step, and why it stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from ritorno.home import Home
from ritorno.shared_state import home_id
from ritorno.sql import text
from ritorno.state import open_state

_SCHEMA = """
create schema if not exists runs;
create table if not exists runs.run (
    run_id varchar primary key,
    as_of date not null,
    backdated boolean not null,
    started_at timestamp not null,
    finished_at timestamp,
    status varchar not null,
    failed_step varchar,
    reason varchar,
    counts varchar,
    pid bigint not null
);
create table if not exists runs.step (
    run_id varchar not null,
    position integer not null,
    step varchar not null,
    started_at timestamp not null,
    seconds double,
    status varchar not null,
    counts varchar,
    primary key (run_id, position)
);
alter table runs.run add column if not exists home_id varchar;
"""


@dataclass(frozen=True)
class Attempt:
    """One attempt to refresh.

    Attributes:
        status: running, published, built (no marts published: a part was materialised by hand), failed, interrupted.
    """

    run_id: str
    as_of: date
    backdated: bool
    started_at: datetime
    finished_at: datetime | None
    status: str
    failed_step: str | None
    reason: str | None
    counts: Mapping[str, Any] = field(default_factory=dict)
    pid: int = 0


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class RunLog:
    """Writes and reads the schema `runs` of the state store. Each call opens the store for a moment only."""

    def __init__(self, home: Home) -> None:
        self.home = home

    def start(self, run_id: str, as_of: date, backdated: bool) -> None:
        """Record that a run began, and that earlier ones still called running were killed (we hold the lock)."""
        with open_state(self.home) as con:
            con.execute(_SCHEMA)
            con.execute(
                "update runs.run set status = 'interrupted', finished_at = coalesce(finished_at, ?), "
                "reason = 'the process ended without saying why (killed, or the machine went down)' "
                "where status = 'running'",
                [_now()],
            )
            con.execute("update runs.step set status = 'interrupted' where status = 'running'")
            con.execute(
                "insert into runs.run (run_id, as_of, backdated, started_at, status, pid, home_id) "
                "values (?, ?, ?, ?, ?, ?, ?)",
                [run_id, as_of, backdated, _now(), "running", os.getpid(), home_id(self.home)],
            )

    def step(self, run_id: str, position: int, step: str, status: str, seconds: float | None, counts: object) -> None:
        """Record how a step stands; the same position again replaces it."""
        with open_state(self.home) as con:
            con.execute(
                "insert or replace into runs.step "
                "select ?, ?, ?, cast(? as timestamp) - to_milliseconds(cast(? as bigint)), ?, ?, ?",
                [
                    run_id,
                    position,
                    step,
                    _now(),
                    int((seconds or 0) * 1000),
                    seconds,
                    status,
                    json.dumps(counts, default=str),
                ],
            )

    def finish(
        self, run_id: str, status: str, failed_step: str | None, reason: str | None, counts: Mapping[str, Any]
    ) -> None:
        """Record how a run ended."""
        with open_state(self.home) as con:
            con.execute(
                "update runs.run set status = ?, finished_at = ?, failed_step = ?, reason = ?, counts = ? "
                "where run_id = ?",
                [status, _now(), failed_step, reason, json.dumps(counts, default=str), run_id],
            )

    def newest_day(self) -> date | None:
        """The newest day that was ever published by a home of this state, None before the first."""
        if not self._exists():
            return None
        with open_state(self.home, read_only=True) as con:
            row = con.execute("select max(as_of) from runs.run where status = 'published'").fetchone()
        return row[0] if row else None

    def _exists(self) -> bool:
        if not self.home.state.exists():
            return False
        with open_state(self.home, read_only=True) as con:
            known = con.execute("select 1 from duckdb_tables() where schema_name = 'runs' and table_name = 'run'")
            return known.fetchone() is not None

    def last(self, limit: int = 1) -> Sequence[Attempt]:
        """This home's newest attempts, newest first; a running one whose process is gone is called interrupted."""
        if not self._exists():
            return []
        own = home_id(self.home)
        with open_state(self.home, read_only=True) as con:
            columns = {name for name, *_ in con.execute("describe runs.run").fetchall()}
            of_this_home = f"home_id is null or home_id = {text(own)}" if own and "home_id" in columns else "true"
            rows = con.execute(
                "select run_id, as_of, backdated, started_at, finished_at, status, failed_step, reason, counts, pid "
                f"from runs.run where {of_this_home} order by started_at desc, run_id desc limit ?",
                [limit],
            ).fetchall()
        return [_attempt(row) for row in rows]


def _attempt(row: Sequence[Any]) -> Attempt:
    run_id, as_of, backdated, started_at, finished_at, status, failed_step, reason, counts, pid = row
    if status == "running" and not _is_alive(pid):
        status, reason = "interrupted", "the process ended without saying why (killed, or the machine went down)"
    return Attempt(
        run_id=run_id,
        as_of=as_of,
        backdated=backdated,
        started_at=started_at,
        finished_at=finished_at,
        status=status,
        failed_step=failed_step,
        reason=reason,
        counts=json.loads(counts) if counts else {},
        pid=pid,
    )

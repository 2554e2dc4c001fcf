"""What `ritorno status` says: what is published, how fresh it is, how the last attempt went."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ritorno import shared_state
from ritorno.errors import RitornoError
from ritorno.home import Home
from ritorno.publishing import published_run
from ritorno.run_log import Attempt, RunLog

STALE_HOURS = 36


def size(path: Path) -> int:
    """Bytes of a file or of everything below a folder; 0 where there is none."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else 0


def age(then: datetime, now: datetime) -> str:
    """How long ago, in words."""
    minutes = int((now - then).total_seconds() // 60)
    if minutes < 120:
        return f"{minutes} minutes ago"
    if minutes < 48 * 60:
        return f"{minutes // 60} hours ago"
    return f"{minutes // (24 * 60)} days ago"


def megabytes(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e6:,.1f} MB"


def print_status(home: Home, console: Console | None = None, now: datetime | None = None) -> None:
    """Print it."""
    console = console or Console(highlight=False, soft_wrap=True)
    now = now or datetime.now(UTC)
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("Home", str(home.root))
    published = published_run(home)
    if published is None:
        table.add_row("Published", "nothing yet: ritorno refresh --raw DIR")
    else:
        stale = (now - published.published_at).total_seconds() > STALE_HOURS * 3600
        table.add_row("Published", f"run {published.run_id}, as of {published.as_of}")
        table.add_row("Fresh", f"{'NO, ' if stale else 'yes, '}published {age(published.published_at, now)}")
        table.add_row("Marts", f"{len(published.row_counts)} in {home.published / 'marts.duckdb'}")
    attempts = RunLog(home).last()
    if attempts:
        table.add_row("Last attempt", _attempt(attempts[0], now))
        if attempts[0].reason:
            table.add_row("Why", f"{attempts[0].failed_step or 'refresh'}: {attempts[0].reason}")
            table.add_row("Log", str(home.logs / f"{attempts[0].run_id}.log"))
    elif published is None:
        table.add_row("Last attempt", "none")
    if shared_state.is_shared():
        table.add_row("State", _shared(home))
    sizes = {
        "warehouse": home.warehouse,
        "state": home.state,
        "runs": home.runs,
        "quarantine": home.quarantine,
        "dagster": home.dagster,
        "logs": home.logs,
    }
    table.add_row("Sizes", ", ".join(f"{name} {megabytes(size(path))}" for name, path in sizes.items()))
    console.print(table, markup=False)


def _shared(home: Home) -> str:
    try:
        kept, marker = shared_state.look(home)
    except RitornoError as error:
        return str(error)
    lock = f", locked by {kept.lock}" if kept.locked_by else ""
    return f"version {kept.version} in PostgreSQL, {marker.version or 'none'} here{lock}"


def _attempt(attempt: Attempt, now: datetime) -> str:
    began = attempt.started_at.replace(tzinfo=UTC)
    ended = attempt.finished_at.replace(tzinfo=UTC) if attempt.finished_at else None
    took = f", {(ended - began).total_seconds():.0f} s" if ended and attempt.status != "interrupted" else ""
    return f"{attempt.status}, as of {attempt.as_of}, began {age(began, now)}{took} (run {attempt.run_id})"

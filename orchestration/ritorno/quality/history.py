"""Check results and metrics of every run, in the state store's schema `quality`; they outlive the warehouse.

A run's results are kept whether it was published or not, since a refused run is the one people ask about. Its
metrics are history for later runs only if no critical check of the stage failed: a fault must not become normal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb

from ritorno.quality.drift import DriftRule, Figure
from ritorno.quality.results import CheckResult
from ritorno.state import open_file

_NUMBER = ""
"""The member a plain number is stored under; a distribution has one row per member."""

_TABLES = """
create schema if not exists quality;
create table if not exists quality.check_results (
    run_id varchar not null, as_of date not null, checked_at timestamp not null,
    stage varchar not null, table_name varchar not null, check_name varchar not null, kind varchar not null,
    expectation varchar not null, column_name varchar, severity varchar not null,
    success boolean not null, judged boolean not null,
    observed varchar, expected varchar, reason varchar, rows_checked bigint, rows_failed bigint
);
create table if not exists quality.metrics (
    run_id varchar not null, as_of date not null, measured_at timestamp not null,
    stage varchar not null, table_name varchar not null,
    metric varchar not null, member varchar not null, value double not null, accepted boolean not null
);
"""

Figures = Mapping[tuple[str, str], Figure]
"""Figures by (table, metric key)."""


@contextmanager
def open_history(state: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The history for a moment; where there is no state store yet, an empty one that leaves nothing behind."""
    with open_file(state) if state.exists() else duckdb.connect() as con:
        con.execute(_TABLES)
        yield con


def earlier_figures(
    con: duckdb.DuckDBPyConnection, stage: str, table: str, rule: DriftRule, run_id: str, as_of: date
) -> list[Figure]:
    """A metric's figures of earlier accepted runs up to as-of, one per as-of date (its latest run), newest first.

    One per date, since a repeated refresh of a day is no second observation; not after as-of, so that a backdated
    run is compared with what came before it.
    """
    rows = con.execute(
        """
        with eligible as (
            select as_of, run_id, measured_at, member, value
            from quality.metrics
            where stage = ? and table_name = ? and metric = ? and accepted and run_id <> ? and as_of <= ?
        ),
        latest as (
            select as_of, max_by(run_id, (measured_at, run_id)) as run_id from eligible group by as_of
            order by as_of desc limit ?
        )
        select e.as_of, e.member, e.value
        from eligible as e inner join latest as l on e.as_of = l.as_of and e.run_id = l.run_id
        order by e.as_of desc, e.member
        """,
        [stage, table, rule.key, run_id, as_of, rule.history],
    ).fetchall()
    by_day: dict[date, dict[str, float]] = {}
    for day, member, value in rows:
        by_day.setdefault(day, {})[member] = value
    if rule.metric == "distribution":
        return list(by_day.values())
    return [members[_NUMBER] for members in by_day.values()]


def record(state: Path, stage: str, run_id: str, as_of: date, results: Sequence[CheckResult], figures: Figures) -> None:
    """Write a stage's results and metrics in one transaction; a repeat of the run replaces its own."""
    now = datetime.now(UTC).replace(tzinfo=None)
    accepted = not any(result.blocks for result in results)
    result_rows = [
        (
            run_id, as_of, now, stage, r.table, r.check_name, r.kind, r.expectation, r.column, r.severity,
            r.success, r.judged, r.observed, r.expected, r.reason, r.rows_checked, r.rows_failed,
        )
        for r in results
    ]  # fmt: skip
    metric_rows = [
        (run_id, as_of, now, stage, table, metric, member, value, accepted)
        for (table, metric), figure in figures.items()
        for member, value in _members(figure).items()
    ]
    state.parent.mkdir(parents=True, exist_ok=True)
    with open_file(state) as con:
        con.begin()
        con.execute(_TABLES)
        for name, rows in (("check_results", result_rows), ("metrics", metric_rows)):
            con.execute(f"delete from quality.{name} where run_id = ? and stage = ?", [run_id, stage])
            if rows:
                marks = ", ".join("?" * len(rows[0]))
                con.executemany(f"insert into quality.{name} values ({marks})", rows)
        con.commit()


def forget_unpublished(state: Path) -> None:
    """Take the figures of runs that were not published out of the history that later runs are compared with.

    A delivery that some later check refused, or a run that was killed, must not become what is normal: the mended
    delivery would then look like a loss. The results stay, for people to look at.
    """
    with open_file(state) as con:
        con.execute(_TABLES)
        con.execute(
            "update quality.metrics set accepted = false "
            "where accepted and run_id in (select run_id from runs.run where status not in ('published', 'running'))"
        )


def _members(figure: Figure) -> Mapping[str, float]:
    if figure is None:
        return {}
    return figure if isinstance(figure, Mapping) else {_NUMBER: figure}

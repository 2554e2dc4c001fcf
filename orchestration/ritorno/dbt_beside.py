"""dbt in a process of its own: Dagster stores what dbt did while dbt goes on with the next node.

Both are Python from end to end, and in one process each waits for the other's interpreter. So a helper (ritorno.helper)
imports dbt and reads the project while this process imports Dagster, and builds each stage; of every node it tells the
event and the rows of its table. The other engines count and fetch what dbt built when a stage has ended, so there, and
where there is no helper, dbt runs in this process.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date
from typing import Any

import duckdb

from ritorno import incremental
from ritorno.dbt import BuildFailed, BuildResult, DbtProject, Event, Failure
from ritorno.engines import Embedded
from ritorno.helper import DBT, Gone, Helper, do_without, helper, tell
from ritorno.home import Home
from ritorno.incremental import Decision

COUNTED = ("table", "touched", "incremental", "seed", "snapshot")
"""Materializations that make a table: counting a view would run it."""


def beside(project: DbtProject) -> Helper | None:
    """The process that runs dbt for a project, if there is one."""
    return helper(DBT) if isinstance(project.engine, Embedded) else None


@contextmanager
def reading(project: DbtProject) -> Iterator[None]:
    """Have dbt read its project while the block does something else; afterwards it is read, or soon will be.

    Raises:
        UnusableInput: the project can't be parsed.
    """
    other = beside(project)
    try:
        if other is not None:
            other.begin(_read, project.home, project.overrides, project.full)
        yield
        if other is not None and not project.is_fresh:  # somebody has to write manifest.json
            other.settle()
    except Gone as error:
        do_without(DBT, error)
    if beside(project) is None:
        assert project.parsed is not None


Told = tuple[Event, int | None, Decision | None]
"""A node's result event; the rows of the table it made; what it decided, if it is one of the decisions."""


def building(
    project: DbtProject, other: Helper, unique_ids: Sequence[str], *, as_of: date, run_id: str
) -> Generator[Told, None, BuildResult]:
    """DbtProject.build in the other process: tells each node as soon as it is done; returns the failures.

    Raises:
        BuildFailed: dbt could not start or stopped with an exception, or its process was killed.
    """
    asked = (project.home, project.overrides, project.full, project.hashes, list(unique_ids), as_of, run_id)
    try:
        failures: list[Failure] = yield from other.follow(_build, *asked)
    except Gone as error:
        do_without(DBT, error)
        raise BuildFailed(
            f"the process that ran dbt has ended without a word ({error}). If the machine ran out of memory, set "
            "RITORNO_MEMORY lower; RITORNO_HELPER=0 runs everything in one process"
        ) from error
    return BuildResult(failures=failures)


# --- in the other process

_kept: list[DbtProject] = []


def _project(home: Home, overrides: Mapping[str, Any], full: bool) -> DbtProject:
    """The project with what it has read; one for a refresh."""
    if not _kept or (_kept[0].home, _kept[0].overrides, _kept[0].full) != (home, overrides, full):
        _kept[:] = [DbtProject(home, overrides, Embedded(), full)]
    return _kept[0]


def _read(home: Home, overrides: Mapping[str, Any], full: bool) -> None:
    assert _project(home, overrides, full).parsed is not None


def _build(
    home: Home,
    overrides: Mapping[str, Any],
    full: bool,
    hashes: Mapping[str, str],
    unique_ids: Sequence[str],
    as_of: date,
    run_id: str,
) -> list[Failure]:
    project = _project(home, overrides, full)
    vars(project)["hashes"] = hashes  # known already, and here it would take reading manifest.json
    return project.build(
        unique_ids, as_of=as_of, run_id=run_id, on_event=lambda event: tell(_with_figures(event))
    ).failures


def _with_figures(event: Event) -> Told:
    """A node's event with what can be known while the stage goes on: by the connection that dbt keeps open."""
    node = event["data"]["node_info"]
    if node["node_status"] != "success" or node["materialized"] not in COUNTED:
        return event, None, None
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    opened: Any = DuckDBConnectionManager.env()
    with closing(opened.conn.cursor()) as cursor:
        con: duckdb.DuckDBPyConnection = cursor
        row = con.execute(f"select count(*) from {node['node_relation']['relation_name']}").fetchone()
        name = node["node_name"]
        decision = incremental.decision(con, name) if name in incremental.DECISIONS else None
    return event, int(row[0]) if row else None, decision

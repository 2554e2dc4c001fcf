"""A home built again beside the real one, from the same raw tables and state, and thrown away afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from ritorno import lock, shared_state, snapshots, sql
from ritorno.dbt import DbtProject, Manifest, environment, stages
from ritorno.errors import RitornoError
from ritorno.home import Home
from ritorno.policy import Policy
from ritorno.step_context import StepContext
from ritorno.steps import STEPS

LANDED = ("raw", "landing")
"""Schemas that nothing but landing makes."""


@contextmanager
def scratch_home(home: Home, name: str, schemas: Collection[str] = LANDED) -> Iterator[Home]:
    """A home below the real one's tmp with its raw tables and state, removed at the block's end.

    Args:
        home: the real one; it is read, under its lock, and not changed.
        name: what the folder's name begins with.
        schemas: what is copied of the warehouse.
    """
    home.ensure()
    with TemporaryDirectory(prefix=f"{name}-", dir=home.tmp) as folder:
        scratch = Home(Path(folder).resolve()).ensure()
        with lock.hold(home):
            copy(home, scratch, schemas)
        # the copy of the state is nobody else's
        with environment({"DBT_TARGET_PATH": str(scratch.root / "dbt"), shared_state.STATE_URL: ""}):
            yield scratch


def copy(home: Home, scratch: Home, schemas: Collection[str] = LANDED) -> None:
    """The schemas and the state, with what snapshots remember of past days; everything else is rebuilt."""
    with duckdb.connect(str(scratch.warehouse)) as con:
        con.execute(f"attach {sql.text(str(home.warehouse))} as original (read_only)")
        tables = con.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'original' "
            "and list_contains(?, schema_name)",
            [list(schemas)],
        ).fetchall()
        for schema, table in tables:
            con.execute(f'create schema if not exists "{schema}"')
            con.execute(f'create table "{schema}"."{table}" as from original."{schema}"."{table}"')
        con.execute("detach original")
        for step in STEPS:
            step.ensure(con)
    if home.state.exists():
        shutil.copyfile(home.state, scratch.state)
        snapshots.restore(scratch)


def build(
    project: DbtProject,
    day: date,
    policy: Policy,
    run_id: str,
    *,
    only: Collection[str] | None = None,
    without_steps: Collection[str] = (),
) -> None:
    """Build dbt's models and the Python steps in between, as of the day; no tests.

    Args:
        project: on the scratch home.
        day: as of when.
        policy: the run's.
        run_id: what the marts call the run.
        only: unique ids, `step.<name>` for a step; everything if None.
        without_steps: names of steps whose output tables stand already.
    """
    manifest = project.manifest()
    plan = stages(manifest)
    for stage in plan.dbt:
        ids = [unique_id for unique_id in stage.nodes if only is None or unique_id in only]
        if ids:
            project.build(ids, as_of=day, run_id=run_id).raise_for_failures()
        for step in plan.steps.get(stage.number, ()):
            if step.name in without_steps or (only is not None and f"step.{step.name}" not in only):
                continue
            with (
                duckdb.connect(str(project.home.warehouse)) as con,
                environment({"RITORNO_AS_OF": day.isoformat()}),
            ):
                con.execute("set TimeZone = 'UTC'")
                step.run(StepContext(con, policy.values, day, project.home, manifest, run_id))


def closure(manifest: Manifest, needed: set[str]) -> set[str]:
    """Everything upstream of these nodes, through Python steps too; a step is `step.<name>`."""
    producers = {output: step for step in STEPS for output in step.outputs}
    by_name = {
        node["name"]: unique_id
        for unique_id, node in manifest["nodes"].items()
        if node["resource_type"] in ("model", "seed", "snapshot")
    }
    wanted: set[str] = set()
    waiting = list(needed)
    while waiting:
        unique_id = waiting.pop()
        if unique_id in wanted:
            continue
        wanted.add(unique_id)
        if unique_id.startswith("source."):
            source = manifest["sources"].get(unique_id)
            step = producers.get(f"{source['source_name']}.{source['name']}") if source else None
            if step is not None:
                wanted.add(f"step.{step.name}")
                waiting += [by_name[name] for name in step.reads(manifest)]
        elif unique_id in manifest["nodes"]:
            waiting += manifest["nodes"][unique_id]["depends_on"].get("nodes", [])
        else:
            raise RitornoError(f"{unique_id}: dbt names it, and the project doesn't have it")
    return wanted

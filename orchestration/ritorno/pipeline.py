"""What each asset of a refresh does, as plain functions on a run; Dagster only says in which order."""

from __future__ import annotations

import os
import shutil
import traceback
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb

from ritorno import contract, incremental, landing, publishing, snapshots, sql
from ritorno.audiences import operate
from ritorno.audiences.engine import Report
from ritorno.audiences.exposures import Audience
from ritorno.dbt import BuildResult, Event, Manifest, Stage, environment
from ritorno.dbt_beside import beside, building
from ritorno.engines import make_engine
from ritorno.errors import CheckFailed, RitornoError, UnusableInput
from ritorno.helper import CHECKS, DBT, Helper, helped_by
from ritorno.home import Home
from ritorno.landing import Source
from ritorno.policy import load_policy
from ritorno.privacy import erase as erasure
from ritorno.quality import CheckResult, blocking, run_suites
from ritorno.quality.history import record as record_checks
from ritorno.report import INDEX, drawn
from ritorno.segments import shares as segment_shares
from ritorno.segments import store as segment_store
from ritorno.segments.definitions import load_segments
from ritorno.session import Request, Run, yesterday
from ritorno.step_context import StepContext
from ritorno.steps import STEPS, PythonStep

FILES = "files"
"""The system that `--raw` means: the canonical tables."""
QUARANTINE = "quarantined_rows"
"""The model of every row that could not be used."""
SCHEMAS_READ_IN_THE_HOME = frozenset({"marts", "segments", "policy", "snapshots"})
READ_IN_THE_HOME = frozenset(
    {
        *incremental.DECISIONS,
        QUARANTINE,
        "int_quality__row_statuses",
        "int_canonical__customers",
        "int_canonical__orders",
    }
)
"""What checks, publishing, audiences and the closing table read, wherever dbt's SQL runs."""
TIERS = frozenset({incremental.RUN, incremental.SUBSCRIPTIONS, incremental.LIFECYCLE})
"""Decisions that the closing lines repeat; what comes before these tiers stands in the log and in Dagster."""
DRAFTED_EARLY_BYTES = 2**30
"""Up to this size of the warehouse its marts are copied while they are checked."""
QUIET_DAYS = 7
"""An order missing for longer than this before as-of is worth a word: a late export, or a wrong --as-of."""


def make_request(
    *,
    home: Home,
    as_of: str | None = None,
    raw: str | None = None,
    sources: Mapping[str, str] | None = None,
    overrides: str | Path | Mapping[str, Any] | None = None,
    forget: Sequence[str] = (),
    backdate: bool = False,
    accept_drift: bool | None = None,
    engine: str = "",
    full: bool = False,
) -> Request:
    """A request from what a person or Dagster's configuration says.

    Raises:
        UnusableInput: a date, path, system or policy value can't be used.
    """
    policy = load_policy(overrides=overrides)
    given = [Source(system, Path(path)) for system, path in (sources or {}).items()]
    if raw is not None:
        given.insert(0, Source(FILES, Path(raw)))
    for source in given:
        if source.system not in contract.systems():
            known = ", ".join(contract.systems())
            raise UnusableInput(
                f"--source {source.system}={source.path}: no source system of this name; known: {known}"
            )
        if not source.path.exists():
            option = f"--raw {raw}" if source.system == FILES else f"--source {source.system}={source.path}"
            raise UnusableInput(f"{option}: no such file or folder")
    try:
        day = date.fromisoformat(as_of) if as_of else yesterday(policy.values)
    except ValueError:
        raise UnusableInput(f"--as-of {as_of}: not a date like 2024-03-31") from None
    return Request(
        home=home,
        as_of=day,
        policy=policy,
        sources=tuple(Source(source.system, source.path.absolute()) for source in given),
        forget=tuple(forget),
        backdate=backdate,
        accept_drift=_accepts_drift() if accept_drift is None else accept_drift,
        engine=make_engine(engine, home=home.root, policy=policy.values),
        full=full,
    )


def _accepts_drift() -> bool:
    return os.environ.get("RITORNO_ACCEPT_DRIFT", "").strip().lower() in {"1", "true", "yes"}


@contextmanager
def warehouse(run: Run) -> Iterator[duckdb.DuckDBPyConnection]:
    """The run's warehouse, open for writing."""
    con = duckdb.connect(str(run.home.warehouse), config={"temp_directory": str(run.home.tmp)})
    try:
        con.execute("set TimeZone = 'UTC'")
        sql.bound_memory(con)
        yield con
    finally:
        con.close()


def land(run: Run) -> Mapping[str, int]:
    """Land new and changed files, take out what is to be forgotten, bring the snapshots from the state store.

    Returns:
        rows by raw table.
    """
    with run.step("land") as counts:
        rows = _land(run, counts)
        snapshots.restore(run.home)
        with warehouse(run) as con:
            _send_landed(run, con)
        return rows


def _send_landed(run: Run, con: duckdb.DuckDBPyConnection) -> None:
    """Bring the engine what its SQL reads and others write: raw tables, ledger, snapshots, the steps' outputs."""
    landed = con.execute(
        "select schema_name, table_name from duckdb_tables() where schema_name in ('raw', 'landing', 'snapshots')"
    ).fetchall()
    run.request.engine.send(con, [*landed, *(table for step in STEPS for table in step.tables)], run.home.tmp)


def _land(run: Run, counts: dict[str, Any]) -> Mapping[str, int]:
    with warehouse(run) as con:

        def tell(file: landing.FileOutcome) -> None:
            if file.action != "unchanged":
                run.detail("land", f"{file.path.name}: {file.rows} rows {file.action}, {file.rejected} broken")

        for path in run.request.forget:
            run.note(f"{path}: {landing.forget(con, path)} rows forgotten")
        report = landing.land(
            con,
            run.request.sources,
            run_id=run.run_id,
            scratch=run.home.tmp,
            on_file=tell,
            rewriter=erasure.rewriter(run.home, run.request.policy.values, os.environ),
        )
        for step in STEPS:  # dbt builds what it can before a step ran for the first time
            step.ensure(con)
        for warning in report.warnings:
            run.note(warning)
        run.counts.update(files_read=len(report.read), rows_landed=report.rows)
        counts.update(files=len(report.files), read=len(report.read), rows=report.rows, broken=report.rejected)
        rows = landing.raw_rows(con)
        return {table.identifier: rows.get((table.system, table.name), 0) for table in contract.raw_tables()}


def check(run: Run, stage: str, marts: Sequence[Mapping[str, Any]] = ()) -> Sequence[CheckResult]:
    """Hold a stage's tables against their expectations; a critical failure becomes the run's reason to stop.

    What is about to be published is drafted meanwhile, if another process checks.
    """
    with run.step(f"check_{stage}") as counts:
        results = helped_by(
            CHECKS,
            lambda: _draft_early(run, marts),
            run_suites,
            run.home,
            stage,
            run.run_id,
            run.request.as_of,
            accept_drift=run.request.accept_drift,
            keep_history=run.writes_state,
        )
        failed = blocking(results)
        counts.update(checks=len(results), failed=len(failed), warnings=sum(not result.success for result in results))
        for result in results:
            if not result.success and not result.blocks:
                run.note(f"warning: {result.message}")
        if failed:  # told now, raised by stop_if_blocked once Dagster has seen every result
            run.stop(f"check_{stage}", _blocked(failed))
        return results


def stop_if_blocked(stage: str, results: Sequence[CheckResult]) -> None:
    """End the stage if a critical check failed.

    Raises:
        CheckFailed: names the checks.
    """
    failed = blocking([result for result in results if result.stage == stage])
    if failed:
        raise _blocked(failed)


def _blocked(failed: Sequence[CheckResult]) -> CheckFailed:
    more = f" (and {len(failed) - 3} more)" if len(failed) > 3 else ""
    return CheckFailed("; ".join(result.message for result in failed[:3]) + more)


def build(
    run: Run, stage: Stage, unique_ids: Sequence[str], manifest: Manifest
) -> Generator[tuple[Event, int | None], None, None]:
    """Build a dbt stage; tells each node that dbt has finished, and the rows of its table.

    Raises:
        duckdb.IOException: dbt met a locked or failing file, which may pass by itself.
        RitornoError: a node failed. By then all of them have been told.
    """
    with run.step(stage.name) as counts:
        if not unique_ids:
            return
        nodes = manifest["nodes"]
        total = sum(unique_id in nodes for unique_id in unique_ids)
        done = 0

        def on_event(event: Event) -> None:
            nonlocal done
            done += 1
            run.detail(stage.name, f"{done}/{total} {event['data']['node_info']['node_name']}")

        rows: dict[str, int] = {}
        other = beside(run.dbt)
        if other is None:
            result = run.dbt.build(unique_ids, as_of=run.request.as_of, run_id=run.run_id, on_event=on_event)
        else:
            result = yield from _built_beside(run, other, unique_ids, rows, on_event)
        if result.failures and not rows and all(_is_transient(failure.message) for failure in result.failures):
            raise duckdb.IOException(result.failures[0].message)
        if other is None:
            rows = _after_build(
                run, [nodes[unique_id] for unique_id in unique_ids if unique_id in stage.nodes], manifest
            )
        counts.update(models=len(rows), tests=len(set(unique_ids) & set(stage.tests)))
        _tell_what_was_built(run, stage, {nodes[unique_id]["name"] for unique_id in rows})
        for failure in result.failures:
            run.detail(stage.name, failure.message)
        try:
            result.raise_for_failures()
        except RitornoError as error:  # told now, raised once Dagster has seen every result
            run.stop(stage.name, error)
        for event in result.events:
            yield event, rows.get(event["data"]["node_info"]["unique_id"])
        result.raise_for_failures()


def _built_beside(
    run: Run, other: Helper, unique_ids: Sequence[str], rows: dict[str, int], on_event: Callable[[Event], None]
) -> Generator[tuple[Event, int | None], None, BuildResult]:
    """The nodes as the process beside finishes them; `rows` gets those of its tables."""
    results = building(run.dbt, other, unique_ids, as_of=run.request.as_of, run_id=run.run_id)
    while True:
        try:
            event, count, decision = next(results)
        except StopIteration as end:
            found: BuildResult = end.value
            return found
        on_event(event)
        if decision is not None:
            run.decisions[event["data"]["node_info"]["node_name"]] = decision
        if count is not None:
            rows[event["data"]["node_info"]["unique_id"]] = count
        yield event, count


def _tell_what_was_built(run: Run, stage: Stage, names: Collection[str]) -> None:
    decisions = [name for name in incremental.DECISIONS if name in names]
    if not decisions and QUARANTINE not in names:
        return
    with warehouse(run) as con:
        for name in decisions:
            _tell_decision(run, stage.name, name, con)
        if QUARANTINE in names:  # also when a check stops the run: that is when one wants to look
            landing.export_quarantine(con, run.home)


def _tell_decision(run: Run, step: str, name: str, con: duckdb.DuckDBPyConnection) -> None:
    decision = incremental.decision(con, name)
    if decision is None:
        return
    run.decisions[name] = decision
    run.detail(step, decision.sentence)
    if decision.is_news and name in TIERS:
        run.note(decision.sentence)


def _is_transient(message: str) -> bool:
    return "IO Error" in message and "Could not set lock" in message


def _after_build(run: Run, nodes: Sequence[Mapping[str, Any]], manifest: Manifest) -> dict[str, int]:
    """Count the tables among the nodes, and have those in the home that checks, steps and publishing read there."""
    engine = run.request.engine
    tables = {(node["schema"], node["alias"]): str(node["unique_id"]) for node in nodes}
    read_here = {name for step in STEPS for name in step.reads(manifest)} | READ_IN_THE_HOME
    with warehouse(run) as con:
        counts = engine.count(con, list(tables))
        wanted = [
            table
            for table in counts
            if table[0] in SCHEMAS_READ_IN_THE_HOME or manifest["nodes"][tables[table]]["name"] in read_here
        ]
        engine.fetch(con, wanted, run.home.tmp)
    return {tables[table]: count for table, count in counts.items()}


def run_step(run: Run, step: PythonStep, manifest: Manifest) -> tuple[Mapping[str, Any], Mapping[str, int]]:
    """Run a Python step on the warehouse, all of it or nothing; returns its figures and the rows of each output."""
    with run.step(step.name) as counts, warehouse(run) as con:
        with environment({"RITORNO_AS_OF": run.request.as_of.isoformat()}):
            step.ensure(con)
            figures = step.run(
                StepContext(con, run.request.policy.values, run.request.as_of, run.home, manifest, run.run_id)
            )
        run.request.engine.send(con, step.tables, run.home.tmp)
        if (decided := f"{step.name}.run") in incremental.DECISIONS:
            _tell_decision(run, step.name, decided, con)
        counts.update(figures)
        return figures, {output: sql.count(con, output) for output in step.outputs}


def check_segments(run: Run, manifest: Manifest) -> Sequence[CheckResult]:
    """Hold each segment's share of all people against what its YAML expects."""
    with run.step("check_segments") as counts:
        with warehouse(run) as con:
            results = segment_shares.check(con, load_segments(manifest), run.request.policy.values, run.request.as_of)
        if run.writes_state:
            record_checks(run.home.state, segment_shares.STAGE, run.run_id, run.request.as_of, results, {})
        failed = blocking(results)
        counts.update(checks=len(results), failed=len(failed), warnings=sum(not result.success for result in results))
        for result in results:
            if not result.success and not result.blocks:
                run.note(f"warning: {result.message}")
        if failed:
            run.stop("check_segments", _blocked(failed))
        return results


def write_state(run: Run) -> Mapping[str, Any]:
    """Write what outlives the warehouse: last of all, when everything is checked and published.

    A run of a past day writes nothing. If this fails the marts are published and the state is that of the run before:
    a repeat of the day writes it, and without one the next day's run goes on from the day before.
    """
    with run.step("write_state") as counts:
        if run.stopped is not None:
            raise CheckFailed(run.stopped.reason)
        if not run.writes_state:
            run.detail("write_state", "a newer day is published: nothing is remembered of this one")
            return {}
        counts["snapshot_rows"] = snapshots.keep(run.home)
        saved = segment_store.save(run.home, run.request.as_of, run.run_id)
        if saved is None:
            run.note(f"segment state of a later day than {run.request.as_of} stands: nothing was written over it")
            return {}
        counts.update(saved)
        return saved


def publish(run: Run, marts: Sequence[Mapping[str, Any]]) -> publishing.PublishedRun:
    """Publish the marts, and count what the closing table shows."""
    with run.step("publish") as counts:
        if run.stopped is not None:
            raise CheckFailed(run.stopped.reason)
        published = publishing.show(
            run.home,
            run.drafted or _draft(run, marts),
            backdated=run.backdated,
            keep_runs=int(run.request.policy.values.get("keep_runs", 7)),
        )
        run.request.engine.publish([(mart["schema"], mart["name"]) for mart in marts], run.run_id, run.request.as_of)
        run.published = True
        run.counts.update(_totals(run), marts=len(published.row_counts))
        counts.update(marts=len(published.row_counts), rows=sum(published.row_counts.values()))
        _warn_if_quiet(run)
        return published


def _draft(run: Run, marts: Sequence[Mapping[str, Any]]) -> publishing.Draft:
    return publishing.draft(
        run.home,
        [_mart(mart) for mart in marts],
        run.run_id,
        run.request.as_of,
        reporting_currency=run.request.policy.values.get("reporting_currency"),
        also_write=[lambda folder: _draw_report(run, folder)],
    )


def _draft_early(run: Run, marts: Sequence[Mapping[str, Any]]) -> None:
    """Draft what is to be published while it is checked: of a small shop, since both want memory.

    What can't be drafted now will be told by publishing, which tries again.
    """
    if not marts or run.home.warehouse.stat().st_size > DRAFTED_EARLY_BYTES:
        return
    try:
        run.drafted = _draft(run, marts)
    except (duckdb.Error, OSError) as error:
        run.logger.warning("nothing was drafted early: %s", error)


def _mart(node: Mapping[str, Any]) -> publishing.Mart:
    columns = {name: column.get("description", "") for name, column in node.get("columns", {}).items()}
    return publishing.Mart(node["name"], node["schema"], node["description"], columns)


def _draw_report(run: Run, folder: Path) -> None:
    """Draw the report. Marts that passed every check are published even if it can't be drawn; that is said."""
    try:
        for note in helped_by(DBT, lambda: None, drawn, folder):
            run.note(note)
    except Exception as error:
        shutil.rmtree(folder / INDEX.parent, ignore_errors=True)
        run.note(f"the report could not be drawn ({type(error).__name__}: {error}); `ritorno report` tries again")


def _totals(run: Run) -> dict[str, Any]:
    """The figures of the closing table."""
    with warehouse(run) as con:
        names = {
            (schema, name)
            for schema, name in con.execute("select schema_name, table_name from duckdb_tables()").fetchall()
        }

        def figure_of(sql: str) -> int:
            row = con.execute(sql).fetchone()
            return int(row[0] or 0) if row else 0

        totals: dict[str, Any] = {
            # rows as delivered: one line of online_retail becomes an order, a line, a customer and a product
            "rows_in": sum(landing.raw_rows(con).values()) + figure_of("select count(*) from landing.rejects"),
        }
        if ("intermediate", "int_quality__row_statuses") in names:
            totals["quarantined"] = figure_of(
                "select sum(row_count) from intermediate.int_quality__row_statuses where row_status = 'quarantined'"
            )
        for mart, figure in (("excluded_orders", "excluded"), ("customers", "customers"), ("orders", "orders")):
            if ("marts", mart) in names:
                totals[figure] = figure_of(f"select count(*) from marts.{mart}")
        if ("marts", "orders") in names:
            row = con.execute("select max(order_date) from marts.orders").fetchone()
            totals["newest_order"] = row[0] if row else None
        return totals


def _warn_if_quiet(run: Run) -> None:
    newest = run.counts.get("newest_order")
    if "newest_order" not in run.counts:
        return
    if newest is None:
        run.note(f"there is no valid order up to {run.request.as_of}: is --as-of right, and the raw folder?")
    elif run.request.as_of - newest > timedelta(days=QUIET_DAYS):
        days = (run.request.as_of - newest).days
        run.note(
            f"the newest order is of {newest}, {days} days before {run.request.as_of}: recency and churn count them. "
            f"If the data ends there, say --as-of {newest}"
        )


@dataclass(frozen=True)
class Sent:
    """What sending an audience came to, in counts.

    Attributes:
        figures: for Dagster and the terminal; no keys, no addresses.
        problems: by check, None where it passed.
    """

    figures: Mapping[str, Any]
    problems: Mapping[str, str | None]


def send_audience(run: Run, audience: Audience, manifest: Manifest) -> Sent:
    """Send one audience of the run that was just published.

    What stops it stops nothing else: the marts are published, and the next audience goes on.
    """
    with run.step(f"send_{audience.name}") as counts:
        if run.stopped is not None:
            raise CheckFailed(run.stopped.reason)
        if not run.writes_state:
            run.detail(f"send_{audience.name}", "a run of a past day sends nothing")
            return Sent({"status": "a past day sends nothing"}, dict.fromkeys(("guards", "acknowledged", "applied")))
        context = operate.Context(run.home, manifest, run.request.policy.values, run_id=run.run_id)
        try:
            sent = _sent(operate.send(context, audience))
        except RitornoError as error:
            sent = Sent({"status": "not sent"}, {"guards": str(error), "acknowledged": None, "applied": None})
        except Exception as error:  # one audience's fault is not the refresh's; its text may hold an address
            where = "".join(traceback.format_tb(error.__traceback__))
            run.logger.error("send_%s: unexpected %s\n%s", audience.name, type(error).__name__, where)
            problem = f"unexpected {type(error).__name__}; ritorno send {audience.name} shows where (RITORNO_DEBUG=1)"
            sent = Sent({"status": "failed"}, {"guards": None, "acknowledged": problem, "applied": None})
        counts.update(sent.figures)
        for problem in filter(None, sent.problems.values()):
            run.note(problem)
        if any(sent.problems[name] for name in ("guards", "acknowledged")):
            run.counts["audiences_open"] = run.counts.get("audiences_open", 0) + 1
        else:
            run.counts["audiences_sent"] = run.counts.get("audiences_sent", 0) + 1
        return sent


def _sent(report: Report) -> Sent:
    plan, outcome = report.plan, report.outcome
    drift = {kind: report.drift.get(kind, 0) for kind in ("missing", "lingering", "foreign")}
    figures = {
        "status": report.status,
        "run": report.run_id,
        "digest": plan.digest,
        "members": plan.members,
        "wanted": plan.wanted,
        **{f"to_{kind.name.lower()}": count for kind, count in plan.counts.items()},
        "acknowledged": outcome.acknowledged,
        "refused": outcome.refused,
        "unknown": outcome.unknown,
        "not_sent": outcome.not_sent,
        **drift,
    }
    name = plan.audience.name
    held = "; ".join(trip.message for trip in plan.trips) if report.status == "held" else None
    open_ends = {"refused": outcome.refused, "unknown": outcome.unknown, "not sent": outcome.not_sent}
    shown = ", ".join(f"{count:,} {what}" for what, count in open_ends.items() if count)
    drifted = ", ".join(f"{count:,} {kind}" for kind, count in drift.items() if count)
    return Sent(
        figures,
        {
            "guards": f"audience {name} was held: {held}; ritorno plan {name}" if held else None,
            "acknowledged": f"audience {name}: {shown}{f' ({outcome.reason})' if outcome.reason else ''}"
            if shown
            else None,
            "applied": f"audience {name}: read back, {drifted}" if drifted else None,
        },
    )

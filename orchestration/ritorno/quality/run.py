"""Run a stage's checks: expectations and drift, results kept with history."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import date
from pathlib import Path

import duckdb

from ritorno import sql
from ritorno.errors import UnusableInput
from ritorno.home import Home
from ritorno.quality import gx, history, overview
from ritorno.quality.drift import Figure, judge
from ritorno.quality.expectations import FOLDER, Drift, Suite, load_suites
from ritorno.quality.metrics import measure, relation
from ritorno.quality.results import CheckResult


def run_suites(
    home: Home,
    stage: str,
    run_id: str,
    as_of: date,
    *,
    folder: Path = FOLDER,
    accept_drift: bool = False,
    keep_history: bool = True,
) -> list[CheckResult]:
    """Check every table of a stage that has a suite, keep the results, and write Data Docs.

    Args:
        home: where warehouse, state and Data Docs stand. Nobody may hold the warehouse for writing meanwhile.
        stage: `raw` after landing, `marts` after dbt.
        run_id: the run the results belong to; a repeat replaces them.
        as_of: the run's date.
        folder: the suites.
        accept_drift: report drift as warnings, for the one run after a change that was meant.
        keep_history: whether results and figures go to the state store; a run as of a past day writes no state.

    Returns:
        One result for each of `expected_checks(stage)`, in its order. The caller stops the run if
        `blocking(results)` is not empty.

    Raises:
        UnusableInput: a suite is misspelt or doesn't fit its table.
    """
    suites = load_suites(stage, folder)
    built = gx.build(suites, as_of)
    queries, empty, figures = _look(home.warehouse, suites, as_of)
    checked = gx.validate(
        home.warehouse,
        stage,
        queries,
        [suite for suite in suites if suite.expectations and suite.table not in empty],
        built,
        home.docs / stage,
    )
    by_name = {(result.table, result.check_name): result for result in checked}
    results: list[CheckResult] = []
    with history.open_history(home.state) as past:
        for suite in suites:
            results += [
                by_name.get((suite.table, entry.check_name)) or _unjudged(suite, index)
                for index, entry in enumerate(suite.expectations)
            ]
            for entry in suite.drift:
                before = history.earlier_figures(past, stage, suite.table, entry.rule, run_id, as_of)
                results.append(_drift(suite, entry, figures[suite.table, entry.rule.key], before, accept_drift))
    if keep_history:
        history.record(home.state, stage, run_id, as_of, results, figures)
    overview.write(home, results, stage, run_id, as_of)
    return results


def _look(
    warehouse: Path, suites: Sequence[Suite], as_of: date
) -> tuple[dict[str, str], set[str], dict[tuple[str, str], Figure]]:
    """By table: the query to read, whether it is an optional table without rows, and the figures for drift."""
    if not warehouse.is_file():
        raise UnusableInput(f"no warehouse at {warehouse}: land and build first")
    queries: dict[str, str] = {}
    empty: set[str] = set()
    figures: dict[tuple[str, str], Figure] = {}
    with closing(duckdb.connect(str(warehouse), read_only=True)) as con:
        con.execute("set TimeZone = 'UTC'")
        for suite in suites:
            query = relation(suite, _columns(con, suite))
            queries[suite.table] = query
            rows = _scalar(con, suite, f"select count(*) from ({query}) as t")
            if suite.optional and rows == 0:
                empty.add(suite.table)
            for entry in suite.drift:
                try:
                    figures[suite.table, entry.rule.key] = measure(con, query, entry.rule, as_of)
                except duckdb.Error as error:
                    raise UnusableInput(f"{suite.path}: {entry.check_name} can't be measured: {error}") from error
    return queries, empty, figures


def _columns(con: duckdb.DuckDBPyConnection, suite: Suite) -> list[str]:
    columns = list(sql.column_types(con, suite.stage, suite.table))
    if not columns:
        raise UnusableInput(f"{suite.path}: there is no table {suite.label} in the warehouse")
    used = {name for entry in suite.expectations for name in entry.columns}
    missing = sorted(used - set(columns) - set(suite.columns))
    if missing:
        raise UnusableInput(f"{suite.path}: {suite.label} has no column {', '.join(missing)}")
    return columns


def _scalar(con: duckdb.DuckDBPyConnection, suite: Suite, query: str) -> int:
    try:
        row = con.execute(query).fetchone()
    except duckdb.Error as error:
        raise UnusableInput(f"{suite.path}: its columns can't be read: {error}") from error
    return int(row[0]) if row else 0


def _unjudged(suite: Suite, index: int) -> CheckResult:
    entry = suite.expectations[index]
    return CheckResult(
        stage=suite.stage,
        table=suite.table,
        check_name=entry.check_name,
        kind="expectation",
        expectation=entry.type,
        column=", ".join(entry.columns) or None,
        severity=entry.severity,
        success=True,
        judged=False,
        observed="the table has no rows",
        expected="an optional table may be empty",
        reason=entry.reason,
        rows_checked=0,
        rows_failed=0,
    )


def _drift(suite: Suite, entry: Drift, figure: Figure, earlier: Sequence[Figure], accept: bool) -> CheckResult:
    verdict = judge(entry.rule, figure, earlier)
    accepted = accept and not verdict.success
    return CheckResult(
        stage=suite.stage,
        table=suite.table,
        check_name=entry.check_name,
        kind="drift",
        expectation=f"drift_{entry.rule.metric}",
        column=entry.rule.column,
        severity="warning" if accepted else entry.severity,
        success=verdict.success,
        judged=verdict.judged,
        observed=verdict.observed + (" (accepted for this run)" if accepted else ""),
        expected=verdict.expected,
        reason=entry.reason,
    )

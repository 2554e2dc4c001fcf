"""Great Expectations behind one function: a suite and a warehouse in, results and Data Docs out.

Great Expectations is imported inside the functions: the import costs 7 s, which only a run of checks should pay.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from ritorno.errors import UnusableInput
from ritorno.quality import duckdb_dialect
from ritorno.quality.expectations import Expectation, Suite, with_as_of
from ritorno.quality.results import CheckResult

NOT_SUPPORTED: Mapping[str, str] = {
    # divides by zero when a value vanishes, which is what one would like to hear about
    "expect_column_kl_divergence_to_be_less_than": "write a `drift:` entry with metric distribution",
    "expect_column_values_to_match_regex": "write a dbt test",
    "expect_column_values_to_not_match_regex": "write a dbt test",
    "expect_column_values_to_match_like_pattern": "write a dbt test",
    "expect_column_values_to_not_match_like_pattern": "write a dbt test",
}
"""Expectations that don't work on DuckDB (regex and LIKE aren't pushed down), and what to write instead."""

# Counts, not values: what fails may be an e-mail address, and results and Data Docs are kept.
_RESULT_FORMAT = {"result_format": "SUMMARY", "partial_unexpected_count": 0}


@contextmanager
def quiet() -> Iterator[None]:
    """No telemetry, none of its deprecation chatter, and no pyspark.

    Great Expectations imports pyspark where it finds it, and with it Spark Connect, which ends a process that was
    started with `python -c` (it takes it for its own doctests) unless all of its own requirements are there.
    """
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    loaded = sys.modules.get("pyspark")
    sys.modules["pyspark"] = None  # type: ignore[assignment]  # makes its import fail
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        del sys.modules["pyspark"]
        if loaded is not None:
            sys.modules["pyspark"] = loaded


def build(suites: Sequence[Suite], as_of: date) -> dict[tuple[str, str], Any]:
    """Great Expectations' objects by (table, check name).

    `ExpectationSuite(expectations=[…])` silently drops a misspelt type; building each by itself raises.

    Raises:
        UnusableInput: a type or an argument is misspelt; the message names file and expectation.
    """
    return {
        (suite.table, entry.check_name): _expectation(suite, entry, as_of)
        for suite in suites
        for entry in suite.expectations
    }


def _expectation(suite: Suite, entry: Expectation, as_of: date) -> Any:  # noqa: ANN401  Great Expectations has no types
    with quiet():
        from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

        where = f"{suite.path}: expectation {entry.type}"
        if entry.type in NOT_SUPPORTED:
            raise UnusableInput(f"{where}: can't be checked here: {NOT_SUPPORTED[entry.type]}")
        try:
            return ExpectationConfiguration(
                type=entry.type,
                kwargs=dict(with_as_of(entry.kwargs, as_of)),
                severity=entry.severity,
                meta={"check_name": entry.check_name},
                description=entry.reason,
            ).to_domain_obj()
        except Exception as error:  # GX raises its own, pydantic's and TypeErrors alike
            problem = " ".join(str(error).split())
            raise UnusableInput(f"{where} ({entry.check_name}): {problem}") from error


def validate(
    warehouse: Path,
    stage: str,
    queries: Mapping[str, str],
    suites: Sequence[Suite],
    built: Mapping[Any, Any],
    docs: Path,
) -> list[CheckResult]:
    """Run suites against the warehouse and write Data Docs to `docs`.

    Args:
        warehouse: the DuckDB file, opened for reading.
        stage: which stage's suites these are.
        queries: by table, what to read.
        suites: the suites to run.
        built: from `build`.
        docs: the folder of this stage's Data Docs; replaced as a whole.
    """
    with quiet():
        import great_expectations as gx

        duckdb_dialect.register()
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False, "metric_calculations": False}
        scratch = docs.with_name(docs.name + ".new")
        shutil.rmtree(scratch, ignore_errors=True)
        _place_docs(context, scratch)
        _store_plain_values(context.validation_results_store)
        source = context.data_sources.add_sql(
            name="warehouse",
            connection_string=f"{duckdb_dialect.DIALECT}:///{warehouse}",
            create_temp_table=False,
        )
        results: list[CheckResult] = []
        # GX connects anew for each metric; 270 times 65 ms, unless somebody of this process has the file open already
        with closing(duckdb.connect(str(warehouse), read_only=True)):
            for suite in suites:
                definition = _definition(gx, context, source, queries[suite.table], suite, built)
                outcome = definition.run(result_format=_RESULT_FORMAT)
                results.extend(_results(suite, outcome))
        context.build_data_docs()
        shutil.rmtree(docs, ignore_errors=True)
        docs.parent.mkdir(parents=True, exist_ok=True)
        scratch.rename(docs)
    return results


def _place_docs(context: Any, folder: Path) -> None:  # noqa: ANN401
    """Send the Data Docs to `folder` instead of a temporary folder that nobody would ever delete."""
    for name, site in list(context.variables.data_docs_sites.items()):
        shutil.rmtree(site["store_backend"]["base_directory"], ignore_errors=True)
        context.delete_data_docs_site(name)
    context.add_data_docs_site(
        site_name="docs",
        site_config={
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)},
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        },
    )


def _store_plain_values(store: Any) -> None:  # noqa: ANN401
    """Make the store of results take numpy's booleans and floats, which quantiles yield and its JSON refuses."""
    keep = store.store_validation_results

    def keep_plain(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        outcome = next(value for value in [*args, *kwargs.values()] if hasattr(value, "results"))
        outcome.success = bool(outcome.success)
        for result in outcome.results:
            result.success = bool(result.success)
            result.result = _plain(result.result)
        return keep(*args, **kwargs)

    store.store_validation_results = keep_plain


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value


def _definition(gx: Any, context: Any, source: Any, query: str, suite: Suite, built: Mapping[Any, Any]) -> Any:  # noqa: ANN401
    asset = source.add_query_asset(name=suite.label, query=query)
    gx_suite = context.suites.add(gx.ExpectationSuite(name=suite.label))
    for entry in suite.expectations:
        gx_suite.add_expectation(built[suite.table, entry.check_name])
    batch = asset.add_batch_definition_whole_table("all")
    return context.validation_definitions.add(gx.ValidationDefinition(name=suite.label, data=batch, suite=gx_suite))


def _results(suite: Suite, outcome: Any) -> Iterator[CheckResult]:  # noqa: ANN401
    found = {result.expectation_config.meta["check_name"]: result.to_json_dict() for result in outcome.results}
    for entry in suite.expectations:
        if entry.check_name not in found:
            raise UnusableInput(f"{suite.path}: Great Expectations did not run {entry.check_name}")
        yield _result(suite, entry, found[entry.check_name])


def _result(suite: Suite, entry: Expectation, outcome: Mapping[str, Any]) -> CheckResult:
    raised = _exception(outcome.get("exception_info") or {})
    if raised:
        raise UnusableInput(f"{suite.path}: expectation {entry.type} ({entry.check_name}) can't be run: {raised}")
    detail = outcome.get("result") or {}
    arguments = outcome["expectation_config"]["kwargs"]
    hidden = {"column", "column_A", "column_B", "column_list", "batch_id"}
    expected = {key: value for key, value in arguments.items() if key not in hidden}
    return CheckResult(
        stage=suite.stage,
        table=suite.table,
        check_name=entry.check_name,
        kind="expectation",
        expectation=entry.type,
        column=", ".join(entry.columns) or None,
        severity=entry.severity,
        success=bool(outcome["success"]),
        judged=True,
        observed=_observed(detail),
        expected=", ".join(f"{key} {_text(value)}" for key, value in expected.items()) or "holds",
        reason=entry.reason,
        rows_checked=detail.get("element_count"),
        rows_failed=detail.get("unexpected_count"),
    )


def _exception(info: Mapping[str, Any]) -> str | None:
    """The message of an exception raised while checking: flat, or by metric."""
    if "raised_exception" in info:
        return str(info.get("exception_message")) if info["raised_exception"] else None
    return next((message for nested in info.values() if (message := _exception(nested))), None)


def _observed(detail: Mapping[str, Any]) -> str:
    if detail.get("unexpected_count") is not None and "element_count" in detail:
        return f"{detail['unexpected_count']} of {detail['element_count']} rows break it"
    return (
        _text(detail.get("observed_value"))
        if "observed_value" in detail
        else "holds"
        if detail == {}
        else _text(detail)
    )


def _text(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, default=str)

"""MetricFlow on a published run: the engine of `mf query`, without its terminal, its log files and its look at PyPI."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import duckdb
from metricflow.engine.metricflow_engine import MetricFlowEngine, MetricFlowQueryRequest
from metricflow.protocols.sql_client import SqlEngine
from metricflow.sql.render.duckdb_renderer import DuckDbSqlPlanRenderer
from metricflow_semantics.model.dbt_manifest_parser import parse_manifest_from_dbt_generated_manifest
from metricflow_semantics.model.semantic_manifest_lookup import SemanticManifestLookup


class _Dialect:
    """What MetricFlow must know of the engine to write its SQL; the SQL is run by us."""

    sql_engine_type = SqlEngine.DUCKDB
    sql_plan_renderer = DuckDbSqlPlanRenderer()

    @staticmethod
    def render_bind_parameter_key(bind_parameter_key: str) -> str:
        return f"${bind_parameter_key}"


class Metrics:
    """The project's metrics, asked on one connection."""

    def __init__(self, semantic_manifest: Mapping[str, Any], con: duckdb.DuckDBPyConnection) -> None:
        self._manifest = semantic_manifest
        self._con = con

    @cached_property
    def _engine(self) -> MetricFlowEngine:
        parsed = parse_manifest_from_dbt_generated_manifest(json.dumps(self._manifest))
        return MetricFlowEngine(SemanticManifestLookup(parsed), _Dialect())  # type: ignore[arg-type]

    @property
    def names(self) -> list[str]:
        return [metric["name"] for metric in self._manifest["metrics"]]

    def sql(self, metrics: Sequence[str], by: Sequence[str] = ()) -> str:
        request = MetricFlowQueryRequest.create(metric_names=list(metrics), group_by_names=list(by))
        return str(self._engine.explain(request).sql_statement.without_descriptions.sql)

    def ask(self, metrics: Sequence[str], by: Sequence[str] = ()) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """Values of the metrics by what they are grouped by."""
        cursor = self._con.execute(self.sql(metrics, by))
        # by name: MetricFlow puts metrics of one source beside each other, whatever the order they were asked in
        place = {column[0]: position for position, column in enumerate(cursor.description or [])}
        rows = cursor.fetchall()
        return {
            tuple(_day(row[place[name]]) for name in by): tuple(row[place[name]] for name in metrics) for row in rows
        }


def _day(value: Any) -> Any:
    return value.date() if hasattr(value, "date") else value

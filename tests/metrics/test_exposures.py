"""Exposures name what the report and BI read, no more and no less, so that lineage tells whom an edit concerns."""

from __future__ import annotations

import ast
import re
from typing import Any

import pytest

from ritorno.home import PROJECT_ROOT
from tests.bi.bundle import charts_of, contents
from tests.support import Project

REPORT = PROJECT_ROOT / "orchestration" / "ritorno" / "report"


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    return dict(Project.compile().manifest)


def _marts(manifest: dict[str, Any]) -> set[str]:
    return {
        node["name"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["schema"] == "marts"
    }


def _exposed(manifest: dict[str, Any], name: str) -> set[str]:
    return {
        manifest["nodes"][parent]["name"]
        for parent in manifest["exposures"][f"exposure.ritorno.{name}"]["depends_on"]["nodes"]
    }


def _tables_asked(source: str) -> set[str]:
    """`marts.<table>` in the strings of a module: what its queries ask."""
    texts = (node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
    return {table for text in texts if isinstance(text, str) for table in re.findall(r"\bmarts\.([a-z_]+)", text)}


def test_the_reports_exposure_names_exactly_the_marts_that_its_queries_ask(manifest: dict[str, Any]) -> None:
    asked = set().union(*(_tables_asked(path.read_text(encoding="utf-8")) for path in REPORT.rglob("*.py")))
    assert _exposed(manifest, "report") == asked & _marts(manifest)
    assert asked - _marts(manifest) <= {"published_run", "duckdb"}  # the run's own table, the file's name


@pytest.mark.parametrize("dashboard", contents("dashboards"))
def test_the_exposure_of_a_dashboard_names_exactly_the_marts_behind_its_charts(
    dashboard: str, manifest: dict[str, Any]
) -> None:
    sql = {one["uuid"]: one["sql"] for one in contents("datasets").values()}
    behind = (sql[contents("charts")[chart]["dataset_uuid"]] for chart in charts_of(dashboard))
    asked = {mart for query in behind for mart in re.findall(r"\bmarts\.(\w+)", query)}
    assert _exposed(manifest, dashboard.replace("ritorno-", "superset_")) == asked


def test_bi_tools_may_read_every_published_mart(manifest: dict[str, Any]) -> None:
    assert _exposed(manifest, "bi_tools") == _marts(manifest)


def test_exposures_of_reading_say_who_answers_for_them(manifest: dict[str, Any]) -> None:
    for name in ("report", "bi_tools", *(board.replace("ritorno-", "superset_") for board in contents("dashboards"))):
        exposure = manifest["exposures"][f"exposure.ritorno.{name}"]
        assert exposure["owner"]["name"]
        assert exposure["description"]
        assert exposure["type"] == "dashboard"
        assert "audience" not in exposure["config"].get("meta", {})  # reads; sends nothing

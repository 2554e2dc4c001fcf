"""The dbt project as an analytics engineer runs it: plain `dbt build`, every unit test, every description."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ritorno import contract, steps
from ritorno.home import PROJECT_ROOT
from ritorno.landing import ledger
from tests.support import Project


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    return dict(Project.compile().manifest)


@pytest.mark.slow(70)
def test_plain_dbt_build_passes_on_an_empty_warehouse_with_every_unit_and_data_test(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as con:
        contract.ensure_raw_tables(con)
        ledger.ensure(con)
        for step in steps.STEPS:
            step.ensure(con)
    environment = os.environ | {"RITORNO_HOME": str(tmp_path), "RITORNO_AS_OF": "2024-03-31"}
    dbt = Path(sys.executable).with_name("dbt")
    arguments = ["build", "--target-path", str(tmp_path / "target"), "--log-path", str(tmp_path / "logs")]
    done = subprocess.run(
        [str(dbt), "--no-use-colors", *arguments], cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-6000:]
    results = json.loads((tmp_path / "target" / "run_results.json").read_text(encoding="utf-8"))["results"]
    ran = [r["unique_id"] for r in results if r["unique_id"].startswith("unit_test.")]
    assert len(ran) > 30
    # an entity that nobody provides leaves its marts there, typed and empty
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as con:
        marts = {
            name
            for (name,) in con.execute("select table_name from duckdb_tables() where schema_name = 'marts'").fetchall()
        }
        assert {"customers", "orders", "cohort_retention", "lifecycle_history", "mrr_monthly"} <= marts
        assert con.execute("select count(*) from marts.customers").fetchone() == (0,)
        assert _all_with_all(con) == SMALL


SMALL = {
    "int_changes__before",  # one row
    "int_care__tickets",  # beside the one row of the default target
    "int_quality__row_accounts",  # a system's entities
    "retention_rates",  # cuts and periods
    "campaign_attribution",  # campaigns and months
}
"""Models that may compare all with all, since what they compare is counted already."""


def _all_with_all(con: duckdb.DuckDBPyConnection) -> set[str]:
    """The models of which DuckDB plans an outer join as a comparison of all rows with all rows.

    It does so wherever the join's condition has an "or" or a part that concerns one side only: pauses beside intervals
    took 150 s of CPU at 100,000 subscriptions, hashed half a second.
    """
    models = [node for node in Project.compile().manifest["nodes"].values() if node["resource_type"] == "model"]
    return {node["name"] for node in models if _loops(con, node["compiled_code"])}


def _loops(con: duckdb.DuckDBPyConnection, sql: str) -> bool:
    ((_, plan),) = con.execute(f"explain (format json) {sql}").fetchall()
    parts = json.loads(plan)
    for part in parts:
        parts += part["children"]
    loops = [part for part in parts if part["name"].strip() == "BLOCKWISE_NL_JOIN"]
    return any(part["extra_info"]["Join Type"] != "INNER" for part in loops)


def test_every_mart_has_an_enforced_contract(manifest: dict[str, Any]) -> None:
    marts = [node for node in manifest["nodes"].values() if node["schema"] == "marts"]
    assert marts
    assert [node["name"] for node in marts if not node["config"]["contract"]["enforced"]] == []


def test_every_model_says_its_grain_in_its_first_sentence(manifest: dict[str, Any]) -> None:
    models = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    assert [
        node["name"] for node in models if not node["description"].startswith(("One row per", "Exactly one row"))
    ] == []


def test_every_column_of_a_mart_is_described(manifest: dict[str, Any]) -> None:
    bare = [
        f"{node['name']}.{column['name']}"
        for node in manifest["nodes"].values()
        if node["schema"] == "marts" and node["resource_type"] == "model"
        for column in node["columns"].values()
        if not column["description"].strip()
    ]
    assert bare == []


def test_no_model_asks_for_todays_date_or_ranks_with_ntile(manifest: dict[str, Any]) -> None:
    forbidden = (r"\bcurrent_date\b", r"\bcurrent_timestamp\b", r"\bnow\s*\(", r"\bntile\s*\(")
    guilty = [
        (node["name"], word)
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model"
        for word in forbidden
        if re.search(word, node["raw_code"].lower())
    ]
    assert guilty == []


def test_every_model_is_named_for_its_room(manifest: dict[str, Any]) -> None:
    rooms = {"staging": "stg_", "intermediate": "int_"}
    misplaced = [
        node["original_file_path"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model"
        for room, prefix in rooms.items()
        if f"models/{room}/" in node["original_file_path"] and not node["name"].startswith(prefix)
    ]
    assert misplaced == ["models/intermediate/quality/quarantined_rows.sql"]  # what people read in schema quarantine

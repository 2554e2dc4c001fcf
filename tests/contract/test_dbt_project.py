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
from ritorno.dbt import DbtProject
from ritorno.home import PROJECT_ROOT, Home
from ritorno.landing import ledger
from tests.support import Project


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    return dict(Project.compile().manifest)


@pytest.mark.slow(60)
def test_plain_dbt_build_passes_on_an_empty_warehouse_with_every_unit_and_data_test(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as con:
        contract.ensure_raw_tables(con)
        ledger.ensure(con)
        for step in steps.STEPS:
            step.ensure(con)
    # 800 nodes, each of which would open and close the file, and log what nobody reads
    done = dbt(tmp_path, "build", "--log-level-file", "none", RITORNO_KEEP_OPEN="True")
    assert done.returncode == 0, done.stdout[-6000:]
    results = json.loads((tmp_path / "target" / "run_results.json").read_text(encoding="utf-8"))["results"]
    ran = [r["unique_id"] for r in results if r["unique_id"].startswith("unit_test.")]
    assert len(ran) > 30
    refreshs = DbtProject(Home(tmp_path))
    refreshs.manifest()
    assert _parsed_otherwise(tmp_path / "target", refreshs.target) == [], "dbt's shortcuts make another parse"
    # an entity that nobody provides leaves its marts there, typed and empty
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as con:
        marts = {
            name
            for (name,) in con.execute("select table_name from duckdb_tables() where schema_name = 'marts'").fetchall()
        }
        assert {"customers", "orders", "cohort_retention", "lifecycle_history", "mrr_monthly"} <= marts
        assert con.execute("select count(*) from marts.customers").fetchone() == (0,)
        assert _all_with_all(con) == SMALL

    # A model that was a view becomes a table and the other way round; one that fails leaves what stood.
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as con:
        con.execute("drop table marts.excluded_orders; create view marts.excluded_orders as select 1 as a")
        con.execute("drop view staging.stg_files__orders; create table staging.stg_files__orders as select 1 as a")
        con.execute("insert into marts.products (product_key, system, product_id) values ('a:1', 'a', '1')")
        con.execute("alter table intermediate.int_canonical__products alter price type varchar")
        con.execute(
            "insert into intermediate.int_canonical__products (system, product_id, price, row_status) "
            "values ('a', '2', 'no price', 'current')"
        )
    done = dbt(tmp_path, "run", "-s", "excluded_orders", "stg_files__orders", "products")
    assert done.returncode == 1
    assert 'Could not convert string "no price"' in done.stdout
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as con:
        kinds = con.execute(
            "select table_name, table_type from information_schema.tables "
            "where table_name in ('excluded_orders', 'stg_files__orders') order by 1"
        ).fetchall()
        assert kinds == [("excluded_orders", "BASE TABLE"), ("stg_files__orders", "VIEW")]
        assert con.execute("select product_key from marts.products").fetchall() == [("a:1",)]


SMALL = {
    "int_changes__before",  # one row
    "int_changes__subscription_front",  # one row
    "int_changes__lifecycle_before",  # one row
    "int_care__tickets",  # beside the one row of the default target
    "int_quality__row_accounts",  # a system's entities
    "retention_rates",  # cuts and periods
    "campaign_attribution",  # campaigns and months
}
"""Models that may compare all with all, since what they compare is counted already."""


BUILT = {"build_path", "compiled", "compiled_code", "compiled_path", "extra_ctes", "extra_ctes_injected", "index"}
"""What dbt adds to a node when it builds it."""


def _parsed_otherwise(*targets: Path) -> list[str]:
    """The ids of which two of dbt's targets say different things."""
    one, other = (_parsed(target) for target in targets)
    assert len(one) > 1000
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _parsed(target: Path) -> dict[str, dict[str, Any]]:
    manifest = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    kinds = ("nodes", "sources", "macros", "exposures", "metrics", "semantic_models", "unit_tests")
    found = {}
    for unique_id, said in (item for kind in kinds for item in manifest[kind].items()):
        found[unique_id] = {name: value for name, value in said.items() if name not in BUILT | {"created_at"}}
        if said.get("resource_type") == "test":  # whose macros are known when they are called
            found[unique_id]["depends_on"] = said["depends_on"]["nodes"]
    return found


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


def dbt(home: Path, command: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Plain dbt, as from a shell."""
    folders = ["--target-path", str(home / "target"), "--log-path", str(home / "logs")]
    return subprocess.run(
        [str(Path(sys.executable).with_name("dbt")), "--no-use-colors", command, *folders, *arguments],
        cwd=PROJECT_ROOT,
        env=os.environ | {"RITORNO_HOME": str(home), "RITORNO_AS_OF": "2024-03-31"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


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

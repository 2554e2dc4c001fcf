"""The real thing, dbt's materialization on files: days of a shop, a kill in the middle, and what stands at the end."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from ritorno import comparison, incremental, landing, steps
from ritorno.dbt import DbtProject
from ritorno.home import Home
from ritorno.incremental import HeavyTier
from ritorno.landing import Source
from ritorno.policy import load_policy
from ritorno.scratch import build, closure
from ritorno.simulate import simulate

END = date(2025, 6, 30)
ALWAYS = {"incremental": "always", "quarantine_limit": 0.9}
KILLED_AFTER = "int_customers__order_days"
VICTIM = """
import os, signal, sys
from datetime import date
from ritorno.dbt import DbtProject
from ritorno.home import Home
from ritorno.scratch import build, closure
from ritorno.policy import load_policy

policy = load_policy(overrides={always!r})
project = DbtProject(Home.at({home!r}), policy.overrides)
take = project.build

def build_and_die(ids, **more):
    def on_event(event):
        if event["data"]["node_info"]["node_name"] == {victim!r}:
            os.kill(os.getpid(), signal.SIGKILL)
    return take(ids, on_event=on_event, **more)

object.__setattr__(project, "build", build_and_die)
wanted = closure(project.manifest(), {{"model.ritorno.int_changes__done"}})
build(project, date.fromisoformat({day!r}), policy, "killed", only=wanted)
"""


def _land(home: Home, raw: Path) -> None:
    with duckdb.connect(str(home.warehouse)) as con:
        con.execute("set timezone = 'UTC'")
        landing.land(con, [Source("files", raw)], run_id="landed")
        for step in steps.STEPS:
            step.ensure(con)


def _build(project: DbtProject, day: date, run_id: str) -> HeavyTier:
    """Everything up to the end of the heavy tier."""
    wanted = closure(project.manifest(), {"model.ritorno.int_changes__done"})
    build(project, day, load_policy(overrides=ALWAYS), run_id, only=wanted)
    tier = incremental.heavy_tier_of(project.home)
    assert tier is not None
    return tier


@pytest.mark.slow
def test_days_of_a_shop_and_a_kill_in_the_middle_leave_what_a_full_build_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path / "target"))
    raw = simulate(tmp_path / "shop", customers=150, seed=4, years=1.0, end=END, format="parquet").raw
    home, fresh = Home.at(tmp_path / "home").ensure(), Home.at(tmp_path / "fresh").ensure()
    project = DbtProject(home, ALWAYS)
    _land(home, raw)
    assert _build(project, END - timedelta(days=9), "first").reason == "no finished run to build on"

    script = VICTIM.format(
        always=ALWAYS, home=str(home.root), victim=KILLED_AFTER, day=(END - timedelta(days=4)).isoformat()
    )
    died = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr[-2000:]
    with duckdb.connect(str(home.warehouse)) as con:
        begun = con.execute("select run_id, mode from intermediate.int_changes__run").fetchone()
        assert begun == ("killed", "incremental")
        done = con.execute("select run_id from intermediate.int_changes__done").fetchone()
        assert done == ("first",)

    tier = _build(project, END, "third")
    assert tier.reason is None
    assert 0 < tier.touched < tier.customers / 2

    _land(fresh, raw)
    assert _build(DbtProject(fresh, ALWAYS, full=True), END, "fresh").reason == "asked for (--full)"
    names = project.manifest()["nodes"].values()
    heavy = {(node["schema"], node["name"]) for node in names if incremental.is_heavy(node)}
    with duckdb.connect() as con:
        con.execute(f"attach '{home.warehouse}' as standing")
        con.execute(f"attach '{fresh.warehouse}' as rebuilt (read_only)")

        def differing() -> list[str]:
            return [
                difference.mart
                for schema, name in sorted(heavy)
                for difference in comparison.differences(con, [name], f"standing.{schema}", f"rebuilt.{schema}")
            ]

        assert len(heavy) > 8
        assert differing() == []
        con.execute("update standing.marts.order_items set net_revenue = net_revenue + 0.01 where quantity = 2")
        assert differing() == ["order_items"]

    # A table of the tier that is built by itself no longer stands where the fingerprints say.
    project.build(["model.ritorno.orders"], as_of=END, run_id="by hand").raise_for_failures()
    with duckdb.connect(str(home.warehouse)) as con:
        left = con.execute("select count(*) from duckdb_tables() where table_name = 'int_changes__done'").fetchone()
    assert left == (0,)

"""The real thing, dbt's materialization on files and on a server: days of a shop, and a kill in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from ritorno import comparison, incremental, landing, steps
from ritorno.dbt import DbtProject, environment, stages
from ritorno.engines import Engine, Table, make_engine
from ritorno.home import Home
from ritorno.identity.tables import MEMORY, OUTPUTS
from ritorno.incremental import Decision
from ritorno.landing import Source
from ritorno.policy import load_policy
from ritorno.scratch import closure
from ritorno.simulate import simulate
from ritorno.step_context import StepContext
from ritorno.steps import STEPS
from tests.audiences.destinations.servers import new_database, postgres_server

END = date(2025, 6, 30)
ALWAYS = {"incremental": "always", "quarantine_limit": 0.9}
KILLED_AFTER = "int_customers__order_days"
PARALLEL = "-c force_parallel_mode=on -c parallel_setup_cost=0 -c min_parallel_table_scan_size=0"
"""A small table is read by several workers too, as a large one would be."""

PEOPLE: list[Table] = [("identity", name) for name in (*OUTPUTS, *MEMORY) if name != "run"]


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "duckdb":
        yield make_engine("duckdb")
        return
    with ExitStack() as stack:
        host, port = stack.enter_context(postgres_server())
        url = new_database(host, port, "shop")
        stack.enter_context(
            environment({"RITORNO_ENGINE": "postgres", "RITORNO_POSTGRES_URL": url, "PGOPTIONS": PARALLEL})
        )
        yield make_engine()


class Shop:
    """A home that is refreshed up to the end of the heavy tier, without tests and marts."""

    def __init__(self, home: Home, engine: Engine) -> None:
        self.home, self.engine = home, engine
        self.projects = {full: DbtProject(home, ALWAYS, engine, full) for full in (False, True)}
        self.manifest = self.projects[False].manifest()
        nodes = self.manifest["nodes"].values()
        self.heavy: list[Table] = [(node["schema"], node["name"]) for node in nodes if incremental.is_heavy(node)]
        self.front: list[Table] = [
            (node["schema"], node["name"])
            for node in nodes
            if incremental.is_front(node) and not node["name"].startswith("int_changes__")
        ]
        self.subscriptions: list[Table] = [
            (node["schema"], node["name"]) for node in nodes if incremental.is_of_subscriptions(node)
        ]
        self.lifecycle: list[Table] = [
            (node["schema"], node["name"]) for node in nodes if incremental.is_of_lifecycle(node)
        ]

    def land(self, *raw: Path) -> None:
        with duckdb.connect(str(self.home.warehouse)) as con:
            con.execute("set timezone = 'UTC'")
            landing.land(con, [Source("files", folder) for folder in raw], run_id="landed")
            for step in steps.STEPS:
                step.ensure(con)
            landed = con.execute(
                "select schema_name, table_name from duckdb_tables() where schema_name in ('raw', 'landing')"
            ).fetchall()
            self.engine.send(con, [*landed, *(table for step in STEPS for table in step.tables)], self.home.tmp)

    def build(self, day: date, run_id: str, *, full: bool = False, killed_after: str = "") -> Decision:
        wanted = closure(self.manifest, {f"model.ritorno.{name}" for name in incremental.FINISHED})
        plan = stages(self.manifest)

        def on_event(event: Mapping[str, object]) -> None:
            if event["data"]["node_info"]["node_name"] == killed_after:  # type: ignore[index]
                os.kill(os.getpid(), signal.SIGKILL)

        for stage in plan.dbt:
            ids = [unique_id for unique_id in stage.nodes if unique_id in wanted]
            if ids:
                done = self.projects[full].build(ids, as_of=day, run_id=run_id, on_event=on_event)
                done.raise_for_failures()
            for step in plan.steps.get(stage.number, ()):
                if f"step.{step.name}" in wanted:
                    self._step(step, day, run_id)
        tier = incremental.decision_in(self.fetched([("intermediate", incremental.RUN)]), incremental.RUN)
        assert tier is not None
        return tier

    def decision(self, name: str) -> tuple[str, str | None]:
        with duckdb.connect(str(self.fetched([("intermediate", name)]).warehouse)) as con:
            row = con.execute(f"select mode, reason from intermediate.{name}").fetchone()
        assert row is not None
        return row[0], row[1]

    def _step(self, step: steps.PythonStep, day: date, run_id: str) -> None:
        reads = set(step.reads(self.manifest))
        tables = [(node["schema"], node["name"]) for node in self.manifest["nodes"].values() if node["name"] in reads]
        with duckdb.connect(str(self.fetched(tables).warehouse)) as con:
            con.execute("set timezone = 'UTC'")
            policy = load_policy(overrides=ALWAYS).values
            step.run(StepContext(con, policy, day, self.home, self.manifest, run_id))
            self.engine.send(con, step.tables, self.home.tmp)

    def fetched(self, tables: list[Table]) -> Home:
        with duckdb.connect(str(self.home.warehouse)) as con:
            self.engine.fetch(con, tables, self.home.tmp)
        return self.home


def _corrected(raw: Path, folder: Path) -> Path:
    """One more file of orders, and one of lines, that say something else of a few old ones."""
    folder.mkdir()
    with duckdb.connect() as con:
        con.execute(
            f"""
            copy (
                select * replace ('77' as total, timestamp '2025-06-20 12:00' as updated_at)
                from '{raw}/orders/2025-03.parquet' order by order_id limit 5
            ) to '{folder}/orders.parquet';
            copy (
                select * replace ('7' as quantity, timestamp '2025-06-20 12:00' as updated_at)
                from '{raw}/order_items/2025-03.parquet' order by all limit 5
            ) to '{folder}/order_items.parquet';
            copy (
                select
                    'more' as event_id, 'b7' as subscription_id, 'price_changed' as type, '99' as price,
                    timestamp '2025-06-20 12:00' as occurred_at
            ) to '{folder}/subscription_events.parquet'
            """
        )
    return folder


def _subscribed(folder: Path) -> Path:
    """Thirty subscriptions that pause, each until another day around as-of."""
    folder.mkdir()
    begin = "timestamp '2025-01-01 12:00'"
    with duckdb.connect() as con:
        con.execute(
            f"""
            copy (
                select
                    'b' || n as subscription_id, 'b' || n // 2 as customer_id, {begin} as started_at,
                    'active' as status, cast(10 + n as varchar) as price, 'month' as "interval"
                from range(30) as numbers (n)
            ) to '{folder}/subscriptions.parquet';
            copy (
                select
                    'b' || n || type as event_id, 'b' || n as subscription_id, type, {begin} as occurred_at,
                    case when type = 'paused' then {begin} + to_days(cast(150 + n * 5 as integer)) end as effective_at
                from range(30) as numbers (n), unnest(['activated', 'paused']) as types (type)
            ) to '{folder}/subscription_events.parquet'
            """
        )
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["duckdb", "postgres"], indirect=True)
def test_days_of_a_shop_and_a_kill_in_the_middle_leave_what_a_full_build_makes(engine: Engine, tmp_path: Path) -> None:
    raw = simulate(tmp_path / "shop", customers=100, seed=4, years=1.0, end=END, format="parquet").raw
    shop = Shop(Home.at(tmp_path / "home").ensure(), engine)
    book = _subscribed(tmp_path / "book")
    shop.land(raw, book)
    assert shop.build(END - timedelta(days=9), "first").reason == "no finished run to build on"

    more = _corrected(raw, tmp_path / "more")
    shop.land(raw, book, more)
    died = subprocess.run([sys.executable, "-m", __name__, str(shop.home.root)], capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr[-2000:]
    shop.fetched([("intermediate", "int_changes__run"), ("intermediate", "int_changes__done")])
    with duckdb.connect(str(shop.home.warehouse)) as con:
        begun = con.execute("select run_id, mode from intermediate.int_changes__run").fetchone()
        done = con.execute("select run_id from intermediate.int_changes__done").fetchone()
    assert (begun, done) == (("killed", "incremental"), ("first",))

    tier = shop.build(END, "third")
    assert tier.reason is None
    assert 0 < tier.touched < tier.everything / 2
    assert shop.decision(incremental.FRONT) == ("incremental", None)
    assert shop.decision(incremental.SUBSCRIPTIONS) == ("incremental", None)
    assert shop.decision(incremental.LIFECYCLE) == ("incremental", None)
    tables = [*shop.front, *shop.heavy, *shop.subscriptions, *shop.lifecycle]
    shop.fetched(tables)
    tables += PEOPLE
    with duckdb.connect(str(shop.home.warehouse)) as con:
        resolved = incremental.decision(con, incremental.IDENTITY)
        assert resolved is not None
        assert resolved.mode == "incremental"
        con.execute("create schema incrementally")
        for schema, name in tables:
            con.execute(f"create table incrementally.{name} as from {schema}.{name}")

    assert shop.build(END, "whole", full=True).reason == "asked for (--full)"
    shop.fetched(sorted({*tables} - {*PEOPLE}))
    with duckdb.connect(str(shop.home.warehouse)) as con:
        resolved = incremental.decision(con, incremental.IDENTITY)
        assert resolved is not None
        assert resolved.sentence == "identity built in full: asked for (--full)"

        def differing() -> list[str]:
            return [
                difference.mart
                for schema, name in sorted(tables)
                for difference in comparison.differences(con, [name], "incrementally", schema)
            ]

        assert (len(shop.front), len(shop.heavy), len(shop.subscriptions), len(shop.lifecycle)) == (6, 11, 15, 4)
        assert differing() == []
        con.execute("update incrementally.order_items set net_revenue = net_revenue + 0.01 where quantity = 2")
        assert differing() == ["order_items"]

    # A table of the tier that is built by itself no longer stands where the fingerprints say.
    by_hand: list[Table] = [("marts", "orders"), ("marts", "mrr_movements"), ("marts", "lifecycle_history")]
    ids = [f"model.ritorno.{name}" for _, name in by_hand]
    shop.projects[False].build(ids, as_of=END, run_id="by hand").raise_for_failures()
    with duckdb.connect(str(shop.home.warehouse)) as con:
        done: list[Table] = [("intermediate", name) for name in incremental.FINISHED]
        assert engine.count(con, [*done, *by_hand]).keys() == set(by_hand)


if __name__ == "__main__":  # the process that is killed
    victim = Shop(Home.at(sys.argv[1]), make_engine())
    victim.build(END - timedelta(days=4), "killed", killed_after=KILLED_AFTER)

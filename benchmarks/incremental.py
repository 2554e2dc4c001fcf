"""A day's refresh against a full one. On demand: .venv/bin/python -m benchmarks.incremental [orders] [home].

Lands the plain shop of benchmarks.marts and builds everything, all models and Python steps; lands one more day (0.1 %
of the orders new, and refunds of old ones), builds that as a refresh would, and once more in full. Prints seconds by
model: of CPU, on PostgreSQL (RITORNO_POSTGRES_URL) the server's and ours, or of wall clock if the server is on another
machine. One model at a time, so that each is told its own. On the embedded engine also the seconds in DuckDB and in
Python steps alone, without what dbt does around its SQL, which doesn't grow with the shop. Sums and what share of a
full build a day takes: up to the end of what is recomputed for touched keys, and of everything. dbt's tests, checks,
publishing and audiences aren't in it.

`subscriptions` before the number: so many subscriptions with a log of ten events each; on the day one in thirty is
renewed, and what is dated for it comes.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Collection, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
from rich.console import Console
from rich.table import Table

from benchmarks.marts import AS_OF, write_shop
from ritorno.engines.postgres import Postgres, Server

ENDS = {
    "orders": ["int_changes__done"],
    "subscriptions": [
        "int_changes__subscription_done", "subscriptions", "subscription_pauses", "mrr_monthly", "pause_outcomes",
        "subscription_paths",
    ],
}  # fmt: skip
NEXT = AS_OF + timedelta(days=1)
SENT = "(landed tables sent)"
FETCHED = "(marts fetched)"


class Used(NamedTuple):
    """Seconds that a model or step took, and those of them in SQL or in the step itself."""

    all: float = 0.0
    in_sql: float = 0.0


def write_day(raw: Path, orders: int) -> None:
    """One more day: new orders of known customers with a line each, and refunds of old orders."""
    new, customers = max(orders // 1000, 1), max(orders // 10, 10)
    with duckdb.connect() as con:
        con.execute("select setseed(0.24)")
        con.execute(
            f"""
            copy (
                select
                    'n' || i as order_id, 'c' || cast(floor({customers} * random()) as bigint) as customer_id,
                    timestamp '{NEXT} 12:00:00' as ordered_at, cast(5 + 95 * random() as decimal(18, 2)) as total,
                    'EUR' as currency, 'paid' as status
                from range({new}) as t (i)
            ) to '{raw}/orders/next.parquet' (format parquet);
            copy (
                select
                    order_id || '-1' as order_item_id, order_id, cast(1 as bigint) as quantity, total as unit_price,
                    'p' || cast(floor(5000 * random()) as bigint) as product_id
                from '{raw}/orders/next.parquet'
            ) to '{raw}/order_items/next.parquet' (format parquet);
            copy (
                select
                    'r' || i as refund_id, 'o' || cast(floor({orders} * random()) as bigint) as order_id,
                    timestamp '{NEXT} 13:00:00' as refunded_at, cast(5 as decimal(18, 2)) as amount
                from range({max(new // 20, 1)}) as t (i)
            ) to '{raw}/refunds/next.parquet' (format parquet)
            """
        )


def _stat(process: str) -> list[str]:
    """Linux's figures of a process from its state on; of one that is gone, zeros."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ["0"] * 50


def _postmaster(server: Server) -> int:
    """The process of a PostgreSQL server on this machine that starts the others; 0 if it is on another one."""
    with server.connect() as con:
        return int(_stat(str(con.info.backend_pid))[1]) if server.host in ("localhost", "127.0.0.1", "::1") else 0


def _server_seconds(postmaster: int) -> float:
    """CPU seconds of a server: its own and those of processes that ended, and those of running ones."""
    ticks = sum(int(value) for value in _stat(str(postmaster))[11:15])
    for process in Path("/proc").iterdir():
        figures = _stat(process.name) if process.name.isdigit() else []
        if figures and figures[1] == str(postmaster):
            ticks += int(figures[11]) + int(figures[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def write_subscriptions(raw: Path, subscriptions: int) -> None:
    """Ten events each: a pause that ends on its date, a failed payment, another price, for one in three an end."""
    life = (
        "activated", "renewed", "payment_failed", "payment_recovered", "paused", "renewed", "price_changed", "renewed",
        "skipped", "cancelled",
    )  # fmt: skip
    kinds = "[" + ", ".join(f"'{kind}'" for kind in life) + "]"
    for name in ("orders", "plans", "subscriptions", "subscription_events"):
        (raw / name).mkdir(exist_ok=True)
    begin = f"timestamp '{AS_OF}' - to_days(700) + to_minutes(n * 997 % 900000)"
    with duckdb.connect() as con:
        con.execute(
            f"""
            copy (
                select 'o' || n as order_id, 'c' || n as customer_id, {begin} as ordered_at, 10 as total
                from range(10) as t (n)
            ) to '{raw}/orders/all.parquet';
            copy (
                select 'p' || n as plan_id, 9 + n as price, 'month' as "interval" from range(20) as t (n)
            ) to '{raw}/plans/all.parquet';
            copy (
                select
                    's' || n as subscription_id, 'c' || (n * 7 // 8) as customer_id, 'active' as status,
                    {begin} as started_at, 9 + n % 20 as price, 'month' as "interval", 'EUR' as currency,
                    'p' || (n % 20) as plan_id
                from range({subscriptions}) as t (n)
            ) to '{raw}/subscriptions/all.parquet';
            copy (
                select
                    'e' || n || '-' || k as event_id, 's' || n as subscription_id,
                    case when k % 10 = 9 and n % 3 > 0 then 'renewed' else {kinds}[k % 10 + 1] end as type,
                    {begin} + to_days(17 * k::int) as occurred_at,
                    case when k % 10 = 4 then {begin} + to_days(17 * k::int + 14) end as effective_at,
                    case when k % 10 = 6 then 10 + n % 15 end as price
                from range({subscriptions}) as t (n), range(10) as life (k)
            ) to '{raw}/subscription_events/all.parquet'
            """
        )


def write_renewals(raw: Path, subscriptions: int) -> None:
    """One more day: one in thirty subscriptions is renewed."""
    with duckdb.connect() as con:
        con.execute(
            f"""
            copy (
                select
                    'n' || n as event_id, 's' || n as subscription_id, 'renewed' as type,
                    timestamp '{NEXT} 08:00:00' as occurred_at
                from range(0, {subscriptions}, 30) as t (n)
            ) to '{raw}/subscription_events/next.parquet'
            """
        )


def main(orders: int, root: Path, kind: str = "orders") -> None:
    """Three builds, and the table."""
    os.environ.update({"RITORNO_HOME": str(root), "RITORNO_THREADS": os.environ.get("RITORNO_THREADS", "1")})
    from dbt.adapters.duckdb.environments.local import DuckDBCursorWrapper

    from ritorno import incremental, landing, sql, steps
    from ritorno.dbt import DbtProject, stages
    from ritorno.engines import make_engine
    from ritorno.home import Home
    from ritorno.landing import Source
    from ritorno.pipeline import SCHEMAS_READ_IN_THE_HOME
    from ritorno.policy import load_policy
    from ritorno.scratch import closure
    from ritorno.step_context import StepContext

    home, policy = Home.at(root).ensure(), load_policy(overrides={"incremental": "always"})
    engine = make_engine()
    raw = root / "bench-raw"
    raw.mkdir(exist_ok=True)
    if kind == "subscriptions":
        write_subscriptions(raw, orders)
    else:
        write_shop(raw, orders)
        for name in ("orders", "order_items", "refunds"):  # folders, which take one more file a day
            (raw / name).mkdir(exist_ok=True)
            if (raw / f"{name}.parquet").exists():
                (raw / f"{name}.parquet").rename(raw / name / "all.parquet")
    manifest = DbtProject(home, policy.overrides, engine).manifest()
    until = closure(manifest, {f"model.ritorno.{end}" for end in ENDS[kind]})
    plan = stages(manifest)
    is_heavy = incremental.is_of_subscriptions if kind == "subscriptions" else incremental.is_heavy
    heavy = {node["name"] for node in manifest["nodes"].values() if is_heavy(node)}
    before = {node["name"] for unique_id, node in manifest["nodes"].items() if unique_id in until}
    for name in (step.name for step in steps.STEPS if f"step.{step.name}" in until):
        before |= {f"step {name}", f"(fetched for {name})", f"(sent by {name})"}
    before.add(SENT)

    sending: dict[str, Used] = {}

    def land(run_id: str) -> None:
        with duckdb.connect(str(home.warehouse), config={"memory_limit": sql.MEMORY, "threads": 2}) as con:
            con.execute("set timezone = 'UTC'")
            landing.land(con, [Source("files", raw)], run_id=run_id)
            for step in steps.STEPS:
                step.ensure(con)
            landed = con.execute(
                "select schema_name, table_name from duckdb_tables() where schema_name in ('raw', 'landing')"
            ).fetchall()
            start = clock()
            engine.send(con, [*landed, *(table for step in steps.STEPS for table in step.tables)], home.tmp)
            sending[run_id] = Used(clock() - start)

    postmaster = _postmaster(engine.server) if isinstance(engine, Postgres) else 0

    def clock() -> float:
        if engine.name != "duckdb" and not postmaster:
            return time.perf_counter()
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime + (_server_seconds(postmaster) if postmaster else 0)

    in_sql, ask = [0.0], DuckDBCursorWrapper.execute

    def timed(self: Any, sql: str, bindings: Any = None) -> Any:  # noqa: ANN401
        began = clock()
        try:
            return ask(self, sql, bindings)
        finally:
            in_sql[0] += clock() - began

    DuckDBCursorWrapper.execute = timed

    def build(run_id: str, day: date, *, full: bool) -> dict[str, Used]:
        project, seconds = DbtProject(home, policy.overrides, engine, full), {}
        assert project.parsed is not None
        for stage in plan.dbt:
            last = Used(clock(), in_sql[0])

            def note(event: Mapping[str, object]) -> None:
                nonlocal last
                now = Used(clock(), in_sql[0])
                name = str(event["data"]["node_info"]["node_name"])  # type: ignore[index]
                seconds[name] = Used(now.all - last.all, now.in_sql - last.in_sql)
                last = now

            project.build(list(stage.nodes), as_of=day, run_id=run_id, on_event=note).raise_for_failures()
            for step in plan.steps.get(stage.number, ()):
                with duckdb.connect(str(home.warehouse), config={"memory_limit": sql.MEMORY, "threads": 2}) as con:
                    con.execute("set timezone = 'UTC'")
                    reads = set(step.reads(manifest))
                    nodes = [node for node in manifest["nodes"].values() if node["name"] in reads]
                    start = clock()
                    engine.fetch(con, [(node["schema"], node["alias"]) for node in nodes], home.tmp)
                    fetched = clock()
                    step.run(StepContext(con, policy.values, day, home, manifest, run_id))
                    done = clock()
                    engine.send(con, step.tables, home.tmp)
                    seconds[f"step {step.name}"] = Used(done - fetched, done - fetched)
                    if engine.name != "duckdb":
                        seconds[f"(fetched for {step.name})"] = Used(fetched - start)
                        seconds[f"(sent by {step.name})"] = Used(clock() - done)
        if engine.name != "duckdb":
            with duckdb.connect(str(home.warehouse), config={"memory_limit": sql.MEMORY, "threads": 2}) as con:
                nodes = [n for n in manifest["nodes"].values() if n["schema"] in SCHEMAS_READ_IN_THE_HOME]
                tables = list(engine.count(con, [(node["schema"], node["alias"]) for node in nodes]))
                start = clock()
                engine.fetch(con, tables, home.tmp)
                seconds[FETCHED] = Used(clock() - start)
        return seconds

    land("first")
    first = build("first", AS_OF, full=True)
    (write_renewals if kind == "subscriptions" else write_day)(raw, orders)
    land("second")
    day = {SENT: sending["second"], **build("day", NEXT, full=False)}
    with duckdb.connect(str(home.warehouse)) as con:
        decision = incremental.SUBSCRIPTIONS if kind == "subscriptions" else incremental.RUN
        engine.fetch(con, [("intermediate", decision)], home.tmp)
        found = incremental.decision(con, decision)
    whole = {SENT: sending["first"], **build("whole", NEXT, full=True)}
    whole |= {name: used for name, used in first.items() if name.startswith("(")}  # which then went whole

    table = Table(title=f"{orders:,} {kind} on {engine.name} · {found and found.sentence}")
    for column in ("model", "full, s", "a day, s", "share"):
        table.add_column(column, justify="left" if column == "model" else "right")

    def row(title: str, full: float, on_a_day: float, style: str | None = None) -> None:
        share = f"{on_a_day / full:.0%}" if style and full else ""
        table.add_row(title, f"{full:.2f}", f"{on_a_day:.2f}", share, style=style)

    def sums(title: str, chosen: Collection[str]) -> None:
        row(title, sum(whole[n].all for n in chosen), sum(day.get(n, Used()).all for n in chosen), "bold")
        if engine.name == "duckdb":
            used = [[times.get(n, Used()).in_sql for n in chosen] for times in (whole, day)]
            row("  of it in SQL and steps", sum(used[0]), sum(used[1]), "bold")

    # those that are kept from day to day by what they cost in full, the others by what they cost every day
    shown = [name for name in whole if max(whole[name].all, day.get(name, Used()).all) >= 0.1]
    for name in sorted(shown, key=lambda one: (one not in heavy, -whole[one].all)):
        if name in before:
            row(("* " if name in heavy else "") + name, whole[name].all, day.get(name, Used()).all)
    sums("the heavy tier (*)", heavy)
    sums("all up to here", [name for name in whole if name in before])
    for name in sorted(shown, key=lambda one: -day.get(one, Used()).all):
        if name not in before:
            row(name, whole[name].all, day.get(name, Used()).all)
    sums("all after it", [name for name in whole if name not in before])
    sums("everything", list(whole))
    Console(width=110).print(table)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    what = arguments.pop(0) if arguments[:1] == ["subscriptions"] else "orders"
    count = int(arguments[0].replace("_", "")) if arguments else 1_000_000
    if len(arguments) > 1:
        main(count, Path(arguments[1]).resolve(), what)
    else:
        with tempfile.TemporaryDirectory(prefix="ritorno-bench-") as scratch:
            main(count, Path(scratch), what)

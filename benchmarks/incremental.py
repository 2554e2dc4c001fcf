"""A day's refresh against a full one. On demand: .venv/bin/python -m benchmarks.incremental [orders] [home].

Lands the plain shop of benchmarks.marts and builds everything up to the end of the heavy tier; lands one more day
(0.1 % of the orders new, and refunds of old ones), builds that incrementally, and once more in full. Prints seconds by
model: of CPU, on PostgreSQL (RITORNO_POSTGRES_URL) the server's and ours, or of wall clock if the server is on another
machine. One model at a time, so that each is told its own.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

from benchmarks.marts import AS_OF, write_shop
from ritorno.engines.postgres import Postgres, Server

END = "int_changes__done"
NEXT = AS_OF + timedelta(days=1)


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


def main(orders: int, root: Path) -> None:
    """Three builds, and the table."""
    os.environ.update({"RITORNO_HOME": str(root), "RITORNO_THREADS": os.environ.get("RITORNO_THREADS", "1")})
    from ritorno import incremental, landing, steps
    from ritorno.dbt import DbtProject, stages
    from ritorno.engines import make_engine
    from ritorno.home import Home
    from ritorno.landing import Source
    from ritorno.policy import load_policy
    from ritorno.scratch import closure
    from ritorno.step_context import StepContext

    home, policy = Home.at(root).ensure(), load_policy(overrides={"incremental": "always"})
    engine = make_engine()
    raw = root / "bench-raw"
    raw.mkdir(exist_ok=True)
    write_shop(raw, orders)
    for name in ("orders", "order_items", "refunds"):  # folders, which take one more file a day
        (raw / name).mkdir(exist_ok=True)
        if (raw / f"{name}.parquet").exists():
            (raw / f"{name}.parquet").rename(raw / name / "all.parquet")
    manifest = DbtProject(home, policy.overrides, engine).manifest()
    wanted = closure(manifest, {f"model.ritorno.{END}"})
    plan = stages(manifest)
    heavy = [node["name"] for node in manifest["nodes"].values() if incremental.is_heavy(node)]

    sending: dict[str, float] = {}

    def land(run_id: str) -> None:
        with duckdb.connect(str(home.warehouse), config={"memory_limit": "3GB", "threads": 2}) as con:
            con.execute("set timezone = 'UTC'")
            landing.land(con, [Source("files", raw)], run_id=run_id)
            for step in steps.STEPS:
                step.ensure(con)
            landed = con.execute(
                "select schema_name, table_name from duckdb_tables() where schema_name in ('raw', 'landing')"
            ).fetchall()
            start = clock()
            engine.send(con, [*landed, *(table for step in steps.STEPS for table in step.tables)], home.tmp)
            sending[run_id] = clock() - start

    postmaster = _postmaster(engine.server) if isinstance(engine, Postgres) else 0

    def clock() -> float:
        if engine.name != "duckdb" and not postmaster:
            return time.perf_counter()
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime + (_server_seconds(postmaster) if postmaster else 0)

    def build(run_id: str, day: date, *, full: bool) -> dict[str, float]:
        project, seconds = DbtProject(home, policy.overrides, engine, full), {}
        assert project.parsed is not None
        for stage in plan.dbt:
            ids = [unique_id for unique_id in stage.nodes if unique_id in wanted]
            if not ids:
                continue
            last = [clock()]

            def note(event: Mapping[str, object], last: list[float] = last) -> None:
                now = clock()
                seconds[str(event["data"]["node_info"]["node_name"])] = now - last[0]  # type: ignore[index]
                last[0] = now

            project.build(ids, as_of=day, run_id=run_id, on_event=note).raise_for_failures()
            for step in plan.steps.get(stage.number, ()):
                if f"step.{step.name}" in wanted:
                    with duckdb.connect(str(home.warehouse), config={"memory_limit": "3GB", "threads": 2}) as con:
                        con.execute("set timezone = 'UTC'")
                        reads = set(step.reads(manifest))
                        nodes = [node for node in manifest["nodes"].values() if node["name"] in reads]
                        start = clock()
                        engine.fetch(con, [(node["schema"], node["alias"]) for node in nodes], home.tmp)
                        fetched = clock()
                        step.run(StepContext(con, policy.values, day, home, manifest, run_id))
                        done = clock()
                        engine.send(con, step.tables, home.tmp)
                        seconds[f"step {step.name}"] = done - fetched
                        if engine.name != "duckdb":
                            seconds[f"(fetched for {step.name})"] = fetched - start
                            seconds[f"(sent by {step.name})"] = clock() - done
        return seconds

    land("first")
    build("first", AS_OF, full=True)
    write_day(raw, orders)
    land("second")
    day = {"(landed tables sent)": sending["second"], **build("day", NEXT, full=False)}
    with duckdb.connect(str(home.warehouse)) as con:
        engine.fetch(con, [("intermediate", incremental.RUN)], home.tmp)
    tier = incremental.heavy_tier_of(home)
    whole = {"(landed tables sent)": sending["first"], **build("whole", NEXT, full=True)}

    table = Table(title=f"{orders:,} orders on {engine.name} · {tier.sentence if tier else ''}")
    for column in ("model", "full, s", "a day, s"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for name in sorted(whole, key=lambda one: (one not in heavy, -whole[one])):
        if max(whole[name], day.get(name, 0)) >= 0.1:
            table.add_row(("* " if name in heavy else "") + name, f"{whole[name]:.2f}", f"{day.get(name, 0):.2f}")
    for title, chosen in (("the heavy tier (*)", heavy), ("all up to here", list(whole))):
        table.add_row(
            title, f"{sum(whole[n] for n in chosen):.1f}", f"{sum(day.get(n, 0) for n in chosen):.1f}", style="bold"
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    count = int(sys.argv[1].replace("_", "")) if len(sys.argv) > 1 else 1_000_000
    if len(sys.argv) > 2:
        main(count, Path(sys.argv[2]).resolve())
    else:
        with tempfile.TemporaryDirectory(prefix="ritorno-bench-") as scratch:
            main(count, Path(scratch))

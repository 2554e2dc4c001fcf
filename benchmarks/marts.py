"""Every mart from raw, timed beside the floor. On demand: .venv/bin/python -m benchmarks.marts [orders] [--keep DIR].

Writes a plain shop (ten orders a customer, 2.5 lines an order) as Parquet, lands it, builds all dbt stages and Python
steps as a refresh does, and prints per step and model: seconds of wall clock, and the ratio to the floor, which is one
DuckDB scan of the same Parquet file grouped by customer. Peak memory is the process's.
"""

from __future__ import annotations

import os
import platform
import resource
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

AS_OF = date(2024, 12, 31)
FLOOR = """
    select customer_id, count(*) as orders, sum(cast(total as decimal(18, 2))) as revenue, max(ordered_at) as last_order
    from read_parquet('{orders}') group by customer_id
"""


def write_shop(folder: Path, orders: int) -> None:
    """Orders, lines, customers and products as Parquet; the same for the same number of orders."""
    customers, products = max(orders // 10, 10), 5000
    with duckdb.connect() as con:
        con.execute("select setseed(0.42)")
        con.execute(
            f"""
            copy (
                select
                    'o' || i as order_id,
                    'c' || cast(floor({customers} * power(random(), 1.5)) as bigint) as customer_id,
                    timestamp '2021-01-01' + to_seconds(cast(random() * 1461 * 86400 as bigint)) as ordered_at,
                    cast(5 + 95 * random() as decimal(18, 2)) as total,
                    'EUR' as currency,
                    case when random() < 0.02 then 'cancelled' else 'paid' end as status
                from range({orders}) as t (i)
            ) to '{folder}/orders.parquet' (format parquet)
            """
        )
        con.execute(
            f"""
            copy (
                select
                    order_id || '-' || line as order_item_id,
                    order_id,
                    'p' || cast(floor({products} * power(random(), 2)) as bigint) as product_id,
                    1 + cast(floor(2 * random()) as bigint) as quantity,
                    cast(2 + 40 * random() as decimal(18, 2)) as unit_price
                from '{folder}/orders.parquet', unnest([1, 2, 3]) as lines (line)
                where line = 1 or random() < 0.75
            ) to '{folder}/order_items.parquet' (format parquet)
            """
        )
        con.execute(
            f"""
            copy (
                select
                    'c' || i as customer_id,
                    'c' || i || '@example.com' as email,
                    timestamp '2021-01-01' as created_at,
                    (['DE', 'AT', 'FR'])[1 + i % 3] as country,
                    (['search', 'social', 'store'])[1 + i % 3] as acquisition_channel
                from range({customers}) as t (i)
            ) to '{folder}/customers.parquet' (format parquet)
            """
        )
        con.execute(
            f"""
            copy (
                select
                    'p' || i as product_id,
                    'Product ' || i as name,
                    'c' || i % 40 as category,
                    'b' || i % 200 as brand,
                    i % 4 = 0 as is_consumable
                from range({products}) as t (i)
            ) to '{folder}/products.parquet' (format parquet)
            """
        )


def floor_seconds(orders: Path) -> float:
    """The best of three scans and group-bys of the orders."""
    best = float("inf")
    with duckdb.connect() as con:
        con.execute("set threads = 2")
        for _ in range(3):
            start = time.perf_counter()
            con.execute(f"create or replace temp table floor as {FLOOR.format(orders=orders)}")
            best = min(best, time.perf_counter() - start)
    return best


def main(orders: int, home_root: Path) -> None:
    """Write, land, build; print the table."""
    os.environ.update({"RITORNO_HOME": str(home_root), "RITORNO_AS_OF": AS_OF.isoformat()})
    from ritorno import landing, steps
    from ritorno.dbt import DbtProject, stages
    from ritorno.home import Home
    from ritorno.landing import Source
    from ritorno.policy import load_policy
    from ritorno.step_context import StepContext

    raw = home_root / "bench-raw"
    raw.mkdir(parents=True, exist_ok=True)
    write_shop(raw, orders)
    floor = floor_seconds(raw / "orders.parquet")
    home = Home.at(home_root).ensure()
    timings: list[tuple[str, float]] = []

    start = time.perf_counter()
    with duckdb.connect(str(home.warehouse), config={"memory_limit": "4GB", "threads": 2}) as con:
        con.execute("set timezone = 'UTC'")
        landing.land(con, [Source("files", raw)], run_id="bench")
        for step in steps.STEPS:
            step.ensure(con)
    timings.append(("landing", time.perf_counter() - start))

    policy = load_policy()
    project = DbtProject(home)
    manifest = project.manifest()
    plan = stages(manifest)
    for stage in plan.dbt:
        result = project.build(list(stage.nodes), as_of=AS_OF, run_id="bench")
        result.raise_for_failures()
        for event in result.events:
            data = event["data"]
            if event["info"]["name"] == "LogModelResult":
                timings.append((data["node_info"]["node_name"], float(data["execution_time"])))
        for step in plan.steps.get(stage.number, ()):
            start = time.perf_counter()
            with duckdb.connect(str(home.warehouse), config={"memory_limit": "4GB", "threads": 2}) as con:
                con.execute("set timezone = 'UTC'")
                step.run(StepContext(con, policy.values, AS_OF, home, manifest, "bench"))
            timings.append((f"step {step.name}", time.perf_counter() - start))

    table = Table(
        title=f"{orders:,} orders · {os.cpu_count()} cores · {platform.machine()} · duckdb {duckdb.__version__}"
    )
    table.add_column("what")
    table.add_column("seconds", justify="right")
    table.add_column("× floor", justify="right")
    table.add_row("floor: scan and group by customer", f"{floor:.2f}", "1.0")
    for name, seconds in sorted(timings, key=lambda timing: -timing[1]):
        if seconds >= 0.05:
            table.add_row(name, f"{seconds:.2f}", f"{seconds / floor:.1f}")
    total = sum(seconds for _, seconds in timings)
    table.add_row("all", f"{total:.1f}", f"{total / floor:.0f}", style="bold")
    Console(width=100).print(table)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2:.1f} GB")


if __name__ == "__main__":
    count = int(sys.argv[1].replace("_", "")) if len(sys.argv) > 1 else 1_000_000
    if "--keep" in sys.argv:
        main(count, Path(sys.argv[sys.argv.index("--keep") + 1]).resolve())
    else:
        with tempfile.TemporaryDirectory(prefix="ritorno-bench-") as scratch:
            main(count, Path(scratch))

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
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import NamedTuple

import duckdb
from rich.console import Console
from rich.table import Table

AS_OF = date(2024, 12, 31)
FLOOR = """
    select customer_id, count(*) as orders, sum(cast(total as decimal(18, 2))) as revenue, max(ordered_at) as last_order
    from read_parquet('{orders}') group by customer_id
"""


class Plain(NamedTuple):
    """A plain DuckDB query that answers a mart's main question straight from the Parquet files, without its rules.

    No identity, validity, refunds, currencies, thresholds in force or cuts: what somebody writes in a notebook.
    """

    marts: tuple[str, ...]
    rooms: tuple[str, ...]
    sql: str


ORDER_DAYS = "select distinct customer_id, cast(ordered_at as date) as day from read_parquet('{orders}')"
PLAIN: dict[str, Plain] = {
    "RFM": Plain(
        ("customer_rfm", "rfm_grid"),
        (),
        """
        with totals as (
            select customer_id, max(ordered_at) as last_order, count(*) as orders, sum(total) as revenue
            from read_parquet('{orders}') group by 1
        )
        select
            customer_id,
            floor(5.0 * (rank() over (order by last_order) - 1) / count(*) over ()) + 1 as r,
            floor(5.0 * (rank() over (order by orders) - 1) / count(*) over ()) + 1 as f,
            floor(5.0 * (rank() over (order by revenue) - 1) / count(*) over ()) + 1 as m
        from totals
        """,
    ),
    "cohorts": Plain(
        ("cohort_retention",),
        ("int_cohorts__",),
        """
        with months as (
            select distinct customer_id, date_trunc('month', ordered_at) as month from read_parquet('{orders}')
        ),
        cohorts as (select customer_id, min(month) as cohort from months group by 1)
        select cohort, date_diff('month', cohort, month) as period, count(*) as active
        from months inner join cohorts using (customer_id) group by all
        """,
    ),
    "at-risk intervals and every day's population": Plain(
        ("lifecycle_history", "lifecycle_daily", "lifecycle_transitions", "lifecycle_thresholds", "gap_distribution"),
        ("int_lifecycle__",),
        f"""
        with days as ({ORDER_DAYS}),
        silences as (
            select customer_id, day, lead(day) over (partition by customer_id order by day) as until from days
        ),
        stays as (
            select customer_id, 'active' as state, day as since, least(until, day + 91) as until from silences
            union all
            select customer_id, 'at_risk', day + 91, least(until, day + 181) from silences
            where until is null or until > day + 91
            union all
            select customer_id, 'lapsed', day + 181, until from silences where until is null or until > day + 181
        ),
        changes as (
            select since as day, state, 1 as change from stays
            union all
            select until, state, -1 from stays where until is not null
        )
        select day, state, sum(sum(change)) over (partition by state order by day) as customers
        from changes group by day, state
        """,
    ),
    "monthly retention and repeat share": Plain(
        ("retention_rates",),
        ("int_rates__",),
        """
        with months as (
            select customer_id, date_trunc('month', ordered_at) as month, count(*) as orders, sum(total) as revenue
            from read_parquet('{orders}') group by 1, 2
        ),
        following as (
            select *, lead(month) over (partition by customer_id order by month) as next_month from months
        )
        select
            month, count(*) as buyers, sum(orders) as orders, sum(revenue) as revenue,
            count(*) filter (where orders > 1) as repeaters,
            count(*) filter (where next_month = month + interval 1 month) as again
        from following group by 1
        """,
    ),
    "repurchase": Plain(
        ("product_repurchase",),
        ("int_products__order_products", "int_products__purchases"),
        """
        with purchases as (
            select distinct orders.customer_id, items.product_id, cast(orders.ordered_at as date) as day
            from read_parquet('{items}') as items
            inner join read_parquet('{orders}') as orders using (order_id)
        ),
        gaps as (
            select product_id, day - lag(day) over (partition by customer_id, product_id order by day) as gap
            from purchases
        )
        select product_id, count(gap) as gaps, quantile_disc(gap, 0.5) as typical from gaps group by 1
        """,
    ),
    "affinity": Plain(
        ("product_affinity",),
        ("int_products__baskets", "int_products__basket_counts", "int_products__pairs"),
        """
        with lines as (select distinct order_id, product_id from read_parquet('{items}'))
        select a.product_id, b.product_id as other, count(*) as orders
        from lines as a inner join lines as b on a.order_id = b.order_id and a.product_id < b.product_id
        group by 1, 2 having count(*) >= 5
        """,
    ),
}


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


def plain_seconds(raw: Path) -> dict[str, float]:
    """The best of two runs of each plain query."""
    found: dict[str, float] = {}
    with duckdb.connect() as con:
        con.execute("set threads = 2")
        for name, plain in PLAIN.items():
            sql = plain.sql.format(orders=raw / "orders.parquet", items=raw / "order_items.parquet")
            for _ in range(2):
                start = time.perf_counter()
                con.execute(f"create or replace temp table plain as {sql}")
                found[name] = min(found.get(name, float("inf")), time.perf_counter() - start)
    return found


def beside_plain(timings: Mapping[str, float], plain: Mapping[str, float], floor: float) -> Table:
    """Marts with the models that only they need, beside the plain query."""
    table = Table(title="marts beside the plain query of the same files")
    for column in ("marts", "seconds", "plain", "× plain", "plain × floor"):
        table.add_column(column, justify="left" if column == "marts" else "right")
    for name, query in PLAIN.items():
        mine = [node for node in timings if node in query.marts or node.startswith(query.rooms or ("~",))]
        ours = sum(timings[node] for node in mine)
        table.add_row(
            f"{name}: {', '.join(query.marts)}",
            f"{ours:.2f}",
            f"{plain[name]:.2f}",
            f"{ours / plain[name]:.1f}",
            f"{plain[name] / floor:.1f}",
        )
    return table


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
    floor, plain = floor_seconds(raw / "orders.parquet"), plain_seconds(raw)
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
    Console(width=120).print(table)
    Console(width=120).print(beside_plain(dict(timings), plain, floor))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2:.1f} GB")


if __name__ == "__main__":
    count = int(sys.argv[1].replace("_", "")) if len(sys.argv) > 1 else 1_000_000
    if "--keep" in sys.argv:
        main(count, Path(sys.argv[sys.argv.index("--keep") + 1]).resolve())
    else:
        with tempfile.TemporaryDirectory(prefix="ritorno-bench-") as scratch:
            main(count, Path(scratch))

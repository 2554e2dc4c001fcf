"""Every mart from raw, timed beside the floor. On demand:

    .venv/bin/python -m benchmarks.marts [orders] [--keep DIR] [--results FILE.json] [--only MART,MART]
    .venv/bin/python -m benchmarks.draw FILE.json PICTURE.svg

Writes a plain shop (ten orders a customer, three lines an order) as Parquet, lands it, builds all dbt stages and Python
steps as a refresh does, and prints per step and model: seconds of wall clock, the ratio to the floor, which is one
DuckDB scan of the same Parquet file grouped by customer, and the most memory and spill seen while it ran (the
process's: two models run at a time). With `--only`, some marts and what they come from; `--only orders` means all that
come from orders and who placed them, without products. What is done is printed as it is done.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
from rich.console import Console
from rich.table import Table

AS_OF = date(2024, 12, 31)
FLOOR = """
    select customer_id, count(*) as orders, sum(cast(total as decimal(18, 2))) as revenue, max(ordered_at) as last_order
    from read_parquet('{orders}') group by customer_id
"""


@dataclass(frozen=True)
class Timing:
    """What a step or model took: seconds of wall clock, and the most GB of memory and spill seen meanwhile."""

    name: str
    seconds: float
    peak_gb: float
    spill_gb: float


class Watch:
    """Samples the process's memory and the size of the spill folder five times a second."""

    def __init__(self, spill: Path) -> None:
        self._spill = spill
        self._samples: list[tuple[float, float, float]] = []
        self._stop = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Sample while the block runs."""
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _run(self) -> None:
        page = os.sysconf("SC_PAGE_SIZE")
        while not self._stop.wait(0.2):
            resident = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * page
            spilled = 0
            for path in self._spill.rglob("*"):
                try:
                    spilled += path.stat().st_blocks * 512
                except OSError:
                    continue  # gone between listing and looking
            self._samples.append((time.perf_counter(), resident / 1e9, spilled / 1e9))

    def timing(self, name: str, seconds: float) -> Timing:
        """A step that ended now after `seconds`."""
        since = time.perf_counter() - seconds - 0.2
        seen = [sample for sample in self._samples if sample[0] >= since] or self._samples[-1:] or [(0.0, 0.0, 0.0)]
        return Timing(name, seconds, max(sample[1] for sample in seen), max(sample[2] for sample in seen))


class Plain(NamedTuple):
    """A plain DuckDB query that answers a mart's main question straight from the Parquet files, without its rules.

    No identity, validity, refunds, currencies, thresholds in force or cuts: what somebody writes in a notebook.
    """

    marts: tuple[str, ...]
    rooms: tuple[str, ...]
    sql: str


ORDER_BASED = (
    "orders", "order_items", "customer_rfm", "rfm_grid", "cohort_retention", "retention_rates", "lifecycle_history",
    "lifecycle_daily", "lifecycle_transitions", "lifecycle_thresholds", "gap_distribution",
)  # fmt: skip
"""What `--only orders` builds."""

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


def plain_seconds(raw: Path, only: Sequence[str] = ()) -> dict[str, float]:
    """The best of two runs of each plain query, or of those whose marts are built."""
    found: dict[str, float] = {}
    with duckdb.connect() as con:
        con.execute("set threads = 2")
        for name, plain in PLAIN.items():
            if only and not set(plain.marts) <= set(only):
                continue
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
    for name in plain:
        query = PLAIN[name]
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


def main(orders: int, home_root: Path, results: Path | None, only: Sequence[str] = ()) -> None:
    """Write, land, build; print the tables."""
    os.environ.update({"RITORNO_HOME": str(home_root), "RITORNO_AS_OF": AS_OF.isoformat()})
    raw = home_root / "bench-raw"
    raw.mkdir(parents=True, exist_ok=True)
    write_shop(raw, orders)
    floor, plain = floor_seconds(raw / "orders.parquet"), plain_seconds(raw, only)
    watch = Watch(home_root / "tmp")
    with watch.running():
        timings = build(home_root, raw, watch, only)
    total = sum(timing.seconds for timing in timings)

    table = Table(title=f"{orders:,} orders · {machine()}")
    table.add_column("what")
    for column in ("seconds", "× floor", "memory, GB", "spill, GB"):
        table.add_column(column, justify="right")
    table.add_row("floor: scan and group by customer", f"{floor:.2f}", "1.0", "", "")
    for timing in sorted(timings, key=lambda timing: -timing.seconds):
        if timing.seconds >= 0.05:
            table.add_row(
                timing.name,
                f"{timing.seconds:.2f}",
                f"{timing.seconds / floor:.1f}",
                f"{timing.peak_gb:.1f}",
                f"{timing.spill_gb:.1f}",
            )
    table.add_row("all", f"{total:.1f}", f"{total / floor:.0f}", style="bold")
    Console(width=120).print(table)
    Console(width=120).print(beside_plain({timing.name: timing.seconds for timing in timings}, plain, floor))
    peak = max(timing.peak_gb for timing in timings)  # the process's own would be that of the plain queries
    print(f"peak memory {peak:.1f} GB, warehouse {(home_root / 'warehouse.duckdb').stat().st_size / 1e9:.1f} GB")
    if results:
        found = {
            "orders": orders,
            "machine": machine(),
            "floor": floor,
            "total": total,
            "peak_gb": peak,
            "plain": plain,
            "timings": [asdict(timing) for timing in timings],
        }
        results.write_text(json.dumps(found, indent=1), encoding="utf-8")


def machine() -> str:
    """Cores, architecture, and the versions that matter."""
    versions = f"Python {platform.python_version()} · duckdb {duckdb.__version__}"
    return f"{os.cpu_count()} cores · {platform.machine()} · {versions}"


def build(home_root: Path, raw: Path, watch: Watch, only: Sequence[str] = ()) -> list[Timing]:
    """Land the shop and build everything, or only some models and what they come from, as a refresh does."""
    from ritorno import landing, sql, steps
    from ritorno.dbt import DbtProject, stages
    from ritorno.home import Home
    from ritorno.landing import Source
    from ritorno.policy import load_policy
    from ritorno.scratch import closure
    from ritorno.step_context import StepContext

    home = Home.at(home_root).ensure()
    timings: list[Timing] = []

    def note(name: str, seconds: float) -> None:
        timings.append(watch.timing(name, seconds))
        print(f"{name}: {seconds:.1f} s, {timings[-1].peak_gb:.1f} GB, spill {timings[-1].spill_gb:.1f} GB", flush=True)

    @contextmanager
    def timed(name: str) -> Iterator[duckdb.DuckDBPyConnection]:
        start = time.perf_counter()
        with duckdb.connect(str(home.warehouse), config={"memory_limit": sql.MEMORY, "threads": 2}) as con:
            con.execute("set timezone = 'UTC'")
            yield con
        note(name, time.perf_counter() - start)

    def on_event(event: Mapping[str, Any]) -> None:
        if event["info"]["name"] == "LogModelResult":
            data = event["data"]
            note(data["node_info"]["node_name"], float(data["execution_time"]))

    with timed("landing") as con:
        landing.land(con, [Source("files", raw)], run_id="bench")
        for step in steps.STEPS:
            step.ensure(con)
    policy = load_policy()
    project = DbtProject(home)
    manifest = project.manifest()
    plan = stages(manifest)
    wanted = closure(manifest, {f"model.ritorno.{name}" for name in only})
    for stage in plan.dbt:
        nodes = [node for node in stage.nodes if not only or node in wanted]
        if not nodes:
            continue
        result = project.build(nodes, as_of=AS_OF, run_id="bench", on_event=on_event)
        result.raise_for_failures()
        for step in plan.steps.get(stage.number, ()):
            if only and f"step.{step.name}" not in wanted:
                continue
            with timed(f"step {step.name}") as con:
                step.run(StepContext(con, policy.values, AS_OF, home, manifest, "bench"))
    return timings


def _after(option: str) -> str:
    return sys.argv[sys.argv.index(option) + 1] if option in sys.argv else ""


if __name__ == "__main__":
    count = int(sys.argv[1].replace("_", "")) if len(sys.argv) > 1 else 1_000_000
    kept, results = (Path(given).resolve() if given else None for given in map(_after, ("--keep", "--results")))
    only = ORDER_BASED if _after("--only") == "orders" else tuple(filter(None, _after("--only").split(",")))
    if kept:
        main(count, kept, results, only)
    else:
        with tempfile.TemporaryDirectory(prefix="ritorno-bench-") as scratch:
            main(count, Path(scratch), results, only)

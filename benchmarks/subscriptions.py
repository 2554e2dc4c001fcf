"""A million subscriptions with ten events each, to every mart: seconds, memory and spill, on the shipped SQL.

    python benchmarks/subscriptions.py [--subscriptions 1000000] [--events 10] [--memory 4GB] [--folder DIR]

The log is written as raw tables, then dbt's compiled SQL of the subscription models and the Python step of survival run
in their order on a DuckDB file with bounded memory, a line for each; what it can't hold it spills beside the file. CPU
seconds stand beside: they stay about what they are when the machine does other work. Memory is the process's largest
while the model ran, spill the most that DuckDB had on disk for it. Orders, which `subscription_candidates` and the
days between orders read, are given: four for each customer. Linux only (/proc).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support import Project

MARTS = (
    "subscription_states", "subscriptions", "subscription_pauses", "mrr_movements", "mrr_monthly", "pause_outcomes",
    "subscription_paths", "subscription_candidates", "survival", "survival_comparisons",
)  # fmt: skip
OTHERS = ("int_subscriptions__customers", "int_subscriptions__live_spans", "int_subscriptions__checks")
WITH_A_STEP = {"survival_comparisons": "survival_comparisons, with the Python step"}
AS_OF = "2024-12-31"
# a life of ten events with a pause, a failed payment, a change of price and, for one in three, an end
LIFE = (
    "activated", "renewed", "payment_failed", "payment_recovered", "paused", "resumed", "price_changed", "renewed",
    "skipped", "cancelled",
)  # fmt: skip
GIVEN = {
    "int_identity__customer_ids": {"system": "varchar", "customer_id": "varchar", "customer_key": "varchar"},
    "int_identity__email_customers": {"email": "varchar", "customer_key": "varchar"},
    "int_identity__customers": {"customer_key": "varchar", "is_tombstone": "boolean"},
    "orders": {"order_key": "varchar", "customer_key": "varchar", "order_date": "date", "subscription_key": "varchar"},
    "order_items": {"order_key": "varchar", "product_key": "varchar", "quantity": "bigint"},
    "int_customers__order_days": {"customer_key": "varchar", "order_date": "date"},
    "product_repurchase": {
        "product_key": "varchar", "name": "varchar", "is_subscription_candidate": "boolean",
        "typical_interval_days": "integer", "subscription_score": "double",
    },
}  # fmt: skip


def fill(con: duckdb.DuckDBPyConnection, subscriptions: int, events: int) -> None:
    """The raw tables: starts spread over two years, an event every 17 days, twenty plans."""
    kinds = "[" + ", ".join(f"'{kind}'" for kind in LIFE) + "]"
    con.execute("""
        insert into raw.plans by name
        select
            'p' || n as plan_id, cast(9 + n as varchar) as price, 'month' as "interval", 'product' || n as product_id,
            'bench' as _ritorno_file, n as _ritorno_line, 1 as _ritorno_batch
        from range(20) as rows(n)
    """)
    con.execute(f"""
        insert into raw.subscriptions by name
        select
            's' || n as subscription_id, 'c' || (n * 7 // 8) as customer_id, 'active' as status,
            cast(timestamp '2023-01-01 08:00:00' + to_minutes(n * 997 % 900000) as varchar) || 'Z' as started_at,
            cast(9 + n % 20 as varchar) as price, 'month' as "interval", 'EUR' as currency, 'p' || (n % 20) as plan_id,
            'bench' as _ritorno_file, n as _ritorno_line, 1 as _ritorno_batch
        from range({subscriptions}) as rows(n)
    """)
    con.execute(f"""
        insert into raw.subscription_events by name
        select
            'e' || n || '-' || k as event_id, 's' || n as subscription_id,
            case when k % 10 = 9 and n % 3 > 0 then 'renewed' else {kinds}[k % 10 + 1] end as type,
            cast(timestamp '2023-01-01 08:00:00' + to_minutes(n * 997 % 900000) + to_days(17 * k::int) as varchar)
                || 'Z' as occurred_at,
            case when k % 10 = 6 then cast(10 + n % 15 as varchar) end as price,
            'bench' as _ritorno_file, n as _ritorno_line, 1 as _ritorno_batch
        from range({subscriptions}) as rows(n), range({events}) as life(k)
    """)


def give(project: Project, con: duckdb.DuckDBPyConnection, subscriptions: int) -> None:
    """What other rooms' models bring: who is who, and four orders a customer of one of forty products."""
    for name, types in GIVEN.items():
        project.give(con, name, types, [])
    con.execute(f"""
        insert into intermediate.int_identity__customer_ids
        select distinct 'files', customer_id, customer_id from raw.subscriptions;
        insert into intermediate.int_identity__customers
        select distinct customer_id, false from raw.subscriptions;
        insert into marts.product_repurchase
        select 'files:product' || n, 'product ' || n, n % 2 = 0, 30, n / 100.0 from range(40) as rows(n);
        insert into marts.orders
        select 'o' || n || '-' || k, 'c' || n, date '2023-01-01' + cast(n * 13 % 500 + 30 * k as integer), null
        from range({subscriptions * 7 // 8}) as rows(n), range(4) as life(k);
        insert into marts.order_items
        select order_key, 'files:product' || hash(customer_key) % 40, 1 from marts.orders;
        insert into {project.relation("int_customers__order_days")} select customer_key, order_date from marts.orders;
    """)


class Watch:
    """The largest spill while it watches, looked at five times a second, and the process's largest memory."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self.con = con.cursor()
        self.spilled = 0.0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._look)
        self.thread.start()

    def _look(self) -> None:
        while not self.done.wait(0.2):
            (used,) = self.con.execute("select sum(temporary_storage_bytes) from duckdb_memory()").fetchone() or (0,)
            self.spilled = max(self.spilled, used / 2**20)

    def start(self) -> None:
        """Forget the largest so far."""
        self.spilled = 0.0
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")

    def stop(self) -> None:
        """Look no more."""
        self.done.set()
        self.thread.join()

    @staticmethod
    def peak() -> float:
        """The largest resident memory since `start`, in MB."""
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) / 2**10 for line in lines if line.startswith("VmHWM"))


def main() -> None:
    """Fill, run, print a line a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subscriptions", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=10)
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--folder", help="where the warehouse and the spill go (15 GB free for a million)")
    options = parser.parse_args()
    project = Project.compile()
    with tempfile.TemporaryDirectory(prefix="ritorno-bench-", dir=options.folder) as folder:
        con = duckdb.connect()
        con.execute(f"attach '{folder}/warehouse.duckdb' as warehouse")
        con.execute("use warehouse")
        con.execute(f"set memory_limit = '{options.memory}'; set temp_directory = '{folder}/spill'")
        con.execute("set timezone = 'UTC'; set threads = 2; set preserve_insertion_order = false")
        project.load_raw(con, {})
        fill(con, options.subscriptions, options.events)
        give(project, con, options.subscriptions)
        done, watch = set(GIVEN), Watch(con)
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}, DuckDB {duckdb.__version__} {options.memory}")
        print(f"{'':45} {'clock':>8} {'CPU':>8} {'memory':>10} {'spill':>10}", flush=True)
        began, used, peak, spilled = time.monotonic(), time.process_time(), 0.0, 0.0
        for model in project.order((*MARTS, *OTHERS), done):
            watch.start()
            started, cpu = time.monotonic(), time.process_time()
            project.run(con, model, as_of=AS_OF, given=done)
            done.add(model)
            clock, cpu = time.monotonic() - started, time.process_time() - cpu
            peak, spilled = max(peak, watch.peak()), max(spilled, watch.spilled)
            name = WITH_A_STEP.get(model, model)
            print(f"{name:45} {clock:6.1f} s {cpu:6.1f} s {watch.peak():7,.0f} MB {watch.spilled:7,.0f} MB", flush=True)
        total, cpu = time.monotonic() - began, time.process_time() - used
        watch.stop()
        print(f"{'together':45} {total:6.1f} s {cpu:6.1f} s {peak:7,.0f} MB {spilled:7,.0f} MB")
        size = Path(folder, "warehouse.duckdb").stat().st_size / 2**20
        what = f"{options.subscriptions:,} subscriptions x {options.events} events"
        print(f"{what}; load now {os.getloadavg()[0]:.2f}; warehouse {size:,.0f} MB; rows:")
        for mart in MARTS:
            (rows,) = con.execute(f"select count(*) from marts.{mart}").fetchone() or (0,)
            print(f"{mart:45} {rows:12,}")


if __name__ == "__main__":
    main()

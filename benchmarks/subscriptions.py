"""A million subscriptions with ten events each: seconds, memory and the marts' rows, on the shipped SQL.

    python benchmarks/subscriptions.py [--subscriptions 1000000] [--events 10] [--memory 4GB]

The log is written as raw tables, then dbt's compiled SQL of the subscription models runs in their order on a DuckDB
file with bounded memory, each model timed; what it can't hold it spills beside the file. CPU seconds stand beside: they
stay about what they are when the machine does other work.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support import Project

MARTS = ("subscription_states", "subscriptions", "mrr_movements", "mrr_monthly", "pause_outcomes", "subscription_paths")
AS_OF = "2024-12-31"
# a life of ten events with a pause, a failed payment, a change of price and, for one in three, an end
LIFE = (
    "activated", "renewed", "payment_failed", "payment_recovered", "paused", "resumed", "price_changed", "renewed",
    "skipped", "cancelled",
)  # fmt: skip


def fill(con: duckdb.DuckDBPyConnection, subscriptions: int, events: int) -> None:
    """The raw tables: starts spread over two years, an event every 17 days."""
    kinds = "[" + ", ".join(f"'{kind}'" for kind in LIFE) + "]"
    con.execute(f"""
        insert into raw.subscriptions by name
        select
            's' || n as subscription_id, 'c' || (n * 7 // 8) as customer_id, 'active' as status,
            cast(timestamp '2023-01-01 08:00:00' + to_minutes(n * 997 % 900000) as varchar) || 'Z' as started_at,
            cast(9 + n % 20 as varchar) as price, 'month' as "interval", 'EUR' as currency,
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


def main() -> None:
    """Fill, run, print a line a model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subscriptions", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=10)
    parser.add_argument("--memory", default="4GB")
    options = parser.parse_args()
    project = Project.compile()
    with tempfile.TemporaryDirectory(prefix="ritorno-bench-") as folder:
        con = duckdb.connect()
        con.execute(f"attach '{folder}/warehouse.duckdb' as warehouse")
        con.execute("use warehouse")
        con.execute(f"set memory_limit = '{options.memory}'; set temp_directory = '{folder}/spill'")
        con.execute("set timezone = 'UTC'; set threads = 2; set preserve_insertion_order = false")
        project.load_raw(con, {})
        fill(con, options.subscriptions, options.events)
        people = {"system": "varchar", "customer_id": "varchar", "customer_key": "varchar"}
        project.give(con, "int_identity__customer_ids", people, [])
        con.execute("""
            insert into intermediate.int_identity__customer_ids
            select distinct 'files', customer_id, customer_id from raw.subscriptions
        """)
        project.give(con, "int_identity__email_customers", {"email": "varchar", "customer_key": "varchar"}, [])
        done = {"int_identity__customer_ids", "int_identity__email_customers"}
        began, used = time.monotonic(), time.process_time()
        for model in project.order(MARTS, done):
            started, cpu = time.monotonic(), time.process_time()
            project.run(con, model, as_of=AS_OF, given=done)
            done.add(model)
            spent = time.process_time() - cpu
            print(f"{model:45} {time.monotonic() - started:7.1f} s {spent:7.1f} s CPU", flush=True)
        total, cpu = time.monotonic() - began, time.process_time() - used
        rows = {mart: con.execute(f"select count(*) from marts.{mart}").fetchone() for mart in MARTS}
        size = Path(folder, "warehouse.duckdb").stat().st_size / 2**20
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        what = f"{options.subscriptions:,} subscriptions x {options.events} events"
        print(f"{what}: {total:.1f} s, {cpu:.1f} s CPU, peak {peak:,.0f} MB")
        print(f"warehouse {size:.0f} MB; rows {rows}")


if __name__ == "__main__":
    main()

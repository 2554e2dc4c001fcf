"""kill -9 anywhere in a landing, then again: the same tables as if nothing had happened."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb

from ritorno.landing import Source, land

PROGRAM = """
import sys, duckdb
from pathlib import Path
from ritorno.landing import Source, land
con = duckdb.connect(sys.argv[1])
con.execute("set threads = 1")
print("begin", flush=True)
land(con, [Source("files", Path(sys.argv[2]))], scratch=Path(sys.argv[3]), on_file=lambda f: print(f.table, flush=True))
print("end", flush=True)
"""
TABLES = {
    "raw.orders": "*",
    "raw.customers": "*",
    "landing.files": "file, batch, sha256, rows, rejected, status",
    "landing.rejects": "*",
}


def everything(path: Path) -> dict[str, tuple[object, ...] | None]:
    with duckdb.connect(str(path)) as con:
        return {
            table: con.execute(
                f"select count(*), sum(hash(t)::hugeint) from (select {columns} from {table}) as t"
            ).fetchone()
            for table, columns in TABLES.items()
        }


def assert_rows_and_ledger_agree(path: Path) -> None:
    """Every file is landed whole with its ledger entry, or not at all."""
    with duckdb.connect(str(path)) as con:
        if con.execute("select count(*) from duckdb_tables() where table_name = 'orders'").fetchone() == (0,):
            return
        rows = "select _ritorno_file, _ritorno_batch, count(*) from raw.{} group by all"
        found = con.execute(f"{rows.format('orders')} union all {rows.format('customers')} order by all").fetchall()
        entries = con.execute(
            "select file, batch, rows from landing.files where status = 'landed' order by all"
        ).fetchall()
        assert found == entries


def deliveries(raw: Path, seed: int) -> None:
    (raw / "orders").mkdir(exist_ok=True)
    for at in range(3):
        query = f"select i as order_id, date '2024-01-01' as ordered_at, i % {seed} as total from range(20000) t(i)"
        duckdb.execute(f"copy ({query}) to '{raw}/orders/{at}.csv' (header)")
    with (raw / "orders" / "1.csv").open("a") as file:
        file.write("broken\n" * 50)
    duckdb.execute(f"copy ({query}) to '{raw}/orders/9.parquet'")
    (raw / "customers.csv").write_text(f"customer_id\n{seed}\n")


def test_a_landing_killed_anywhere_and_run_again_ends_in_the_same_tables(tmp_path: Path) -> None:
    raw, killed, whole = tmp_path / "raw", tmp_path / "killed.duckdb", tmp_path / "whole.duckdb"
    raw.mkdir()
    chance = random.Random(7)
    kills = 0
    for seed in (97, 89):  # the second round replaces every file of the first
        deliveries(raw, seed)
        with duckdb.connect(str(whole)) as con:
            land(con, [Source("files", raw)], scratch=tmp_path / "scratch")
        for attempt in range(3):
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(killed), str(raw), str(tmp_path / "tmp")],
                stdout=subprocess.PIPE,
                text=True,
            )
            assert process.stdout is not None
            assert process.stdout.readline() == "begin\n"
            for _ in range(attempt):
                process.stdout.readline()
            time.sleep(chance.uniform(0, 0.25))
            process.send_signal(signal.SIGKILL)
            kills += process.wait() == -signal.SIGKILL
            process.stdout.close()
            assert_rows_and_ledger_agree(killed)
        with duckdb.connect(str(killed)) as con:
            land(con, [Source("files", raw)], scratch=tmp_path / "scratch")
        assert everything(killed) == everything(whole)
    assert kills >= 2, "the processes ended before they could be killed: make the files larger"

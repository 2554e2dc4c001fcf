"""Audiences at size: planned and sent to files in batches, with memory bounded, and the floor beside.

    python -m benchmarks.audiences 1_000_000

The floor is what no engine can avoid: the same members joined with their addresses and written to one CSV by DuckDB.
Runs: a first fill of everybody, and a day on which 1 % left, 1 % came and 1 % changed.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import duckdb

from ritorno.audiences import inputs
from ritorno.audiences.destinations.files import Files
from ritorno.audiences.engine import Engine
from ritorno.audiences.exposures import Audience, AudienceMeta
from ritorno.audiences.store import FileStore

NOW = datetime(2026, 3, 2, 9)
BATCH = 50_000
MEMORY = "1GB"


def fill(con: duckdb.DuckDBPyConnection, people: int) -> None:
    """People with an address each, nine of ten of whom said yes."""
    inputs.create(con)
    con.execute(
        f"""
        insert into inputs.aliases
        select md5(cast(i as varchar)), md5(cast(i as varchar)) from range({people}) as t (i);
        insert into inputs.addresses
        select md5(cast(i as varchar)), md5(cast(i as varchar)), 'email', i || '@example.org', timestamp '2026-01-01',
            false
        from range({people}) as t (i);
        insert into inputs.consent_events
        select 'files', i || '@example.org', null, null, 'email', 'marketing', true, timestamp '2026-01-01', null, true
        from range({people}) as t (i) where i % 10 != 0;
        """
    )


def members(con: duckdb.DuckDBPyConnection, people: int, day: int) -> None:
    """The segment of a day: one in a hundred left, came or changed since the day before."""
    con.execute("delete from inputs.membership")
    con.execute(
        f"""
        insert into inputs.membership
        select
            md5(cast(i as varchar)), 'bench',
            '{{"tier":"' || case when i % 100 = 50 then {day} else 0 end || '"}}'
        from range({people}) as t (i)
        where i % 100 != case when {day} = 0 then 99 else 98 end
        """
    )


class Watch:
    """Wall and CPU seconds of a block; CPU is what a machine that does other work at the same time doesn't change."""

    def __enter__(self) -> Watch:
        self.began, self.used = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self.began, time.process_time() - self.used

    def __str__(self) -> str:
        return f"{self.wall:6.1f} s ({self.cpu:5.1f} s CPU)"


def floor(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Members with address into one CSV."""
    con.execute(
        f"""
        copy (
            select a.value, m.fields from inputs.membership as m inner join inputs.addresses as a using (customer_key)
            order by a.value
        ) to '{folder / "floor.csv"}'
        """
    )


def main(people: int) -> None:
    """Plan and send twice, print a table."""
    audience = Audience(
        name="bench",
        file="benchmarks/audiences.py",
        segment="bench",
        meta=AudienceMeta.model_validate(
            {
                "destination": {"type": "files"},
                "channel": "email",
                "purpose": "marketing",
                "fields": ["tier"],
                "guards": {"max_add_pct": None, "max_remove_pct": None},
            }
        ),
    )
    with tempfile.TemporaryDirectory() as scratch, duckdb.connect(":memory:") as con:
        folder = Path(scratch)
        con.execute(f"set memory_limit = '{MEMORY}'; set temp_directory = '{folder / 'spill'}'; set threads = 2")
        fill(con, people)
        destination = Files.from_settings(
            {"type": "files", "path": str(folder / "out"), "format": "parquet", "max_batch": BATCH}, {}
        )
        state = FileStore(folder / "state.duckdb")
        engine = Engine(con, state, audience, destination, lambda: NOW, field_types={"tier": "varchar"})
        for day, what in enumerate(("first fill", "a day later")):
            members(con, people, day)
            with Watch() as lowest:
                floor(con, folder)
            with Watch() as planned:
                plan = engine.plan().plan
            with Watch() as sent:
                report = engine.send()
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"{what:<12} {people:>10,} people  {plan.operations:>9,} operations  plan {planned}  "
                f"plan and send {sent} ({report.status})  floor {lowest}  peak {memory:,.0f} MB"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)

"""A whole home, through the command line, as a user and cron would: slow, so that one story is all of it."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import pytest

from ritorno.cli import DEMO_END
from ritorno.home import Home
from ritorno.publishing import FILE_FOR_BI, published_run
from ritorno.run_log import RunLog
from ritorno.state import open_file

pytestmark = pytest.mark.slow(210)


@dataclass(frozen=True)
class Done:
    code: int
    out: str


def _to_ten_digits(value: object) -> object:
    """Ratios are promised within 1e-9 (METRICS.md): threads add doubles up in any order."""
    return float(f"{value:.10g}") if isinstance(value, float) else value


class Ritorno:
    """The command in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = Home(home)
        self.environment = {**os.environ, "RITORNO_HOME": str(home), "COLUMNS": "200"}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", "from ritorno.cli import main; main()", *arguments]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.environment
        )

    def __call__(self, *arguments: str) -> Done:
        process = self.start(*arguments)
        out, _ = process.communicate(timeout=900)
        return Done(process.returncode, out)

    def marts(self) -> dict[str, list[tuple[object, ...]]]:
        """Every published mart's rows, without what names the run; sorted, since a table has no order."""
        with opened(self.home.published) as con:
            names = [row[0] for row in con.execute("select table_name from duckdb_tables() order by 1").fetchall()]
            names.remove("published_run")
            run_columns = {"published_run_id", "run_id", "checked_at", "measured_at"}
            found = {}
            for name in names:
                columns = [row[0] for row in con.execute(f"describe marts.{name}").fetchall()]
                kept = ", ".join(f'"{column}"' for column in columns if column not in run_columns)
                rows = con.execute(f"select {kept} from marts.{name}").fetchall()
                found[name] = sorted((tuple(map(_to_ten_digits, row)) for row in rows), key=repr)
            return found


def opened(run: Path) -> duckdb.DuckDBPyConnection:
    """The marts of a published run, as BI opens them."""
    return duckdb.connect(str(run / FILE_FOR_BI), read_only=True)


def runs_mixed_in(run: Path) -> set[tuple[object, ...]]:
    """The (run, day) pairs in all of a run's marts: one, always."""
    with opened(run) as con:
        names = [row[0] for row in con.execute("select table_name from duckdb_tables()").fetchall()]
        return {
            pair
            for name in names
            if name != "published_run"
            for pair in con.execute(f"select distinct published_run_id, published_as_of from marts.{name}").fetchall()
        }


def add_order(raw: Path, order_id: str, total: str, ordered_at: str = "2026-06-29T10:00:00Z") -> Path:
    """A new batch with one order (orders/ becomes a folder if it was a file)."""
    if not (raw / "orders").is_dir():
        (raw / "orders").mkdir()
        shutil.move(raw / "orders.csv", raw / "orders" / "0000.csv")
    batch = raw / "orders" / f"zz-{order_id}.csv"
    batch.write_text(
        "order_id,ordered_at,total,currency,status,email\n"
        f"{order_id},{ordered_at},{total},EUR,paid,{order_id}@example.com\n",
        encoding="utf-8",
    )
    return batch


def state_rows(home: Home) -> dict[str, list[tuple[object, ...]]]:
    """All that outlives the warehouse, but for the log of runs, which every attempt enters."""
    with open_file(home.state, read_only=True) as con:
        tables = con.execute(
            "select schema_name || '.' || table_name from duckdb_tables() where schema_name <> 'runs' order by 1"
        ).fetchall()
        return {name: sorted(con.execute(f"select * from {name}").fetchall(), key=repr) for (name,) in tables}


BI_READER = """
import os, sys, time, pathlib, duckdb
pointer, file, stop = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
held = duckdb.connect(str(pointer / file), read_only=True)
def fingerprint(con):
    names = sorted(row[0] for row in con.execute("select table_name from duckdb_tables()").fetchall())
    return [con.execute(f"select '{n}', count(*) from marts.{n}").fetchone() for n in names], con.execute(
        "select count(distinct run_id), min(run_id) from marts.published_run").fetchone()
first = fingerprint(held)
print("ready", flush=True)
runs, shown, looked = {first[1][1]}, os.readlink(pointer), 0.0
while not stop.exists():
    # at once when another run is shown, else now and then: a look is 0.3 s of CPU, which the refreshes want too
    if os.readlink(pointer) == shown and time.monotonic() - looked < 5:
        time.sleep(0.02)
        continue
    shown, looked = os.readlink(pointer), time.monotonic()
    assert fingerprint(held) == first, "the file held open changed"
    with duckdb.connect(str(pointer / file), read_only=True) as con:
        counted, (different, run) = fingerprint(con)
        mixed = con.execute("select count(*) from marts.customers c full join marts.orders o on true "
                            "where c.published_run_id <> o.published_run_id").fetchone()[0]
    assert different == 1 and mixed == 0
    runs.add(run)
print(len(runs), flush=True)
"""


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Callable[[Home], subprocess.Popen[str]]]:
    """Starts a BI tool that opens a home's published file and keeps it open, until the file `stop` is there."""
    started: list[subprocess.Popen[str]] = []

    def start(home: Home) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", BI_READER, str(home.published), FILE_FOR_BI, str(tmp_path / "stop")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()


def test_a_home_through_demo_a_poisoned_batch_a_kill_and_a_look_back_beside_a_refresh_ends_like_an_undisturbed_one(
    tmp_path: Path, reader: Callable[[Home], subprocess.Popen[str]]
) -> None:
    ritorno = Ritorno(tmp_path / "home")
    raw, end = ritorno.home.demo / "raw", DEMO_END
    refresh = ("refresh", "--raw", str(raw), "--as-of", end.isoformat())

    # The demo: simulated, refreshed, published whole; the closing table and some answers are shown.
    first = ritorno("demo", "--customers", "250")
    assert first.code == 0, first.out
    assert re.search(r"Marts published\s+\d+", first.out)
    assert "Who are our best customers" in first.out
    assert "Traceback" not in first.out
    before = published_run(ritorno.home)
    assert before is not None
    assert runs_mixed_in(ritorno.home.published) == {(before.run_id, end)}
    assert before.row_counts["customers"] > 0
    parquet = {path.stem for path in (ritorno.home.published / "parquet").glob("*.parquet")}
    assert parquet == {*before.row_counts, "published_run"}
    one, remembered = ritorno.marts(), state_rows(ritorno.home)
    undisturbed = Ritorno(tmp_path / "undisturbed")
    shutil.copy(ritorno.home.state, undisturbed.home.ensure().state)

    # An earlier day isn't published over a later one unless told to.
    earlier = ("refresh", "--raw", str(raw), "--as-of", "2026-05-31")
    backdated = ritorno(*earlier)
    assert (backdated.code, "--backdate" in backdated.out) == (2, True), backdated.out
    assert published_run(ritorno.home) == before
    status = ritorno("status")
    assert f"as of {end}" in status.out
    assert "yes, published" in status.out

    # A BI tool opens the published file and keeps it open. A delivery comes in which the totals are broken.
    bi = reader(ritorno.home)
    poisoned = add_order(raw, "poison", "12,5o")
    lines = [f"poison-{n},2026-06-29T10:00:00Z,n/a,EUR,paid,p{n}@example.com" for n in range(150)]
    poisoned.write_text(poisoned.read_text() + "\n".join(lines) + "\n", encoding="utf-8")
    stopped = ritorno(*refresh)
    assert stopped.code == 1, stopped.out
    assert "Traceback" not in stopped.out
    assert published_run(ritorno.home) == before
    assert ritorno.marts() == one
    status = ritorno("status")
    reason = RunLog(ritorno.home).last()[0].reason
    assert reason
    assert "failed" in status.out
    assert reason[:60] in " ".join(status.out.split())
    with (ritorno.home.quarantine / "orders.csv").open(encoding="utf-8") as file:
        assert sum(row["bad_value"] == "n/a" for row in csv.DictReader(file)) == 150

    # It comes again, mended; the refresh is killed in the middle of the models.
    add_order(raw, "poison", "12.50")
    killed = ritorno.start(*refresh)
    assert killed.stdout is not None
    for line in killed.stdout:
        if "Check raw" in line:
            break
    time.sleep(1.5)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert published_run(ritorno.home) == before
    assert "interrupted" in ritorno("status").out

    # Another batch arrives. A look back, as it is told to, and today's refresh are started together; the one that
    # comes second waits, a third doesn't want to.
    add_order(raw, "late-1", "123.45")
    dead = RunLog(ritorno.home).last()[0].run_id
    back = ritorno.start(*earlier, "--backdate")
    deadline = time.monotonic() + 60
    while RunLog(ritorno.home).last()[0].run_id == dead and time.monotonic() < deadline:
        time.sleep(0.2)
    today = ritorno.start(*refresh)
    impatient = ritorno(*refresh, "--no-wait")
    assert (impatient.code, "another refresh is running" in impatient.out) == (1, True), impatient.out
    said = back.communicate(timeout=900)[0]
    assert (back.returncode, "waiting for it to end" in said) == (0, False), said
    looked_back = state_rows(ritorno.home)
    said = today.communicate(timeout=900)[0]
    assert (today.returncode, "waiting for it to end" in said) == (0, True), said

    # The first of them took the new batch in, the second found nothing new; each published all of it.
    attempts = RunLog(ritorno.home).last(5)
    assert [attempt.status for attempt in attempts] == ["published", "published", "interrupted", "failed", "published"]
    assert [attempt.counts["files_read"] for attempt in attempts[:2]] == [0, 1]

    # Of the day that is past all is published, and nothing remembered: what the checks found is of the other runs.
    past = ritorno.home.runs / attempts[1].run_id
    assert runs_mixed_in(past) == {(attempts[1].run_id, date(2026, 5, 31))}
    with opened(past) as con:
        assert con.execute("select max(order_date) <= date '2026-05-31' from marts.orders").fetchall() == [(True,)]
    others = [attempts[number].run_id for number in (0, 2, 3)]
    kept = {
        name: [row for row in rows if not any(value in others for value in row)] for name, rows in looked_back.items()
    }
    assert kept == remembered
    assert runs_mixed_in(ritorno.home.published) == {(attempts[0].run_id, end)}
    two = ritorno.marts()
    assert len(two["orders"]) == len(one["orders"]) + 2
    assert len(two["customers"]) == len(one["customers"]) + 2
    assert json.loads((ritorno.home.published / "manifest.json").read_text())["as_of"] == end.isoformat()
    assert len(list(ritorno.home.runs.iterdir())) == 3
    assert not list(ritorno.home.runs.glob(".*"))

    # The reader saw whole runs only, and the run it held open all along.
    (tmp_path / "stop").touch()
    out, _ = bi.communicate(timeout=60)
    assert bi.returncode == 0
    assert int(out) >= 3

    # As if nothing had happened: the marts of a home that after the demo only ever saw the mended files.
    assert undisturbed(*refresh).code == 0
    calm = undisturbed.marts()
    assert two.keys() == calm.keys()
    for name, rows in calm.items():
        assert two[name] == rows, name

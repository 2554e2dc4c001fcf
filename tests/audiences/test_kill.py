"""A real kill -9 of a real process, at any moment; the next run ends in the same state as one never killed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from random import Random

import duckdb

from ritorno.home import PROJECT_ROOT
from tests.audiences import oracle, victim

KILLS = 4


def test_09_killed_anywhere_a_second_run_ends_in_the_same_state(tmp_path: Path) -> None:
    random, today, open_runs = Random(5), 0, 0
    for _ in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.audiences.victim", str(tmp_path), str(today)],
            cwd=PROJECT_ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        done = [int(process.stdout.readline())]  # one day whole, and then somewhere in the next ones
        time.sleep(random.uniform(0, 0.5))
        process.kill()  # SIGKILL
        done += [int(line) for line in process.stdout.read().split()]
        process.wait()
        today = max(done) + 1
        with duckdb.connect(str(tmp_path / "state.duckdb")) as con:
            row = con.execute("select count(*) from publish.run where status = 'sending'").fetchone()
            open_runs += int(row[0]) if row else 0
    assert open_runs > 0, "no kill fell into a send: nothing was proved"
    today += 1
    victim.send(tmp_path, today)
    report = victim.send(tmp_path, today)
    wanted = {one: tier for one, (_, tier) in oracle.wanted(victim.shop_on(today)).items()}
    held = victim.Sqlite(Random(0)).open(tmp_path / "destination.sqlite", 0).members()
    assert held == wanted
    assert (report.status, report.plan.operations) == ("done", 0)

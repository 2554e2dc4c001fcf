"""The run log and the lock: what is said of runs that end well, badly, or without a word."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from rich.console import Console

from ritorno import lock
from ritorno.errors import CheckFailed, RefreshRunning, UnusableInput
from ritorno.home import Home
from ritorno.policy import load_policy
from ritorno.publishing import Mart, publish
from ritorno.quality.drift import DriftRule
from ritorno.quality.history import earlier_figures, open_history, record
from ritorno.run_log import RunLog
from ritorno.session import Request, Run, yesterday
from ritorno.state import open_state
from ritorno.status import print_status

DAY = date(2024, 3, 31)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path).ensure()


def status(home: Home, now: datetime | None = None) -> str:
    out = io.StringIO()
    print_status(home, Console(file=out, width=300), now)
    return out.getvalue()


def run_of(home: Home, day: date = DAY, backdate: bool = False) -> Run:
    return Run(Request(home=home, as_of=day, policy=load_policy(), backdate=backdate))


def publish_one(home: Home, run: Run) -> None:
    with duckdb.connect(str(home.warehouse)) as con:
        con.execute("create schema if not exists marts; create or replace table marts.customers as select 1 as id")
    publish(home, [Mart("customers", "marts")], run.run_id, run.request.as_of)
    run.published = True


def test_a_run_that_stops_leaves_step_and_reason_where_status_finds_them(home: Home) -> None:
    run = run_of(home)
    with pytest.raises(CheckFailed), run.recorded(), run.step("check_raw"):
        raise CheckFailed("raw.orders: 40 % of totals are null")
    attempt = RunLog(home).last()[0]
    assert (attempt.status, attempt.failed_step) == ("failed", "check_raw")
    assert "raw.orders: 40 % of totals are null" in status(home)
    assert "nothing yet" in status(home)
    assert "40 % of totals" in run.log_file.read_text()


def test_the_first_reason_stays_whatever_falls_over_afterwards(home: Home) -> None:
    run = run_of(home)
    with run.recorded():
        run.stop("check_raw", CheckFailed("first"))
        run.stop("publish", RuntimeError("second"))
    assert RunLog(home).last()[0].reason == "first"


def test_an_unexpected_error_is_one_line_for_people_and_whole_in_the_log(home: Home) -> None:
    run = run_of(home)
    with pytest.raises(ZeroDivisionError), run.recorded(), run.step("identity"):
        _ = 1 / 0
    assert RunLog(home).last()[0].reason == "ZeroDivisionError: division by zero"
    assert "Traceback" in run.log_file.read_text()
    assert run.stopped is not None
    assert run.stopped.exit_code == 1


def test_a_killed_run_is_called_interrupted_at_once_and_for_good(home: Home) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    RunLog(home).start("killed", DAY, False)
    with open_state(home) as con:
        con.execute("update runs.run set pid = ?", [dead.pid])
    assert RunLog(home).last()[0].status == "interrupted"
    assert "killed, or the machine went down" in status(home)
    RunLog(home).start("next", DAY, False)
    with open_state(home, read_only=True) as con:
        assert con.execute("select status from runs.run where run_id = 'killed'").fetchone() == ("interrupted",)


def test_status_says_how_fresh_the_published_marts_are(home: Home) -> None:
    run = run_of(home)
    with run.recorded():
        publish_one(home, run)
    assert "yes, published 0 minutes ago" in status(home)
    assert "NO, published 2 days ago" in status(home, datetime.now(UTC) + timedelta(hours=49))


def test_an_earlier_day_is_refused_unless_told_and_then_writes_no_state(home: Home) -> None:
    run = run_of(home)
    with run.recorded():
        publish_one(home, run)
    earlier = DAY - timedelta(days=1)
    with pytest.raises(UnusableInput, match="--backdate"):
        run_of(home, earlier).request.refuse_backdating()
    told = run_of(home, earlier, backdate=True)
    told.request.refuse_backdating()
    with told.recorded():
        publish_one(home, told)
        assert not told.writes_state
    same_day = run_of(home)
    same_day.request.refuse_backdating()
    assert same_day.writes_state
    between = run_of(home, earlier, backdate=True)
    assert not between.writes_state  # the newer day's state stands, though the older one is published


def test_the_figures_of_a_refused_run_are_no_history_for_the_next(home: Home) -> None:
    def figures(run: Run) -> list[object]:
        with open_history(home.state) as con:
            return list(earlier_figures(con, "raw", "orders", rule, run.run_id, DAY))

    rule = DriftRule("rows", limits={"min_ratio": 0.9}, baseline="last")
    good, refused, mended = run_of(home), run_of(home), run_of(home)
    with good.recorded():
        record(home.state, "raw", good.run_id, DAY, [], {("orders", rule.key): 756.0})
        publish_one(home, good)
    with refused.recorded():
        assert figures(refused) == [756.0]
        record(home.state, "raw", refused.run_id, DAY, [], {("orders", rule.key): 905.0})
        refused.stop("dbt_stage_0", CheckFailed("a sixth of the orders can't be read"))
    with mended.recorded():
        assert figures(mended) == [756.0]


def test_a_second_process_waits_or_is_told_and_a_dead_one_holds_nothing(home: Home) -> None:
    holder = (
        "import sys, time; from pathlib import Path; from ritorno import lock; from ritorno.home import Home\n"
        "with lock.hold(Home(Path(sys.argv[1]))):\n    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", holder, str(home.root)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(RefreshRunning, match="another refresh is running"), lock.hold(home, wait=False):
            pass
        said: list[str] = []

        def killed_while_we_wait(message: str) -> None:
            said.append(message)
            process.kill()

        began = time.monotonic()
        with lock.hold(home, on_wait=killed_while_we_wait):
            assert time.monotonic() - began < 30
        assert "waiting for it to end" in said[0]


def test_the_default_day_is_yesterday_in_the_business_time_zone() -> None:
    policy = {"business_timezone": "Europe/Berlin"}
    assert yesterday(policy, datetime(2024, 3, 31, 22, 30, tzinfo=UTC)) == date(2024, 3, 31)  # 00:30 on 1 April there
    assert yesterday(policy, datetime(2024, 3, 31, 21, 30, tzinfo=UTC)) == date(2024, 3, 30)


LOOKING = """
import sys, time, duckdb
print("looking", flush=True)
while True:
    try:
        with duckdb.connect(sys.argv[1], read_only=True) as con:
            con.execute("select count(*) from runs.run").fetchall()
            time.sleep(0.05)
    except duckdb.IOException:
        pass
    time.sleep(0.002)
"""


def test_a_run_goes_on_whoever_looks_into_the_state_meanwhile(home: Home) -> None:
    with run_of(home).recorded():
        pass
    command = [sys.executable, "-c", LOOKING, str(home.state)]
    looker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert looker.stdout is not None
        assert looker.stdout.readline() == "looking\n"
        for _ in range(5):
            run = run_of(home)
            with run.recorded(), run.step("check_raw"):
                record(home.state, "raw", run.run_id, DAY, [], {("orders", "row_count"): 1.0})
                with open_history(home.state) as con:
                    assert con.execute("select count(*) from quality.metrics").fetchone() != (0,)
        assert {attempt.status for attempt in RunLog(home).last(6)} == {"built"}
    finally:
        looker.kill()
        looker.communicate()

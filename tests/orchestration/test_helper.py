"""The second process of a refresh: what is asked there is as if done here, and it never outlives who asks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ritorno import helper
from ritorno.errors import UnusableInput
from ritorno.helper import helped, helping
from ritorno.home import PROJECT_ROOT
from tests.orchestration import helped_work


@pytest.fixture
def log_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT_ROOT))
    monkeypatch.delenv(helper.WANTED, raising=False)
    monkeypatch.setattr(helper, "_cores", lambda: 2)
    monkeypatch.setattr(helper, "AHEAD", {helper.CHECKS: (), helper.DBT: ()})
    return tmp_path / "run.log"


@pytest.fixture
def other(log_file: Path) -> Iterator[int]:
    with helping(log_file):
        yield helped(helped_work.pid)[0]


def test_it_is_done_in_another_process_and_raised_here(other: int, log_file: Path) -> None:
    assert other != os.getpid()
    assert helped(helped_work.pid, 1, two=2) == (other, (1,), {"two": 2})
    with pytest.raises(UnusableInput, match="a file") as refused:
        helped(helped_work.refuse, "a file")
    assert refused.value.exit_code == 2
    with pytest.raises(RuntimeError, match="OddError: 1 and 2"):
        helped(helped_work.be_odd)
    helped(helped_work.complain)
    assert "a complaint" in log_file.read_text()
    assert helped(helped_work.pid)[0] == other
    quiet = helped(helped_work.flags_of_its_own_processes)
    assert "-Wignore:resource_tracker" in quiet, "what dbt leaves behind would be a warning in every run's log"


def test_what_is_started_early_is_used_and_ended_with_the_command_that_started_it(log_file: Path) -> None:
    with helper.started():
        early = helped(helped_work.pid)[0]
        with helping(log_file):
            assert helped(helped_work.pid)[0] == early
        assert helped(helped_work.pid)[0] == os.getpid()
    with pytest.raises(UnusableInput), helper.started():
        raise UnusableInput("before anything began")
    assert helped(helped_work.pid)[0] == os.getpid()


def test_without_it_everything_is_done_here(log_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert helped(helped_work.pid)[0] == os.getpid()
    with monkeypatch.context() as patch:
        patch.setenv(helper.WANTED, "0")
        with helping(log_file):
            assert helped(helped_work.pid)[0] == os.getpid()
    monkeypatch.setattr(helper, "_cores", lambda: 1)
    with helping(log_file):
        assert helped(helped_work.pid)[0] == os.getpid()


def test_when_it_dies_its_work_is_done_here(other: int, caplog: pytest.LogCaptureFixture) -> None:
    os.kill(other, signal.SIGKILL)
    assert helped(helped_work.pid)[0] == os.getpid()
    assert "the helper process for checks is gone" in caplog.text
    assert helped(helped_work.pid)[0] == os.getpid()


def test_what_it_tells_comes_while_it_is_at_work_from_any_of_its_threads(log_file: Path) -> None:
    with helping(log_file):
        other = helper.helper(helper.DBT)
        assert other is not None
        following = other.follow(helped_work.tell_and_wait, log_file.with_suffix(".go"))
        told = [next(following), next(following)]
        assert sorted(told) == ["one", "two"]
        log_file.with_suffix(".go").touch()
        with pytest.raises(StopIteration) as end:
            next(following)
        assert end.value.value == "done"


def test_what_was_begun_is_answered_when_it_is_settled_and_before_the_next_question(log_file: Path) -> None:
    with helping(log_file):
        other = helper.helper(helper.DBT)
        assert other is not None
        other.begin(helped_work.pid, 7)
        assert other.settle()[1:] == ((7,), {})
        other.begin(helped_work.refuse, "a file")
        with pytest.raises(UnusableInput, match="a file"):
            next(other.follow(helped_work.pid))
        assert other.settle() is None
        meanwhile: list[int] = []
        assert helper.helped_by(helper.DBT, lambda: meanwhile.append(1), helped_work.pid, 3)[1] == (3,)
        assert meanwhile == [1]
    assert helper.helped_by(helper.DBT, lambda: meanwhile.append(2), helped_work.pid, 4)[1] == (4,)
    assert meanwhile == [1], "without a helper nothing goes on beside"


def test_it_is_ended_when_nobody_listens_any_more_and_missed_when_it_dies_at_work(log_file: Path) -> None:
    with helping(log_file):
        other = helper.helper(helper.DBT)
        assert other is not None
        following = other.follow(helped_work.tell_and_wait, log_file.with_suffix(".never"))
        assert next(following) in ("one", "two")
        following.close()
        with pytest.raises(helper.Gone):
            next(other.follow(helped_work.pid))
        third = helper.helper(helper.CHECKS)
        assert third is not None
        with pytest.raises(helper.Gone, match="exit code 3"):
            next(third.follow(helped_work.leave))


ASKS_AND_IS_KILLED = """
import os, sys
from pathlib import Path
from ritorno import helper
from tests.orchestration import helped_work
helper._cores, helper.AHEAD = lambda: 2, {helper.CHECKS: ()}
with helper.helping(Path(sys.argv[1])):
    print(helper.helped(helped_work.pid)[0], flush=True)
    helper.helped(helped_work.sleep, 120)
"""


def test_it_ends_with_who_asked_even_in_the_middle_of_its_work(log_file: Path) -> None:
    command = [sys.executable, "-c", ASKS_AND_IS_KILLED, str(log_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        other = int(asking.stdout.readline())
        time.sleep(0.2)
        asking.kill()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{other}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{other}").exists()

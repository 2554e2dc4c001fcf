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
    monkeypatch.setattr(helper, "AHEAD", ())
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
    assert "the helper process is gone" in caplog.text
    assert helped(helped_work.pid)[0] == os.getpid()


ASKS_AND_IS_KILLED = """
import os, sys
from pathlib import Path
from ritorno import helper
from tests.orchestration import helped_work
helper._cores, helper.AHEAD = lambda: 2, ()
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

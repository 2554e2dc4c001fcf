"""The command line: one message and an exit code for what a user can mend, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ritorno import cli


def run(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["ritorno", *arguments])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


UNUSABLE = {
    "a raw folder that isn't there": (["--raw", "{tmp}/nowhere"], "--raw {tmp}/nowhere: no such"),
    "a date that is none": (["--as-of", "31.03.2024"], "--as-of 31.03.2024: not a date"),
    "a policy that nobody knows": (["--vars", '{{"count_refund": false}}'], "count_refunds"),
    "a policy of the wrong type": (["--vars", '{{"count_refunds": "maybe"}}'], "count_refunds"),
    "a policy file that isn't there": (["--vars", "{tmp}/none.yml"], "none.yml"),
    "a system that nobody knows": (["--source", "shopware={tmp}"], "shopware"),
    "a source without a system": (["--source", "{tmp}"], "SYSTEM=PATH"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_unusable_arguments_end_with_2_and_one_clear_message(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, message = UNUSABLE[case]
    filled = [argument.format(tmp=tmp_path) for argument in arguments]
    assert run("refresh", "--home", str(tmp_path / "home"), *filled, monkeypatch=monkeypatch) == 2
    err = capsys.readouterr().err
    assert message.format(tmp=tmp_path) in err
    assert "Traceback" not in err
    assert not (tmp_path / "home" / "warehouse.duckdb").exists()


def test_an_unknown_option_ends_with_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("refresh", "--asof", "2024-03-31", monkeypatch=monkeypatch) == 2
    assert "--asof" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    ["simulate", "refresh", "demo", "dev", "report", "status", "plan", "approve", "send", "explain", "suppress"],
)
def test_every_command_shows_an_example(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command, "--help", monkeypatch=monkeypatch) == 0
    assert f"ritorno {command}" in capsys.readouterr().out.split("Example", 1)[1]


def test_help_answers_before_anything_heavy_is_imported() -> None:
    code = "import sys, ritorno.cli; print(sorted({'dagster', 'dbt', 'duckdb', 'pandas'} & set(sys.modules)))"
    began = time.monotonic()
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
    assert time.monotonic() - began < 20  # 0.2 s of work; the machine may be busy


LEAVES = """
import atexit, sys, threading, time
from ritorno import cli
from ritorno.cli import main
sys.modules["dagster"] = sys  # as after a refresh
class Slow:
    def __del__(self): print("taken apart")
kept = Slow()
atexit.register(lambda: print("what was registered runs"))
if sys.argv[1] == "thread":
    threading.Thread(target=lambda: (time.sleep(0.3), print("a thread has ended"))).start()
def app():
    print("printed without a new line", end="")
    raise SystemExit(int(sys.argv[2]))
cli.app = app
if sys.argv[1] == "library":
    del main
cli.main()
"""


@pytest.mark.parametrize("code", [0, 1])
def test_a_process_that_has_refreshed_is_left_at_once_with_all_it_said(code: int) -> None:
    def left(how: str) -> str:
        command, buffered = [sys.executable, "-c", LEAVES, how, str(code)], {**os.environ, "PYTHONUNBUFFERED": ""}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=buffered)
        assert (done.returncode, done.stderr) == (code, "")
        return done.stdout

    assert left("alone") == "printed without a new linewhat was registered runs\n"
    assert "a thread has ended" in left("thread")
    assert left("library").endswith("taken apart\n"), "a process that is somebody else's ends as it does"


def test_status_of_an_empty_home_says_how_to_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("status", "--home", str(tmp_path / "home"), monkeypatch=monkeypatch) == 0
    assert "ritorno refresh --raw DIR" in capsys.readouterr().out
    assert not (tmp_path / "home").exists()


def test_real_data_is_never_mixed_with_the_demos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "home" / "demo-raw").mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    arguments = ["--home", str(tmp_path / "home"), "--raw", str(tmp_path / "mine"), "--as-of", "2024-03-31"]
    assert run("refresh", *arguments, monkeypatch=monkeypatch) == 2
    assert "simulated shop" in capsys.readouterr().err


def test_an_unexpected_error_is_one_line_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the moon is full")

    monkeypatch.setattr("ritorno.pipeline.make_request", broken)
    assert run("refresh", "--home", str(tmp_path), monkeypatch=monkeypatch) == 1
    assert "unexpected RuntimeError: the moon is full" in capsys.readouterr().err

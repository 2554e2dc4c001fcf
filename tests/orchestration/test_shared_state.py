"""One state for several homes, in a real PostgreSQL: turns, kills, lost homes, and nothing lost without a word."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import psycopg2
import pytest

from ritorno import shared_state
from ritorno.audiences import operate
from ritorno.errors import RitornoError, UnusableInput
from ritorno.home import Home
from ritorno.run_log import RunLog
from ritorno.shared_state import STATE_URL, StateLocked, locked, look
from ritorno.state import open_state
from tests.audiences.destinations.servers import new_database, postgres_server

DATABASES = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, int]]:
    with postgres_server() as address:
        yield address


@pytest.fixture
def url(server: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> str:
    """A database of its own, which every home of the test shares."""
    address = new_database(*server, f"state{next(DATABASES)}")
    monkeypatch.setenv(STATE_URL, address)
    return address


@pytest.fixture
def ask(url: str) -> Callable[[str], list[tuple[object, ...]]]:
    def run(statement: str) -> list[tuple[object, ...]]:
        con = psycopg2.connect(url)
        con.autocommit = True
        try:
            with con.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            con.close()

    return run


@pytest.fixture
def homes(tmp_path: Path, url: str) -> tuple[Home, Home]:
    return Home(tmp_path / "a").ensure(), Home(tmp_path / "b").ensure()


def note(home: Home, word: str) -> None:
    with open_state(home) as con:
        con.execute("create table if not exists notes (word varchar)")
        con.execute("insert into notes values (?)", [word])


def words(home: Home) -> list[str]:
    with open_state(home, read_only=True) as con:
        return [word for (word,) in con.execute("select word from notes order by rowid").fetchall()]


def at_work(home: Home, script: str) -> subprocess.Popen[str]:
    """Another process with the state locked, until its script ends; returns when it has the lock."""
    code = (
        "import os, sys, time\nfrom pathlib import Path\nfrom ritorno.home import Home\n"
        "from ritorno.shared_state import locked\nfrom tests.orchestration.test_shared_state import note\n"
        f"home = Home(Path({str(home.root)!r}))\nwith locked(home):\n    print('has it', flush=True)\n    {script}\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "has it\n"
    return process


def finish(process: subprocess.Popen[str]) -> int:
    process.communicate("\n", timeout=60)
    return process.returncode


def test_homes_take_turns_and_each_goes_on_from_what_the_other_wrote(homes: tuple[Home, Home]) -> None:
    a, b = homes
    with locked(a):
        note(a, "first")
    with locked(b):
        assert words(b) == ["first"]
        note(b, "second")
    with locked(a):
        assert words(a) == ["first", "second"]
    kept, marker = look(a)
    assert (kept.version, marker.version, kept.locked_by) == (2, 2, None)  # who changed nothing stored nothing
    assert str(kept.stored_by).endswith(f":{b.root}")


def test_without_the_variable_every_home_keeps_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(STATE_URL, raising=False)
    home = Home(tmp_path).ensure()
    with locked(home):
        note(home, "mine")
    assert not (tmp_path / "state.json").exists()
    assert words(home) == ["mine"]


def test_who_has_to_wait_is_told_for_whom_and_refused_at_the_end(homes: tuple[Home, Home]) -> None:
    a, b = homes
    said: list[str] = []
    with locked(a):
        home_id = look(a)[1].home_id
        told = rf"locked by .*:{a.root} since .*force-unlock {home_id}"
        with (
            pytest.raises(StateLocked, match=told) as refused,
            locked(b, wait_seconds=0.2, on_wait=said.append),
        ):
            pytest.fail("two homes have the state")
        assert refused.value.exit_code == 1
    assert [text.endswith("waiting for it") for text in said] == [True]
    assert not b.state.exists()


def test_who_waits_gets_it_when_it_is_free(homes: tuple[Home, Home]) -> None:
    a, b = homes
    done = threading.Event()

    def other() -> None:
        with locked(b, wait_seconds=60, on_wait=lambda text: done.set()):
            note(b, "after")

    with locked(a):
        note(a, "before")
        waiting = threading.Thread(target=other)
        waiting.start()
        assert done.wait(30)
    waiting.join(60)
    assert words(b) == ["before", "after"]


def test_a_killed_command_keeps_the_lock_and_the_next_of_its_home_goes_on(homes: tuple[Home, Home]) -> None:
    a, b = homes
    with locked(a):
        note(a, "first")
    killed = at_work(a, "note(home, 'sent before the kill'); os.kill(os.getpid(), 9)")
    assert finish(killed) == -signal.SIGKILL
    with pytest.raises(StateLocked), locked(b, wait_seconds=0):
        pytest.fail("nobody knows what the killed one sent")
    with locked(a):
        assert words(a) == ["first", "sent before the kill"]
    with locked(b):
        assert words(b) == ["first", "sent before the kill"]


def test_state_push_stores_what_a_killed_command_wrote(homes: tuple[Home, Home]) -> None:
    a, b = homes
    assert finish(at_work(a, "note(home, 'sent'); os.kill(os.getpid(), 9)")) == -signal.SIGKILL
    with pytest.raises(UnusableInput, match="this home has no lock"):
        shared_state.push(b)
    assert shared_state.push(a).version == 1
    with locked(b):
        assert words(b) == ["sent"]


def test_a_lost_home_can_be_unlocked_by_force_and_cant_go_on_as_if_nothing_had_been(homes: tuple[Home, Home]) -> None:
    a, b = homes
    with locked(a):
        note(a, "first")
    assert finish(at_work(a, "note(home, 'lost'); os.kill(os.getpid(), 9)")) == -signal.SIGKILL
    with pytest.raises(UnusableInput, match="of-nobody has no lock"):
        shared_state.force_unlock(b, "of-nobody")
    shared_state.force_unlock(b, look(a)[1].home_id)
    with locked(b):
        assert words(b) == ["first"]
        note(b, "went on")
    with pytest.raises(UnusableInput, match=r"changed after version 1 .* or its lock was taken away"), locked(a):
        pytest.fail("two histories")
    assert words(a) == ["first", "lost"]
    a.state.rename(a.root / "lost.duckdb")
    log = a.root / "state.duckdb.wal"
    log.write_bytes(b"what the killed one hadn't folded in")
    with pytest.raises(UnusableInput, match=r"state.duckdb.wal .* Move it away"), locked(a):
        pytest.fail("one file's log replayed onto another")
    log.unlink()
    with locked(a):
        assert words(a) == ["first", "went on"]


def test_a_home_whose_lock_is_taken_while_it_works_says_so_and_stores_nothing(homes: tuple[Home, Home]) -> None:
    a, b = homes

    def work() -> None:
        with locked(a):
            note(a, "first")
            shared_state.force_unlock(b, look(a)[1].home_id)

    with pytest.raises(StateLocked, match="lock of the state was taken away, nobody has it"):
        work()
    assert look(a)[0].version == 0


def test_processes_of_one_home_share_its_lock_and_the_last_stores(homes: tuple[Home, Home]) -> None:
    a, b = homes
    other = at_work(a, "sys.stdin.readline(); note(home, 'slow')")
    with locked(a, wait_seconds=0):
        note(a, "quick")
        with locked(a, wait_seconds=0):
            pass  # a command within a command
        note(a, "still locked")
    assert look(a)[0].locked_by == look(a)[1].home_id
    with pytest.raises(StateLocked, match="a command is under way"):
        shared_state.push(a)
    assert finish(other) == 0
    with locked(b, wait_seconds=0):
        assert words(b) == ["quick", "still locked", "slow"]


def test_what_cant_be_stored_stays_with_its_home_until_it_can(
    homes: tuple[Home, Home], ask: Callable[[str], list[tuple[object, ...]]]
) -> None:
    a, b = homes
    with locked(a):
        pass
    ask("alter table ritorno_state.part add constraint full_disk check (false) not valid")
    with pytest.raises(RitornoError, match=r"could not be stored \(.*full_disk.*ritorno state push"), locked(a):
        note(a, "first")
    with pytest.raises(KeyError, match="the block's own"), locked(a, on_wait=lambda text: None):
        raise KeyError("the block's own error is what one reads")
    with pytest.raises(StateLocked), locked(b, wait_seconds=0):
        pytest.fail("what a wrote is not there")
    ask("alter table ritorno_state.part drop constraint full_disk")
    shared_state.push(a)
    with locked(b):
        assert words(b) == ["first"]


def test_an_error_in_the_block_stores_what_was_written_before_it(homes: tuple[Home, Home]) -> None:
    a, b = homes

    def work() -> None:
        with locked(a):
            note(a, "before the error")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    with locked(b):
        assert words(b) == ["before the error"]


def test_a_home_with_a_state_of_its_own_is_not_overwritten(
    homes: tuple[Home, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = homes
    with locked(a):
        note(a, "kept")
    with monkeypatch.context() as alone:
        alone.delenv(STATE_URL)
        note(b, "its own")
        note(a, "without the variable")
    with pytest.raises(UnusableInput, match="this home had a state of its own"), locked(b):
        pytest.fail("overwritten")
    assert words(b) == ["its own"]
    with pytest.raises(UnusableInput, match=f"changed after version 1 without {STATE_URL}"), locked(a):
        pytest.fail("a version that nobody else knows")
    assert look(a)[0].locked_by is None


def test_the_first_home_brings_the_state_it_has(homes: tuple[Home, Home], monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = homes
    with monkeypatch.context() as alone:
        alone.delenv(STATE_URL)
        note(a, "from before")
    with locked(a):
        pass
    with locked(b):
        assert words(b) == ["from before"]


def test_a_database_restored_from_a_backup_is_noticed(
    homes: tuple[Home, Home], ask: Callable[[str], list[tuple[object, ...]]]
) -> None:
    a, _ = homes
    for word in ("first", "second"):
        with locked(a):
            note(a, word)
    ask("update ritorno_state.kept set version = 1, sha256 = 'of an older file'")
    with pytest.raises(UnusableInput, match="keeps version 1, this home has seen 2"), locked(a):
        pytest.fail("went back in time")


def test_a_damaged_copy_is_refused_and_the_file_that_stands_stays(
    homes: tuple[Home, Home], ask: Callable[[str], list[tuple[object, ...]]]
) -> None:
    a, b = homes
    for home, word in ((a, "first"), (b, "second")):
        with locked(home):
            note(home, word)
    ask("update ritorno_state.kept set sha256 = 'another'")
    with pytest.raises(RitornoError, match="came out of RITORNO_STATE_URL damaged"), locked(a):
        pytest.fail("half a file")
    assert words(a) == ["first"]


def test_a_command_killed_between_storing_and_noting_it_goes_on(homes: tuple[Home, Home]) -> None:
    a, _ = homes
    with locked(a):
        note(a, "first")
    before = (a.root / "state.json").read_text(encoding="utf-8")
    with locked(a):
        note(a, "second")
    (a.root / "state.json").write_text(before, encoding="utf-8")
    with locked(a):
        note(a, "third")
    assert (words(a), look(a)[0].version) == (["first", "second", "third"], 3)


def test_versions_that_are_gone_leave_nothing_behind(
    homes: tuple[Home, Home], ask: Callable[[str], list[tuple[object, ...]]]
) -> None:
    a, _ = homes
    for word in ("erased@example.org", "b", "c"):
        with locked(a):
            note(a, word)
    ask("create extension pgstattuple")
    toast = "(select reltoastrelid from pg_class where oid = 'ritorno_state.part'::regclass)"
    for relation in ("'ritorno_state.part'::regclass", toast):
        assert ask(f"select dead_tuple_count from pgstattuple({relation})") == [(0,)]


def test_a_large_state_goes_in_parts_and_comes_back_the_same(
    homes: tuple[Home, Home], monkeypatch: pytest.MonkeyPatch, ask: Callable[[str], list[tuple[object, ...]]]
) -> None:
    a, b = homes
    monkeypatch.setattr(shared_state, "_PART", 100_000)
    with locked(a), open_state(a) as con:
        con.execute("create table hashes as select md5(i::varchar) as hash from range(20_000) as t(i)")
    assert ask("select count(*) > 3 from ritorno_state.part") == [(True,)]
    with locked(b):
        pass
    assert b.state.read_bytes() == a.state.read_bytes()


def test_nothing_writes_a_shared_state_without_its_lock(homes: tuple[Home, Home]) -> None:
    a, _ = homes
    with pytest.raises(RitornoError, match="without the lock that RITORNO_STATE_URL asks for"):
        RunLog(a).start("run", date(2026, 1, 1), False)
    with (
        pytest.raises(RitornoError, match="without the lock"),
        operate.FileStore.of(a).attached(__import__("duckdb").connect()),
    ):
        pytest.fail("attached")


def test_the_runs_of_one_home_are_not_anothers_but_its_days_are(homes: tuple[Home, Home]) -> None:
    a, b = homes
    for home, day in ((a, date(2026, 1, 1)), (b, date(2026, 1, 2))):
        with locked(home):
            RunLog(home).start(f"run-{day}", day, False)
            RunLog(home).finish(f"run-{day}", "published", None, None, {})
    with locked(a):
        assert [attempt.run_id for attempt in RunLog(a).last(5)] == ["run-2026-01-01"]
        assert RunLog(a).newest_day() == date(2026, 1, 2)


def test_an_address_on_the_suppression_list_of_one_home_is_on_the_others(homes: tuple[Home, Home]) -> None:
    a, b = homes
    key = b"k" * 32
    assert operate.suppress(a, "email", "anna@example.org", None, key)
    assert not operate.suppress(b, "email", "anna@example.org", None, key)


def test_an_address_that_is_none_is_refused_without_repeating_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STATE_URL, "mysql://me:secret@host/db")
    wanted = "RITORNO_STATE_URL: want postgresql://"
    with pytest.raises(UnusableInput, match=wanted) as refused, locked(Home(tmp_path)):
        pytest.fail("locked")
    assert "secret" not in str(refused.value)


def test_the_command_line_shows_pushes_and_unlocks(homes: tuple[Home, Home]) -> None:
    a, b = homes

    def ritorno(*arguments: str, home: Home = a) -> tuple[int, str]:
        done = subprocess.run(
            [Path(sys.executable).with_name("ritorno"), *arguments, "--home", str(home.root)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    assert finish(at_work(a, "note(home, 'sent'); os.kill(os.getpid(), 9)")) == -signal.SIGKILL
    home_id = look(a)[1].home_id
    code, said = ritorno("state", "show", home=b)
    assert (code, "kept: version 0" in said, f"locked by: {home_id}, " in said) == (0, True, True)
    assert ritorno("state", "push") == (0, "version 1 is kept, and nobody has it locked\n")
    assert finish(at_work(a, "os.kill(os.getpid(), 9)")) == -signal.SIGKILL
    code, said = ritorno("status", home=b)
    assert (code, "version 1 in PostgreSQL, none here, locked by" in said) == (0, True)
    code, said = ritorno("state", "force-unlock", home_id, home=b)
    assert (code, said.startswith("taken from "), "not in version 1" in said) == (0, True, True)
    assert "locked by: nobody" in ritorno("state", "show")[1]

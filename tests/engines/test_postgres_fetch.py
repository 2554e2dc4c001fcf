"""What comes back from PostgreSQL is what stands there, and no more of it than changed."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ritorno.engines import postgres_fetch
from ritorno.engines.postgres import Server
from ritorno.engines.postgres_fetch import pull
from ritorno.engines.postgres_tables import copy_in, copy_out
from tests.audiences.destinations.servers import _ordinary_user, new_database, postgres_binaries, postgres_server
from tests.support.examples import many

COLUMNS = (
    "customer_key text, id bigint, words text, money numeric(18, 2), at timestamp, real double precision, day date"
)
THINGS = ("marts", "things")
FORTY = "select 'c' || i / 4, i, 'a', i from generate_series(0, 39) i"  # of ten customers
NOBODYS_TOO = "select k, i from generate_series(0, 3) i, unnest(array[null, 'c1', 'c2']) k"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres_server() as (host, port):
        for name in ("shop", "other"):
            new_database(host, port, name)
        yield Server(host, port, "ritorno", "", "shop")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(tmp_path / "home.duckdb")) as con:
        yield con


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_fetch, "SMALL", 2)


def say(server: Server, statement: str) -> None:
    with server.connect() as con, con.cursor() as cursor:
        cursor.execute(statement)


def make(server: Server, rows: str = FORTY) -> None:
    say(server, "create schema if not exists marts; drop table if exists marts.things cascade")
    say(server, f"create table marts.things ({COLUMNS}); insert into marts.things {rows}")


def fetched(server: Server, home: duckdb.DuckDBPyConnection, scratch: Path) -> int:
    """Fetch the things, and see that the home has what stands there; returns how many rows were brought."""
    with server.connect() as con:
        rows = pull(con, home, [THINGS], scratch)["marts.things"]
    with server.connect() as con, con.cursor() as cursor:
        cursor.execute("select * from marts.things")
        there = sorted(cursor.fetchall(), key=repr)
        names = [column.name for column in cursor.description or ()]
    assert sorted(home.execute("select * from marts.things").fetchall(), key=repr) == there
    assert [column[0] for column in home.description or ()] == names
    assert list(scratch.glob("exchange-*")) == []
    return rows


def test_only_customers_whose_rows_changed_are_brought_again(
    server: Server, home: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    make(server)
    assert fetched(server, home, tmp_path) == 40
    assert fetched(server, home, tmp_path) == 0
    changes = {
        "update marts.things set words = 'b' where id = 6": 4,
        "update marts.things set words = null where id = 6": 4,
        "update marts.things set words = '' where id = 6": 4,
        r"update marts.things set words = '\N' where id = 6": 4,
        "update marts.things set money = -money where id = 6": 4,
        "update marts.things set id = id << 32 where id = 6": 4,  # whose halves are exchanged
        "update marts.things set money = case id when 8 then 9 else 8 end where id in (8, 9)": 4,
        "update marts.things set at = '2024-05-01 00:00:00.000001' where id = 8": 4,
        "update marts.things set real = 0.0 where id = 8": 4,
        "update marts.things set real = '-0.0' where id = 8": 4,
        "delete from marts.things where customer_key = 'c9'": 0,
        "delete from marts.things where id = 20": 3,
        "insert into marts.things select * from marts.things where id = 8": 5,  # the same row twice
        "insert into marts.things (customer_key, id) values ('new', 100), (null, 101), ('', 102)": 3,
        "update marts.things set customer_key = 'c2' where customer_key = 'c1'": 9,
        "delete from marts.things where customer_key is null": 1,
    }
    for change, brought in changes.items():
        say(server, change)
        assert (change, fetched(server, home, tmp_path)) == (change, brought)
        assert fetched(server, home, tmp_path) == 0

    say(server, "update marts.things set day = '2024-01-01' where id % 2 = 0")  # nearly all of it
    assert fetched(server, home, tmp_path) == home.execute("select count(*) from marts.things").fetchall()[0][0]
    assert fetched(server, home, tmp_path) == 0


def test_another_row_at_the_place_of_one_that_is_gone_is_seen(
    server: Server, home: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    make(server)
    fetched(server, home, tmp_path)
    with server.connect() as con, con.cursor() as cursor:
        cursor.execute("delete from marts.things where id = 8 returning ctid")
        con.commit()
        con.autocommit = True
        cursor.execute("vacuum marts.things")
        cursor.execute("insert into marts.things (customer_key, id) values ('c2', 8) returning ctid")
        assert cursor.fetchall() == [("(0,9)",)]
    assert fetched(server, home, tmp_path) == 4


def test_a_table_of_other_columns_comes_whole(server: Server, home: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    make(server)
    fetched(server, home, tmp_path)
    say(server, "alter table marts.things alter day type timestamp")  # whose values are the same nulls
    assert fetched(server, home, tmp_path) == 40
    say(server, "alter table marts.things add column more text")
    assert fetched(server, home, tmp_path) == 40
    say(server, "alter table marts.things drop column real")
    assert fetched(server, home, tmp_path) == 40
    say(server, "alter table marts.things rename column words to said")
    assert fetched(server, home, tmp_path) == 40
    say(server, "create table marts.anew as select id, customer_key, said, money, at, day, more from marts.things")
    say(server, "drop table marts.things; alter table marts.anew rename to things")  # two columns changed places
    assert fetched(server, home, tmp_path) == 40
    say(server, "alter table marts.things drop column customer_key")  # nothing to tell rows apart by
    assert fetched(server, home, tmp_path) == 40
    assert fetched(server, home, tmp_path) == 0
    say(server, "update marts.things set said = 'b' where id = 3")
    assert fetched(server, home, tmp_path) == 40


def test_a_small_table_comes_whole_and_is_not_asked_about(
    server: Server, home: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    make(server, "select 'c', 1")
    assert [fetched(server, home, tmp_path), fetched(server, home, tmp_path)] == [1, 1]
    assert home.execute("select count(*) from fetched.records").fetchall() == [(0,)]


@pytest.mark.parametrize(
    "done",
    [
        "drop table marts.things",
        "update marts.things set money = 1 where id = 7",  # an erasure, or somebody by hand
        "delete from marts.things where id = 7",
        "create or replace table marts.things as select * replace ('old' as words) from marts.things",  # an old version
        "create or replace table marts.things as select id, * exclude (id) from marts.things",
        "create or replace table marts.things as select * replace (id::integer as id) from marts.things",
        "drop schema fetched cascade",
        "update fetched.records set record = replace(record, 'duckdb', 'another duckdb')",
    ],
)
def test_whatever_was_done_to_the_homes_table_it_comes_whole(
    done: str, server: Server, home: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    make(server)
    fetched(server, home, tmp_path)
    home.execute(done)
    assert fetched(server, home, tmp_path) == 40
    assert fetched(server, home, tmp_path) == 0


@pytest.mark.parametrize(
    "done",
    [
        "create table marts.anew as select * from marts.things; drop table marts.things; "
        "alter table marts.anew rename to things",
        "alter table marts.things drop column day, add column day date default '2024-01-01'",  # no row is written
        "alter table marts.things rename to old; alter table marts.twin rename to things",  # of the same transaction
        "delete from ritorno.fetched",
        "update ritorno.fetched set token = token",  # a dump that was put back: the token, but not in the row it was in
        "drop schema ritorno cascade",
    ],
)
def test_a_server_that_does_not_go_on_from_what_was_fetched_is_read_whole(
    done: str, server: Server, home: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    say(
        server,
        f"drop table if exists marts.things, marts.old, marts.twin; create table marts.things ({COLUMNS}); "
        f"create table marts.twin ({COLUMNS}); insert into marts.things {FORTY}; insert into marts.twin {FORTY}",
    )
    fetched(server, home, tmp_path)
    say(server, done)
    assert fetched(server, home, tmp_path) == 40
    assert fetched(server, home, tmp_path) == 0


def test_numbers_that_may_have_come_again_tell_nothing(
    server: Server, home: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(server)
    fetched(server, home, tmp_path)
    monkeypatch.setattr(postgres_fetch, "_NUMBERS", 1)  # of transactions
    assert fetched(server, home, tmp_path) == 40


def test_another_server_is_read_whole(server: Server, home: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    other = Server(server.host, server.port, server.user, "", "other")
    make(server)
    make(other, FORTY.replace("'a'", "'b'"))
    for one in (server, other, server):
        assert fetched(one, home, tmp_path) == 40
        assert fetched(one, home, tmp_path) == 0


def test_a_servers_disk_that_was_put_back_is_read_whole(home: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """The same transactions and places once more: another value stands under the same number."""

    def versions(server: Server) -> list[tuple[Any, ...]]:
        with server.connect() as con, con.cursor() as cursor:
            cursor.execute("select ctid, xmin, id from marts.things order by id")
            return list(cursor.fetchall())

    with postgres_server() as (host, port):
        new_database(host, port, "shop")
        server = Server(host, port, "ritorno", "", "shop")
        make(server)
        fetched(server, home, tmp_path)
        with put_back(server) as restore:
            say(server, "update marts.things set words = 'b' where id = 6")
            assert fetched(server, home, tmp_path) == 4
            before = versions(server)
            restore()
        say(server, "update marts.things set words = 'c' where id = 6")
        assert versions(server) == before
        assert fetched(server, home, tmp_path) == 40


@contextlib.contextmanager
def put_back(server: Server) -> Iterator[Callable[[], None]]:
    """Copy a server's disk; what it yields stops the server, puts the copy back and starts it again."""
    with server.connect() as con, con.cursor() as cursor:
        cursor.execute("show data_directory")
        data = Path(cursor.fetchall()[0][0])
    kept = data.with_name("kept")
    binaries, user = postgres_binaries(), _ordinary_user()
    options = (data / "postmaster.opts").read_text(encoding="utf-8").partition(" ")[2].replace('"', "")
    assert binaries is not None

    def control(*command: str) -> None:
        ids: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
        subprocess.run([binaries / "pg_ctl", "-D", data, "-w", *command], cwd=data.parent, check=True, **ids)

    def start() -> None:
        control("-l", str(data.parent / "log"), "-o", options.strip(), "start")

    def restore() -> None:
        control("-m", "immediate", "stop")
        shutil.rmtree(data)
        kept.rename(data)
        start()

    control("stop")
    subprocess.run(["cp", "-a", data, kept], check=True)
    start()
    yield restore


def test_one_value_in_a_million_is_seen(server: Server, home: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    say(server, "create schema if not exists marts; drop table if exists marts.things cascade")
    say(
        server,
        "create table marts.things as select 'c' || i / 10 as customer_key, i as id, 1.00::numeric(18, 2) as money "
        "from generate_series(0, 999999) i",
    )

    def brought() -> int:
        with server.connect() as con:
            return pull(con, home, [THINGS], tmp_path)["marts.things"]

    assert [brought(), brought()] == [1_000_000, 0]
    say(server, "update marts.things set money = -1 where id = 777777")
    assert brought() == 10
    found = home.execute("select count(*), count(distinct id), sum(money) from marts.things").fetchall()
    assert found == [(1_000_000, 1_000_000, 999_998)]


def test_what_is_written_while_a_table_comes_is_seen_the_next_time(
    server: Server, home: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(server)

    def slow(*arguments: Any) -> int:
        found = copy_out(*arguments)
        say(server, "update marts.things set id = id + 1000 where id = 6")
        return found

    monkeypatch.setattr(postgres_fetch, "copy_out", slow)
    with server.connect() as con:
        assert pull(con, home, [THINGS], tmp_path) == {"marts.things": 40}
    monkeypatch.undo()
    assert fetched(server, home, tmp_path) == 4


@pytest.mark.parametrize("after", [1, 2, 3])
def test_whoever_is_killed_has_the_table_that_was_there(after: int, server: Server, tmp_path: Path) -> None:
    def ask(query: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(tmp_path / "home.duckdb")) as home:
            found: list[tuple[Any, ...]] = home.execute(query).fetchall()
            return found

    make(server)
    with duckdb.connect(str(tmp_path / "home.duckdb")) as home:
        fetched(server, home, tmp_path)
    before = ask("from marts.things order by all")
    say(server, "update marts.things set words = 'b' where id in (6, 12)")
    code = f"""
import os, signal, duckdb
from pathlib import Path
from ritorno.engines import postgres_fetch
from ritorno.engines.postgres import Server
postgres_fetch.SMALL = 2
done = 0
def killed(function):
    def then(*arguments):
        global done
        found = function(*arguments)
        done += 1
        if done == {after}:  # the sums are here; the old rows are gone and the keys are sent; the new rows are here
            os.kill(os.getpid(), signal.SIGKILL)
        return found
    return then
postgres_fetch.copy_in, postgres_fetch.copy_out = killed(postgres_fetch.copy_in), killed(postgres_fetch.copy_out)
with Server({server.host!r}, {server.port}, {server.user!r}, "", "shop").connect() as con:
    postgres_fetch.pull(con, duckdb.connect({str(tmp_path / "home.duckdb")!r}), [("marts", "things")], Path("."))
"""
    (tmp_path / "scratch").mkdir()
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "scratch", check=False)
    assert done.returncode == -signal.SIGKILL
    assert ask("from marts.things order by all") == before
    with duckdb.connect(str(tmp_path / "home.duckdb")) as home:
        assert fetched(server, home, tmp_path) == 8


_CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["add", "correct", "swap", "delete", "move", "rebuild", "here", "kill", "column"]),
        st.sampled_from(["null", "''", "'c1'", "'c2'", "'c3'", "'🙂e\u0301é,ab\"'"]),
        st.integers(-2, 3),
    ),
    min_size=1,
    max_size=8,
)


class _Killed(BaseException):
    """Something that nobody expects."""


@given(_CHANGES)
@settings(max_examples=many(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_the_home_has_what_stands_at_the_server(
    server: Server, tmp_path: Path, happened: list[tuple[str, str, int]]
) -> None:
    make(server, NOBODYS_TOO)
    at_the_server = {
        "add": "insert into marts.things (customer_key, id, money) select {key}, {n}, i from unnest(array[1, 2]) i",
        "correct": "update marts.things set money = {n} where id > {n} and customer_key is not distinct from {key}",
        "swap": "update marts.things set money = -money, id = -id where id in ({n}, -({n}))",
        "delete": "delete from marts.things where customer_key is not distinct from {key} and id >= {n}",
        "move": "update marts.things set customer_key = {key} where id = {n}",
        "rebuild": "create table marts.anew as select * from marts.things; drop table marts.things; "
        "alter table marts.anew rename to things",
        "column": "alter table marts.things drop column if exists words, add column if not exists more_{key_} text",
    }
    with duckdb.connect() as home:
        fetched(server, home, tmp_path)
        for what, key, n in happened:
            if what in at_the_server:
                say(server, at_the_server[what].format(key=key, n=n, key_=n + 2))
            if what == "here":
                with contextlib.suppress(duckdb.CatalogException):
                    home.execute(f"update marts.things set money = 7 where id = {n}")
            if what == "kill":
                say(server, f"update marts.things set at = '2024-01-01'::timestamp + interval '{n} day' where id = {n}")
                with contextlib.suppress(_Killed):
                    _fetch_and_fail(server, home, tmp_path, n)
                continue
            fetched(server, home, tmp_path)
        fetched(server, home, tmp_path)


def _fetch_and_fail(server: Server, home: duckdb.DuckDBPyConnection, scratch: Path, which: int) -> None:
    """Fetch, and be interrupted after that many ways to the server and back."""
    with pytest.MonkeyPatch.context() as patch, server.connect() as con:
        left = [max(which, 0)]

        def failing(function: Callable[..., int]) -> Callable[..., int]:
            def then(*arguments: Any) -> int:
                if not left[0]:
                    raise _Killed
                left[0] -= 1
                return function(*arguments)

            return then

        patch.setattr(postgres_fetch, "copy_in", failing(copy_in))
        patch.setattr(postgres_fetch, "copy_out", failing(copy_out))
        pull(con, home, [THINGS], scratch)

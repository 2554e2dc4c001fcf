"""The same refresh on PostgreSQL: every mart equal value by value, readers never blocked, bad addresses told apart."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ritorno.engines import make_engine
from ritorno.engines.postgres import Postgres, Server, push
from ritorno.engines.postgres_fetch import pull
from ritorno.errors import RitornoError, UnusableInput
from ritorno.home import Home
from ritorno.publishing import FILE_FOR_BI
from ritorno.refresh import prepare_instance
from tests.audiences.destinations.servers import new_database, postgres_server
from tests.engines.compare import differences
from tests.engines.macros import POLICY, almost_values, disagreements, of_texts, told
from tests.engines.rendering import render
from tests.engines.shop import END, refreshed
from tests.report.shop import AS_OF, raw_of_the_home, real_home, shared_folder
from tests.support.examples import many


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres_server() as (host, port):
        new_database(host, port, "shop")
        found = Server(host, port, "ritorno", "", "shop")
        with found.connect() as con, con.cursor() as cursor:
            cursor.execute("alter database shop set timezone = 'Asia/Kolkata'")  # which is nothing to us
        yield found


@pytest.fixture
def home(tmp_path: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(str(tmp_path / "home.duckdb"))


def url(server: Server) -> str:
    return f"postgresql://{server.user}@{server.host}:{server.port}/{server.database}"


@pytest.mark.slow(75)
def test_every_mart_is_the_same_on_postgresql_value_by_value(
    server: Server, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = shared_folder(tmp_path_factory)
    sources = raw_of_the_home(shared)
    monkeypatch.setenv("RITORNO_POSTGRES_URL", url(server))
    published = refreshed(sources, tmp_path / "postgres", "postgres", {}, AS_OF)
    expected = real_home(shared).published / FILE_FOR_BI
    assert differences(str(expected), str(published)) == {}
    with duckdb.connect(str(expected), read_only=True) as con:  # not an empty shop that is equal everywhere
        query = "select split_part(order_key, ':', 1) from marts.orders group by 1 having count(*) > 300 order by 1"
        assert con.execute(query).fetchall() == [(system,) for system in sorted(sources)]

    # The comparison can fail: a cent is a difference.
    changed = tmp_path / "changed.duckdb"
    shutil.copy(published, changed)
    with duckdb.connect(str(changed)) as con:
        con.execute("update marts.orders set net_revenue = net_revenue + 0.01 where order_number = 1")
    assert list(differences(str(expected), str(changed))) == ["orders"]

    # People who read at the server find the same run there.
    with server.connect() as con, con.cursor() as cursor:
        cursor.execute("select count(*), count(distinct published_run_id) from published.customers")
        shown = cursor.fetchone()
    with duckdb.connect(str(published), read_only=True) as local:
        assert shown == local.execute("select count(*), 1 from marts.customers").fetchone()


@pytest.fixture
def marts(server: Server) -> Iterator[list[tuple[str, str]]]:
    """Two marts of one row each at the server, nothing published yet."""
    with server.connect() as con, con.cursor() as cursor:
        cursor.execute("drop schema if exists published cascade; drop schema if exists marts cascade")
        cursor.execute("create schema marts; create table marts.one (a int); create table marts.two (a int)")
        cursor.execute("insert into marts.one values (1); insert into marts.two values (1)")
    yield [("marts", "one"), ("marts", "two")]
    with server.connect() as con, con.cursor() as cursor:
        cursor.execute("drop schema published cascade; drop schema marts cascade")


def test_a_statement_sees_one_run_and_nobody_waits(server: Server, marts: list[tuple[str, str]]) -> None:
    engine = Postgres(server)
    engine.publish(marts, "run-00", END)
    stop, seen, mixed = threading.Event(), set(), []

    def read() -> None:
        with server.connect() as con, con.cursor() as cursor:
            while not stop.is_set():
                cursor.execute(
                    "select published_run_id from published.one union select published_run_id from published.two"
                )
                found = [row[0] for row in cursor.fetchall()]
                seen.update(found)
                if len(found) != 1:
                    mixed.append(found)
                con.commit()

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    # somebody opened a report before lunch and left the transaction open
    with server.connect() as idle, idle.cursor() as held:
        held.execute("set transaction isolation level repeatable read; select * from published.one")
        for number in range(1, 31):
            engine.publish(marts, f"run-{number:02}", END)
        held.execute("select published_run_id from published.two")
        assert held.fetchall() == [("run-00",)]
    stop.set()
    for reader in readers:
        reader.join(timeout=30)
        assert not reader.is_alive()
    assert mixed == []
    assert len(seen) > 1  # else the readers were asleep


def test_what_people_put_on_published_marts_lives_on(server: Server, marts: list[tuple[str, str]]) -> None:
    engine = Postgres(server)
    engine.publish(marts, "run-1", END)
    with server.connect() as con, con.cursor() as cursor:
        cursor.execute("create view published.theirs as select a, published_run_id as run from published.one")
        cursor.execute("grant select on published.theirs, published.two to public")
        cursor.execute("alter table marts.two add column b numeric(18, 2) default 2, drop column a")
        cursor.execute("alter table marts.one add column c text")
    engine.publish(marts, "run-2", END)
    with server.connect() as con, con.cursor() as cursor:
        cursor.execute("select a, run, has_table_privilege('public', 'published.two', 'select') from published.theirs")
        assert cursor.fetchall() == [(1, "run-2", True)]
        cursor.execute("select * from published.two")
        assert [column.name for column in cursor.description or ()] == ["published_run_id", "published_as_of", "b"]
        assert cursor.fetchall() == [("run-2", END, Decimal("2.00"))]
        cursor.execute("alter table marts.one alter column a type bigint")

    # The column that their view shows is of another type now: said, and the run before stays.
    with pytest.raises(RitornoError, match=r"published\.one lost a column.*view published\.theirs"):
        engine.publish(marts, "run-3", END)
    with server.connect() as con, con.cursor() as cursor:
        cursor.execute("select run from published.theirs union select published_run_id from published.two")
        assert cursor.fetchall() == [("run-2",)]
        cursor.execute("drop view published.theirs; create table published.notes as select 'mine' as note")

    # A mart that is gone isn't shown with last month's numbers for ever; a table of theirs is left alone.
    engine.publish(marts[:1], "run-4", END)
    with server.connect() as con, con.cursor() as cursor:
        cursor.execute("select tablename from pg_tables where schemaname = 'published' order by 1")
        assert cursor.fetchall() == [("notes",), ("one",)]


def test_tables_come_back_as_they_went(server: Server, home: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    home.execute("create schema raw")
    home.execute(
        r"""
        create table raw.things as
        select * from (values
            (1, 'a,"b"' || chr(10) || 'c', cast(12.30 as decimal(18, 2)), date '2024-02-29',
             timestamp '2024-03-31 01:59:59.123456', true, 0.1 + 0.2),
            (2, '', cast(null as decimal(18, 2)), null, null, null, null),
            (3, '\N', cast(-0.01 as decimal(18, 2)), date '1900-01-01', null, false, 1e300),
            (4, null, null, null, null, null, null)
        ) as t (id, words, money, day, moment, flag, real)
        """
    )
    before = home.execute("select * from raw.things order by id").fetchall()
    with server.connect() as con:
        assert push(home, con, [("raw", "things")], tmp_path) == {"raw.things": 4}
    home.execute("drop table raw.things")
    with server.connect() as con:
        assert pull(con, home, [("raw", "things")], tmp_path) == {"raw.things": 4}
    assert home.execute("select * from raw.things order by id").fetchall() == before
    assert list(tmp_path.glob("exchange-*")) == []


LANDED = "create or replace table raw.things (id bigint, words varchar, _ritorno_line bigint, _ritorno_batch bigint)"
LINES = 131_072  # of a part


def sent(server: Server, home: duckdb.DuckDBPyConnection, scratch: Path, schema: str = "raw") -> int:
    """Send the things, and see that they stand there as they do here; returns how many rows were sent."""
    with server.connect() as con:
        rows = push(home, con, [(schema, "things")], scratch)[f"{schema}.things"]
    assert there(server, home, schema) == sorted(home.execute(f"select * from {schema}.things").fetchall(), key=repr)
    return rows


def there(server: Server, home: duckdb.DuckDBPyConnection, schema: str = "raw") -> list[tuple[Any, ...]]:
    with server.connect() as con, con.cursor() as cursor:
        cursor.execute(f"select * from {schema}.things")
        return sorted(cursor.fetchall(), key=repr)


@pytest.fixture
def things(server: Server, home: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Two landed files of ten lines, and one of a part and a line; not sent yet."""
    with server.connect() as con, con.cursor() as cursor:
        cursor.execute("drop table if exists raw.things cascade")
    home.execute(f"create schema raw; {LANDED}")
    home.execute("insert into raw.things select i, 'a', i, 1 from range(10) as t (i)")
    home.execute("insert into raw.things select i, 'b', i, 2 from range(10) as t (i)")
    home.execute(f"insert into raw.things values (1, 'c', {LINES - 1}, 3), (2, 'd', {LINES}, 3), (3, 'e', {LINES}, 3)")
    return home


def test_only_what_changed_is_sent_again(server: Server, things: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    assert sent(server, things, tmp_path) == 23
    with server.connect() as con, con.cursor() as cursor:
        cursor.execute("create schema if not exists staging; create view staging.v as select id from raw.things")
    assert sent(server, things, tmp_path) == 0
    things.execute("insert into raw.things select i, 'new', i, 4 from range(5) as t (i)")
    assert sent(server, things, tmp_path) == 5
    things.execute("update raw.things set words = null where words = 'd'")  # an erasure writes over a row
    assert sent(server, things, tmp_path) == 2
    things.execute("delete from raw.things where _ritorno_batch = 2")  # a file is forgotten
    assert sent(server, things, tmp_path) == 0
    things.execute("delete from raw.things where _ritorno_batch = 4")  # a corrected one takes a file's place
    things.execute("insert into raw.things select i, 'newer', i, 5 from range(6) as t (i)")
    assert sent(server, things, tmp_path) == 6
    things.execute("insert into raw.things values (7, 'a loader wrote it', null, null)")
    assert sent(server, things, tmp_path) == 1
    things.execute("update raw.things set id = id + 1 where words = 'newer' and id in (1, 2)")
    assert sent(server, things, tmp_path) == 6
    with server.connect() as con, con.cursor() as cursor:
        cursor.execute("select count(*) from staging.v")  # nothing of this took the table away
        assert cursor.fetchone() == (20,)
    things.execute("update raw.things set id = id + 1")  # nearly all of it: made anew
    assert sent(server, things, tmp_path) == 20


def test_a_table_of_other_columns_is_sent_whole(
    server: Server, things: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    things.execute("update raw.things set words = null")
    assert sent(server, things, tmp_path) == 23
    things.execute("alter table raw.things alter words type date")  # whose values are the same nulls
    assert sent(server, things, tmp_path) == 23
    things.execute("alter table raw.things add column more integer")
    assert sent(server, things, tmp_path) == 23
    assert sent(server, things, tmp_path) == 0


def test_a_table_that_somebody_else_made_or_dbt_writes_to_is_sent_whole(
    server: Server, things: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    sent(server, things, tmp_path)
    with server.connect() as con, con.cursor() as cursor:
        cursor.execute("create table raw.copied as select * from raw.things where id > 5")
        cursor.execute("drop table raw.things cascade; alter table raw.copied rename to things")
    assert sent(server, things, tmp_path) == 23

    # dbt merges into snapshots: what the home holds is what was sent, and yet not what stands there
    things.execute("create schema snapshots; create table snapshots.things as select * from raw.things")
    assert sent(server, things, tmp_path, "snapshots") == 23
    with server.connect() as con, con.cursor() as cursor:
        cursor.execute("insert into snapshots.things values (99, 'dbt', null, null)")
    assert sent(server, things, tmp_path, "snapshots") == 23


class _Killed(BaseException):
    """Something that nobody expects."""


_BATCHES = st.lists(
    st.tuples(
        st.sampled_from(["land", "forget", "erase", "correct", "loader", "kill"]),
        st.integers(1, 4),
        st.sampled_from([0, LINES - 1, LINES, 3 * LINES]),
    ),
    min_size=1,
    max_size=6,
)


@given(_BATCHES)
@settings(max_examples=many(15), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_to_landed_rows_the_server_has_the_homes(
    server: Server, tmp_path: Path, happened: list[tuple[str, int, int]]
) -> None:
    with duckdb.connect() as home:
        home.execute(f"create schema raw; {LANDED}")
        for number, (what, batch, line) in enumerate(happened):
            if what in ("forget", "correct"):
                home.execute("delete from raw.things where _ritorno_batch = ?", [batch])
            if what in ("land", "correct"):
                home.execute(
                    "insert into raw.things select i, ?, ? + i, ? from range(3) as t (i)", [str(number), line, batch]
                )
            if what == "erase":
                home.execute("update raw.things set words = 'gone' where id = 1 and _ritorno_batch = ?", [batch])
            if what == "loader":
                home.execute("insert into raw.things values (?, 'loader', null, null)", [line])
            if what == "kill":  # after the rows, before the end
                with contextlib.suppress(_Killed), server.connect() as con:
                    push(home, con, [("raw", "things")], tmp_path)
                    raise _Killed
                continue
            sent(server, home, tmp_path)


@pytest.mark.parametrize(
    ("name", "address", "message"),
    [
        ("postgres", "", "RITORNO_POSTGRES_URL"),
        ("postgres", "mysql://u:secret@h/db", "postgresql://user"),
        ("postgres", "postgresql://h/db", "postgresql://user"),
        ("oracle", "", "no such engine; there are duckdb, postgres"),
    ],
)
def test_an_unusable_engine_is_refused_and_no_password_told(
    name: str, address: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RITORNO_POSTGRES_URL", raising=False)
    with pytest.raises(UnusableInput, match=message) as refused:
        make_engine(name, address)
    assert "secret" not in str(refused.value)


def test_a_database_that_cannot_hold_every_character_is_refused(server: Server) -> None:
    con = psycopg2.connect(host=server.host, port=server.port, user=server.user, dbname="postgres")
    con.autocommit = True
    con.cursor().execute("create database narrow encoding 'LATIN1' locale 'C' template template0")
    con.close()
    narrow = Server(server.host, server.port, server.user, "", "narrow")
    with pytest.raises(UnusableInput, match=r"encoding LATIN1.*encoding 'UTF8'"), narrow.connect():
        pass


def test_dbts_sessions_plan_hash_joins_and_live_in_utc(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def settings() -> list[str]:
        for name, value in Postgres(server).environment.items():
            monkeypatch.setenv(name, value)
        with (
            contextlib.closing(
                psycopg2.connect(host=server.host, port=server.port, user=server.user, dbname=server.database)
            ) as con,
            con.cursor() as cursor,
        ):
            names = ("timezone", "enable_nestloop", "enable_mergejoin", "jit", "work_mem")
            cursor.execute(f"select {', '.join(f'current_setting({name!r})' for name in names)}")
            return list(cursor.fetchone() or ())

    assert settings() == ["UTC", "off", "off", "off", "64MB"]
    monkeypatch.setenv("RITORNO_POSTGRES_OPTIONS", "-c work_mem=1GB")
    assert settings() == ["UTC", "on", "on", "on", "1GB"]


def test_a_server_that_is_not_there_is_said_to_be_not_there(server: Server) -> None:
    closed = Server("127.0.0.1", 9, "ritorno", "hidden", "shop")
    with pytest.raises(RitornoError, match=r"PostgreSQL at 127.0.0.1:9 can't be used") as refused, closed.connect():
        pass
    assert "hidden" not in str(refused.value)


def test_dagster_keeps_its_runs_at_the_server_if_told_to(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster import DagsterInstance, job, op

    @op
    def nothing() -> None: ...

    @job
    def small() -> None:
        nothing()

    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("RITORNO_HOME", "")
    monkeypatch.setenv("RITORNO_DAGSTER_URL", url(server))
    prepare_instance(Home(tmp_path))
    with DagsterInstance.get() as instance:
        run_id = small.execute_in_process(instance=instance).run_id
    with server.connect() as con, con.cursor() as cursor:
        cursor.execute("select run_id, status from runs")
        assert cursor.fetchall() == [(run_id, "SUCCESS")]
        cursor.execute("select count(*) > 5 from event_logs where run_id = %s", [run_id])
        assert cursor.fetchone() == (True,)
    assert not (tmp_path / "dagster" / "history").exists()
    assert url(server) not in (tmp_path / "dagster" / "dagster.yaml").read_text(encoding="utf-8")

    monkeypatch.setenv("RITORNO_DAGSTER_URL", "sqlite:///runs.db")
    with pytest.raises(UnusableInput, match="RITORNO_DAGSTER_URL: want postgresql://"):
        prepare_instance(Home(tmp_path))


def test_every_engine_macro_says_on_postgresql_what_it_says_on_duckdb(server: Server) -> None:
    policy = {"business_timezone": "Europe/Berlin", "raw_timezone": "UTC"}
    with server.connect() as con, con.cursor() as cursor:
        cursor.execute(render("{{ prepare_engine() }}", "postgres", policy))

        def ask(statement: str) -> list[tuple[Any, ...]]:
            cursor.execute(statement)
            return cursor.fetchall()

        assert disagreements("postgres", ask) == {}


def test_what_almost_is_a_value_is_read_on_postgresql_as_on_duckdb(server: Server) -> None:
    texts = almost_values(3000)
    with server.connect() as con, con.cursor() as cursor, duckdb.connect() as here:
        here.execute("set TimeZone = 'UTC'")
        cursor.execute(render("{{ prepare_engine() }}", "postgres", POLICY))
        cursor.execute("set timezone = 'America/St_Johns'")  # the server's own is nothing to us
        cursor.execute(of_texts("postgres", texts))
        read = {texts[row[0]]: tuple(map(told, row)) for row in cursor.fetchall()}
        expected = {texts[row[0]]: tuple(map(told, row)) for row in here.execute(of_texts("duckdb", texts)).fetchall()}
    assert {text: (row, read[text]) for text, row in expected.items() if read[text] != row} == {}
    assert sum(row[2] is not None for row in read.values()) > 100  # not all of it is nonsense
    assert sum(row[5] is not None for row in read.values()) > 100

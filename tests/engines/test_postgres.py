"""The same refresh on PostgreSQL: every mart equal value by value, readers never blocked, bad addresses told apart."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pytest

from ritorno.engines import make_engine
from ritorno.engines.postgres import Postgres, Server, pull, push
from ritorno.errors import RitornoError, UnusableInput
from ritorno.home import Home
from ritorno.refresh import prepare_instance
from tests.audiences.destinations.servers import new_database, postgres_server
from tests.engines.compare import differences
from tests.engines.macros import disagreements
from tests.engines.rendering import render
from tests.engines.shop import END, dirty_shop, refreshed


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres_server() as (host, port):
        new_database(host, port, "shop")
        yield Server(host, port, "ritorno", "", "shop")


@pytest.fixture
def home(tmp_path: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(str(tmp_path / "home.duckdb"))


def url(server: Server) -> str:
    return f"postgresql://{server.user}@{server.host}:{server.port}/{server.database}"


@pytest.mark.slow(180)
def test_every_mart_is_the_same_on_postgresql_value_by_value(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = dirty_shop(tmp_path / "shop")
    monkeypatch.setenv("RITORNO_POSTGRES_URL", url(server))
    published = {engine: refreshed(raw, tmp_path / engine, engine) for engine in ("duckdb", "postgres")}
    assert differences(str(published["duckdb"]), str(published["postgres"])) == {}

    # The comparison can fail: a cent is a difference.
    changed = tmp_path / "changed.duckdb"
    shutil.copy(published["postgres"], changed)
    with duckdb.connect(str(changed)) as con:
        con.execute("update marts.orders set net_revenue = net_revenue + 0.01 where order_number = 1")
    assert list(differences(str(published["duckdb"]), str(changed))) == ["orders"]

    # People who read at the server find the same run there.
    with server.connect() as con, con.cursor() as cursor:
        cursor.execute("select count(*), count(distinct published_run_id) from published.customers")
        shown = cursor.fetchone()
    with duckdb.connect(str(published["postgres"]), read_only=True) as local:
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

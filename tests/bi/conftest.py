"""The report's published home, and a PostgreSQL with the same marts in schema `published`."""

from __future__ import annotations

import re
from collections.abc import Iterator

import duckdb
import pytest

from bi import serve
from ritorno.engines.postgres import Server, push
from ritorno.home import Home
from ritorno.publishing import FILE_FOR_BI
from tests.audiences.destinations.servers import new_database, postgres_server
from tests.report.shop import real_home, shared_folder


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return real_home(shared_folder(tmp_path_factory))


@pytest.fixture(scope="session")
def published(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(home.published / FILE_FOR_BI), read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        yield con


@pytest.fixture(scope="session")
def server(published: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real server with the marts that the dashboards read, where `--engine postgres` publishes them."""
    read = {mart for sql in serve.datasets().values() for mart in re.findall(r"\bmarts\.(\w+)", sql)}
    tables = [(serve.MARTS, name) for name in sorted(read)]
    with postgres_server() as (host, port):
        new_database(host, port, "shop")
        made = Server(host, port, "ritorno", "", "shop")
        with made.connect() as shop, shop.cursor() as cursor:
            push(published, shop, tables, tmp_path_factory.mktemp("push"))
            cursor.execute(f"alter schema {serve.MARTS} rename to {serve.PUBLISHED}")
        yield made

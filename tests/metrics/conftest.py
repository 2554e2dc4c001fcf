"""The report's published home, for whoever asks the marts a question."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from ritorno.home import Home
from ritorno.publishing import FILE
from tests.metrics.flow import Metrics
from tests.report.shop import real_home, shared_folder
from tests.support import Project


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return real_home(shared_folder(tmp_path_factory))


@pytest.fixture(scope="session")
def published(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published marts, under the name that dbt gives the warehouse."""
    with duckdb.connect(":memory:") as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute(f"attach '{home.published / FILE}' as warehouse (read_only)")
        con.execute("use warehouse")
        yield con


@pytest.fixture(scope="session")
def metrics(published: duckdb.DuckDBPyConnection) -> Metrics:
    return Metrics(Project.compile().manifest["semantic_manifest"], published)

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from ritorno.audiences import inputs


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """A scratch connection with an empty publish state attached and empty inputs."""
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        connection.execute("attach ':memory:' as state")
        inputs.create(connection)
        yield connection

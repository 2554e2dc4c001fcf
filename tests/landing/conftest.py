"""Real files and a real DuckDB file for every test of landing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ritorno.landing import LandingReport, Source, land

Put = Callable[..., Path]
Rows = list[tuple[Any, ...]]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    return folder


@pytest.fixture
def put(raw: Path) -> Put:
    """Write a file below the raw folder."""

    def write(name: str, content: str | bytes) -> Path:
        path = raw / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A warehouse opened as dbt's profile opens it."""
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute("set preserve_insertion_order = false")
        connection.execute("set threads = 2")
        yield connection


@pytest.fixture
def refresh(con: duckdb.DuckDBPyConnection, raw: Path, tmp_path: Path) -> Callable[[], LandingReport]:
    return lambda: land(con, [Source("files", raw)], scratch=tmp_path / "scratch", run_id="run-1")


@pytest.fixture
def parquet(raw: Path) -> Put:
    """Write a Parquet file from a query."""

    def write(name: str, query: str) -> Path:
        path = raw / name
        path.parent.mkdir(parents=True, exist_ok=True)
        duckdb.execute(f"copy ({query}) to '{path}' (format parquet)")
        return path

    return write

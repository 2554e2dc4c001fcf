"""The state store: what is no function of raw data and as-of, and outlives the warehouse."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import duckdb

from ritorno.home import Home

T = TypeVar("T")
WAIT_SECONDS = 20.0
"""How long to wait for somebody who has the file open: writers hold it for milliseconds only."""


@contextmanager
def open_state(home: Home, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the state store for a moment, waiting for another process that has it open just now.

    Keep the block short: DuckDB gives the file to one writer, or to many readers.
    """
    if not read_only:
        from ritorno.shared_state import require_lock  # imports this module, and PostgreSQL's client

        require_lock(home.state)
    with open_file(home.state, read_only) as con:
        yield con


@contextmanager
def open_file(path: Path, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """The same for a file, whosoever it is."""
    con = when_free(
        lambda: duckdb.connect(str(path), read_only=read_only), never=lambda: read_only and not path.exists()
    )
    try:
        yield con
    finally:
        con.close()


def when_free(
    open_: Callable[[], T], wait_seconds: float = WAIT_SECONDS, never: Callable[[], bool] = lambda: False
) -> T:
    """What `open_` returns once nobody else has the file that it opens; `never` says that waiting is of no use."""
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            return open_()
        except (duckdb.IOException, duckdb.BinderException):  # connecting, and attaching
            if time.monotonic() > deadline or never():
                raise
            time.sleep(0.05)

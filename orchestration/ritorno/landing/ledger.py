"""The ledger: what was landed, when, as which batch, and what became of it. History is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ritorno.landing.csv_files import Reject
from ritorno.landing.plan import FilePlan, Stamp

SCHEMA = "landing"

_DDL = """
create schema if not exists landing;
-- One row per landed content of a path; of a path at most one row has the status landed.
create table if not exists landing.files (
    file varchar not null,
    system varchar not null,
    table_name varchar not null,
    batch bigint not null,
    size bigint not null,
    mtime_ns bigint not null,
    ctime_ns bigint not null,
    sha256 varchar not null,
    rows bigint not null,
    rejected bigint not null,
    extra_columns varchar[] not null,
    landed_at timestamp not null,
    run_id varchar,
    status varchar not null,          -- landed, superseded (the path has newer content) or forgotten
    ended_at timestamp                -- when it stopped being landed
);
-- One row per row of a landed file that is no row of a table: wrong number of fields, broken quotes.
create table if not exists landing.rejects (
    system varchar not null,
    table_name varchar not null,
    file varchar not null,
    line bigint not null,
    batch bigint not null,
    column_name varchar,
    value varchar,
    reason varchar not null
);
"""


@dataclass(frozen=True)
class Entry:
    """A landed file."""

    file: Path
    system: str
    table: str
    batch: int
    stamp: Stamp
    sha256: str
    rows: int
    rejected: int


def ensure(con: duckdb.DuckDBPyConnection) -> None:
    """Create the ledger's tables where they are missing."""
    con.execute(_DDL)


def landed(con: duckdb.DuckDBPyConnection) -> dict[Path, Entry]:
    """The present entry of every path."""
    found = con.execute(
        "select file, system, table_name, batch, size, mtime_ns, ctime_ns, sha256, rows, rejected "
        "from landing.files where status = 'landed' order by batch"
    ).fetchall()
    return {
        Path(file): Entry(Path(file), system, table, batch, Stamp(size, mtime, ctime), sha256, rows, rejected)
        for file, system, table, batch, size, mtime, ctime, sha256, rows, rejected in found
    }


def next_batch(con: duckdb.DuckDBPyConnection) -> int:
    """The next batch's number; numbers are never used again."""
    row = con.execute("select coalesce(max(batch), 0) + 1 from landing.files").fetchone()
    assert row is not None
    return int(row[0])


def end(con: duckdb.DuckDBPyConnection, path: Path, status: str) -> None:
    """Take a path's rows out of the present: its entry gets the status, its rejects go."""
    con.execute(
        "update landing.files set status = ?, ended_at = now()::timestamp where file = ? and status = 'landed'",
        [status, str(path)],
    )
    con.execute("delete from landing.rejects where file = ?", [str(path)])


def record(
    con: duckdb.DuckDBPyConnection,
    plan: FilePlan,
    batch: int,
    rows: int,
    rejects: Sequence[Reject],
    run_id: str | None,
) -> None:
    """Write a path's new entry and its rejects."""
    table, file, stamp = plan.file.table, str(plan.file.path), plan.stamp
    con.execute(
        "insert into landing.files values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, now()::timestamp, ?, 'landed', null)",
        [
            file, table.system, table.name, batch, stamp.size, stamp.mtime_ns, stamp.ctime_ns, plan.sha256,
            rows, len(rejects), list(plan.extra), run_id,
        ],
    )  # fmt: skip
    if rejects:
        # One statement for all: executemany takes a millisecond a row.
        con.execute(
            "insert into landing.rejects select ?, ?, ?, unnest(?::bigint[]), ?, unnest(?::varchar[]), "
            "unnest(?::varchar[]), unnest(?::varchar[])",
            [
                table.system, table.name, file, [reject.line for reject in rejects], batch,
                [reject.column for reject in rejects], [reject.value for reject in rejects],
                [reject.reason for reject in rejects],
            ],
        )  # fmt: skip


def touch(con: duckdb.DuckDBPyConnection, path: Path, stamp: Stamp) -> None:
    """Remember the new times of a file whose content is the same, so that it isn't hashed again."""
    con.execute(
        "update landing.files set size = ?, mtime_ns = ?, ctime_ns = ? where file = ? and status = 'landed'",
        [stamp.size, stamp.mtime_ns, stamp.ctime_ns, str(path)],
    )

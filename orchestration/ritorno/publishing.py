"""Publishing: a new run folder, made whole and put on disk, then one rename of the pointer `published`.

BI reads `published/marts.duckdb` or `published/parquet/<mart>.parquet` and never the warehouse. A reader that has a
file open goes on seeing the run it opened; nobody ever sees half a run, nor marts of two runs in one file.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb

from ritorno import sql
from ritorno.home import Home

STORAGE_VERSION = "v1.0.0"
"""DuckDB's file format of the published copy: drivers from 1.0 on open it, at equal size."""
FILE = "marts.duckdb"
FILE_FOR_BI = "ritorno.duckdb"
"""The same file under a second name. DuckDB names a database after its file, and refuses `marts.customers` as
ambiguous when both the database and a schema in it are called marts; opened under this name it is not.
"""
MANIFEST = "manifest.json"
UNFINISHED = ".unfinished-"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Mart:
    """A mart to publish: a table of the warehouse and what it and its columns mean."""

    name: str
    schema: str
    description: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PublishedRun:
    """What a run folder's manifest.json says."""

    run_id: str
    as_of: date
    published_at: datetime
    backdated: bool
    row_counts: dict[str, int]
    sha256: dict[str, str]
    bytes: dict[str, int]

    @classmethod
    def read(cls, folder: Path) -> PublishedRun | None:
        """The manifest of `folder`, None where there is none (no finished run)."""
        try:
            content: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return cls(
            run_id=content["run_id"],
            as_of=date.fromisoformat(content["as_of"]),
            published_at=datetime.fromisoformat(content["published_at"]),
            backdated=content["backdated"],
            row_counts=content["row_counts"],
            sha256=content["sha256"],
            bytes=content["bytes"],
        )

    def write(self, folder: Path) -> None:
        """Write the manifest, last of all files."""
        content = asdict(self) | {"as_of": self.as_of.isoformat(), "published_at": self.published_at.isoformat()}
        (folder / MANIFEST).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def published_run(home: Home) -> PublishedRun | None:
    """The run that `published` points to, None before the first."""
    return PublishedRun.read(home.published)


@dataclass(frozen=True)
class Draft:
    """A run folder that nobody sees yet.

    Attributes:
        folder: where it stands.
        run_id: the run's name.
        as_of: the date the marts are a function of.
        row_counts: by mart.
    """

    folder: Path
    run_id: str
    as_of: date
    row_counts: dict[str, int]


def draft(
    home: Home,
    marts: Sequence[Mart],
    run_id: str,
    as_of: date,
    *,
    reporting_currency: str | None = None,
    also_write: Sequence[Callable[[Path], None]] = (),
) -> Draft:
    """Copy `marts` of the warehouse into a folder for run `run_id`, which nobody sees before `show`.

    Args:
        home: where; the caller holds its lock.
        marts: what to publish; every one of them must stand in the warehouse.
        run_id: the run's name, the folder's too.
        as_of: the date the marts are a function of.
        reporting_currency: what every amount is in, for those who show them.
        also_write: further files of the run (a report): each gets the folder.
    """
    home.ensure()
    remove_unfinished(home)
    folder = home.runs / f"{UNFINISHED}{run_id}"
    (folder / "parquet").mkdir(parents=True)
    row_counts = _copy_marts(home, folder, marts, run_id, as_of, reporting_currency)
    for write in also_write:
        write(folder)
    return Draft(folder, run_id, as_of, row_counts)


def publish(
    home: Home,
    marts: Sequence[Mart],
    run_id: str,
    as_of: date,
    *,
    backdated: bool = False,
    keep_runs: int = 7,
    reporting_currency: str | None = None,
    also_write: Sequence[Callable[[Path], None]] = (),
) -> PublishedRun:
    """Publish `marts` of the warehouse as run `run_id`: `draft` and `show`."""
    drafted = draft(home, marts, run_id, as_of, reporting_currency=reporting_currency, also_write=also_write)
    return show(home, drafted, backdated=backdated, keep_runs=keep_runs)


def show(home: Home, drafted: Draft, *, backdated: bool = False, keep_runs: int = 7) -> PublishedRun:
    """Finish a run's folder and point `published` to it.

    Args:
        home: where; the caller holds its lock.
        drafted: the marts of a run that has passed all its checks.
        backdated: whether an older day was published over a newer one, as told.
        keep_runs: how many run folders to keep, the one pointed to always among them.
    """
    folder, run_id = drafted.folder, drafted.run_id
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    run = PublishedRun(
        run_id=run_id,
        as_of=drafted.as_of,
        published_at=datetime.now(UTC),
        backdated=backdated,
        row_counts=drafted.row_counts,
        sha256={str(path.relative_to(folder)): _sha256(path) for path in files},
        bytes={str(path.relative_to(folder)): path.stat().st_size for path in files},
    )
    run.write(folder)
    _sync_tree(folder)
    folder.rename(home.runs / run_id)
    _sync(home.runs)
    _point_to(home, run_id)
    remove_old_runs(home, keep_runs)
    return run


def renew_manifest(folder: Path, within: str) -> None:
    """Write the manifest of a run folder anew after the files below folder/`within` were replaced."""
    run = PublishedRun.read(folder)
    assert run is not None
    files = sorted(path for path in (folder / within).rglob("*") if path.is_file())
    fresh = {str(path.relative_to(folder)): path for path in files}

    def others(known: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in known.items() if not name.startswith(f"{within}/")}

    replace(
        run,
        sha256=others(run.sha256) | {name: _sha256(path) for name, path in fresh.items()},
        bytes=others(run.bytes) | {name: path.stat().st_size for name, path in fresh.items()},
    ).write(folder)


def _copy_marts(
    home: Home, folder: Path, marts: Sequence[Mart], run_id: str, as_of: date, currency: str | None
) -> dict[str, int]:
    """Copy the marts into folder/marts.duckdb and folder/parquet; returns rows by mart.

    Columns carry their descriptions as comments: BI tools show them, and the report's footnotes are these words. Every
    row says which run and day it belongs to: columns are all that every BI tool can read, and constant ones cost
    nothing in either format. Table comments, marts.published_run and Parquet metadata say it once more.
    """
    counts: dict[str, int] = {}
    run, day = sql.text(run_id), sql.text(as_of.isoformat())
    with duckdb.connect(":memory:") as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute(f"set temp_directory = {sql.text(str(home.tmp))}")
        sql.bound_memory(con)
        con.execute(f"attach {sql.text(str(home.warehouse))} as warehouse (read_only)")
        con.execute(f"attach {sql.text(str(folder / FILE))} as published (storage_version {sql.text(STORAGE_VERSION)})")
        con.execute("create schema published.marts")
        for mart in marts:
            table = f"published.marts.{sql.name(mart.name)}"
            con.execute(
                f"create table {table} as select *, {run} as published_run_id, cast({day} as date) as published_as_of "
                f"from warehouse.{sql.name(mart.schema)}.{sql.name(mart.name)}"
            )
            comment = f"{mart.description.strip()} [run {run_id}, as of {as_of.isoformat()}]".strip()
            _describe(con, table, comment, mart.columns)
            counts[mart.name] = sql.count(con, table)
        rows = ", ".join(f"({sql.text(name)}, {count})" for name, count in counts.items()) or "(null, null)"
        con.execute(
            f"create table published.marts.published_run as select {run} as run_id, cast({day} as date) as as_of_date, "
            "cast(current_timestamp at time zone 'UTC' as timestamp) as published_at, "
            f"cast({sql.text(currency) if currency else 'null'} as varchar) as reporting_currency, "
            "cast(mart as varchar) as mart, "
            f"cast(row_count as bigint) as row_count from (values {rows}) as counted (mart, row_count)"
        )
        con.execute(
            "comment on table published.marts.published_run is "
            "'One row per published mart: the run and the day that every mart in this file belongs to.'"
        )
        for name in [*counts, "published_run"]:
            con.execute(
                f"copy published.marts.{sql.name(name)} to {sql.text(str(folder / 'parquet' / f'{name}.parquet'))} "
                f"(format parquet, compression zstd, kv_metadata {{run_id: {run}, as_of: {day}}})"
            )
        con.execute("checkpoint published")
        con.execute("detach published")
    (folder / FILE_FOR_BI).hardlink_to(folder / FILE)
    return counts


def _describe(con: duckdb.DuckDBPyConnection, table: str, comment: str, columns: Mapping[str, str]) -> None:
    """Say in the file what the mart and its columns mean, in one transaction: each comment would sync the disk."""
    known = {name for name, *_ in con.execute(f"describe {table}").fetchall()}
    statements = [f"comment on table {table} is {sql.text(comment)}"]
    for name, description in columns.items():
        if name in known and description.strip():
            told = sql.text(" ".join(description.split()))
            statements.append(f"comment on column {table}.{sql.name(name)} is {told}")
    con.execute("; ".join(["begin", *statements, "commit"]))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    """Force a file's content, or a folder's entries, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_tree(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        _sync(path)
    _sync(folder)


def _point_to(home: Home, run_id: str) -> None:
    """One rename: before it BI reads the old run, after it the new one. Relative, so that a home can be moved."""
    fresh = home.root / f".published-{run_id}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(Path(home.runs.name) / run_id, target_is_directory=True)
    fresh.replace(home.published)
    _sync(home.root)


def remove_unfinished(home: Home) -> None:
    """Remove what killed and stopped runs left; we hold the lock, so nobody is writing there."""
    for folder in home.runs.glob(f"{UNFINISHED}*"):
        shutil.rmtree(folder)
    for pointer in home.root.glob(".published-*"):
        pointer.unlink()


def remove_old_runs(home: Home, keep_runs: int) -> list[str]:
    """Remove all but the newest `keep_runs` run folders, never the one `published` points to; returns their names.

    A reader that has a file of a removed run open keeps it: only the name is gone.
    """
    runs = [(run.published_at, folder) for folder in home.runs.iterdir() if (run := PublishedRun.read(folder))]
    newest_first = [folder for _, folder in sorted(runs, key=lambda pair: (pair[0], pair[1].name), reverse=True)]
    current = home.published.resolve()
    removed = [folder for folder in newest_first[max(keep_runs, 1) :] if folder.resolve() != current]
    for folder in removed:
        shutil.rmtree(folder)
    return [folder.name for folder in removed]

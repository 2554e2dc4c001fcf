"""The bytes: databases copied to fresh files, the published run rewritten, earlier ones removed, logs cleaned."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from ritorno import publishing, sql
from ritorno.audiences.store import transaction
from ritorno.home import Home
from ritorno.privacy import sweep
from ritorno.privacy.person import Work
from ritorno.privacy.tokens import GONE
from ritorno.publishing import PublishedRun
from ritorno.state import open_file

FRESH = ".erasing"
_CHUNK = 1 << 22


def compact(path: Path, storage_version: str | None = None) -> None:
    """Replace a DuckDB file by a copy without freed blocks: DuckDB keeps what was deleted until it is overwritten.

    The name of the copy's catalog is the file's, which views may spell out.
    """
    if not path.exists():
        return
    folder = path.parent / f"{FRESH}-{path.name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    fresh = folder / path.name
    version = f" (storage_version {sql.text(storage_version)})" if storage_version else ""
    with open_file(path) as con:
        con.execute("checkpoint")
        name = con.execute("select current_database()").fetchone()
        assert name is not None
        con.execute(f"attach {sql.text(str(fresh))} as erasing_fresh{version}")
        con.execute(f"copy from database {sql.name(str(name[0]))} to erasing_fresh")
        con.execute("checkpoint erasing_fresh")
        con.execute("detach erasing_fresh")
    publishing._sync(fresh)
    os.replace(fresh, path)  # noqa: PTH105  the atomic rename is the point
    path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
    shutil.rmtree(folder)
    publishing._sync(path.parent)


def rewrite_runs(home: Home, work: Work) -> dict[str, int]:
    """Rewrite the run that `published` points to, file by file; remove every other. Returns what changed."""
    counts: dict[str, int] = {}
    current = home.published.resolve() if home.published.exists() else None
    for folder in sorted(home.runs.iterdir()) if home.runs.exists() else ():
        if current is not None and folder.resolve() == current:
            changed = _rewrite_run(folder, work)
            if changed:
                counts[f"runs/{folder.name}"] = changed
        elif folder.is_dir():
            shutil.rmtree(folder)
            counts[f"runs/{folder.name} (removed)"] = 1
    return counts


def _rewrite_run(folder: Path, work: Work) -> int:
    marts = folder / publishing.FILE
    if not marts.exists():
        return 0
    scratch = folder / FRESH
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    copy = scratch / publishing.FILE
    shutil.copy2(marts, copy)
    with duckdb.connect(str(copy)) as con:
        con.execute("set TimeZone = 'UTC'")
        comments = con.execute(
            "select schema_name, table_name, null, comment from duckdb_tables() "
            "where comment is not null and database_name = 'marts' union all "
            "select schema_name, table_name, column_name, comment from duckdb_columns() "
            "where comment is not null and database_name = 'marts'"
        ).fetchall()
        with transaction(con):
            counts = sweep.sweep(con, "marts", work)
        names = [
            name
            for (name,) in con.execute(
                "select table_name from duckdb_tables() where database_name = 'marts' and schema_name = 'marts' "
                "order by table_name"
            ).fetchall()
        ]
        if counts:
            run = PublishedRun.read(folder)
            assert run is not None
            (scratch / "parquet").mkdir()
            for name in names:
                con.execute(
                    f"copy marts.marts.{sql.name(name)} to {sql.text(str(scratch / 'parquet' / f'{name}.parquet'))} "
                    f"(format parquet, compression zstd, kv_metadata {{run_id: {sql.text(run.run_id)}, "
                    f"as_of: {sql.text(run.as_of.isoformat())}}})"
                )
    if counts:
        compact(copy, publishing.STORAGE_VERSION)
        _comment(copy, comments)
        for file in sorted((scratch / "parquet").iterdir()):
            os.replace(file, folder / "parquet" / file.name)  # noqa: PTH105
        other = scratch / publishing.FILE_FOR_BI
        other.hardlink_to(copy)
        os.replace(other, folder / publishing.FILE_FOR_BI)  # noqa: PTH105
        os.replace(copy, marts)  # noqa: PTH105
    shutil.rmtree(scratch)
    texts = sum(
        _clean_text(path, work.needles()) for path in _files(folder) if path.suffix not in (".duckdb", ".parquet")
    )
    _renew(folder)
    return sum(counts.values()) + texts


def _comment(path: Path, comments: Sequence[tuple[str, str, str | None, str]]) -> None:
    """`copy from database` leaves comments behind."""
    with duckdb.connect(str(path)) as con:
        for schema, table, column, text in comments:
            on = f"{sql.name(path.stem)}.{sql.name(schema)}.{sql.name(table)}"
            what = f"table {on}" if column is None else f"column {on}.{sql.name(column)}"
            con.execute(f"comment on {what} is {sql.text(text)}")


def _renew(folder: Path) -> None:
    run = PublishedRun.read(folder)
    if run is None:
        return
    files = [path for path in _files(folder) if path.name != publishing.MANIFEST]
    fresh = replace(
        run,
        sha256={str(path.relative_to(folder)): publishing._sha256(path) for path in files},
        bytes={str(path.relative_to(folder)): path.stat().st_size for path in files},
    )
    if fresh != run:
        scratch = folder / f"{FRESH}-manifest"
        scratch.mkdir(exist_ok=True)
        fresh.write(scratch)
        os.replace(scratch / publishing.MANIFEST, folder / publishing.MANIFEST)  # noqa: PTH105
        scratch.rmdir()


def clean_texts(home: Home, work: Work, destinations: Sequence[Path] = ()) -> tuple[dict[str, int], list[str]]:
    """Cut the person out of logs and other text files; returns what changed, and files that nobody can rewrite.

    Folders of destinations are the destinations' own to erase: they vouch for their files by hash.
    """
    shutil.rmtree(home.tmp, ignore_errors=True)
    home.tmp.mkdir(parents=True, exist_ok=True)
    counts: dict[str, int] = {}
    stuck: list[str] = []
    needles = work.needles()
    for path in _swept(home):
        if any(path.is_relative_to(folder) for folder in destinations) or not contains(path, needles):
            continue
        name = str(path.relative_to(home.root))
        if _is_sqlite(path):
            counts[name] = _clean_sqlite(path, needles)
        else:
            counts[name] = _clean_text(path, needles)
        if contains(path, needles):
            stuck.append(name)
    return counts, stuck


def still_there(home: Home, work: Work) -> list[str]:
    """Files below the home with a byte sequence of the person, however they came there."""
    needles = work.needles()
    return [str(path.relative_to(home.root)) for path in _files(home.root)
            if not _is_input(home, path) and contains(path, needles)]  # fmt: skip


def _swept(home: Home) -> Iterator[Path]:
    databases = {home.warehouse, home.state}
    for path in _files(home.root):
        own = not path.is_relative_to(home.runs) and path not in databases and path.suffix != ".wal"
        if own and not _is_input(home, path) and path.suffix not in (".parquet", ".duckdb"):
            yield path


def _is_input(home: Home, path: Path) -> bool:
    """The demo's simulated source system isn't ours to touch."""
    return path.is_relative_to(home.demo)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def contains(path: Path, needles: Sequence[str]) -> bool:
    """Whether the file's bytes hold any of the texts, in whatever case; read in pieces that overlap."""
    if not needles:
        return False
    # not by a pattern, which reads 0.03 GB in a second where this reads 0.2: it is the whole home that is read
    wanted = {needle.encode().lower() for needle in needles}
    longest = max(map(len, wanted))
    tail = b""
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                read = (tail + chunk).lower()
                if any(needle in read for needle in wanted):
                    return True
                tail = read[-longest:]
    except FileNotFoundError:
        return False
    return False


def _clean_text(path: Path, needles: Sequence[str]) -> int:
    """Replace each occurrence; only where the file is text."""
    content = path.read_bytes()
    if b"\x00" in content or not needles:
        return 0
    pattern = re.compile(b"|".join(re.escape(needle.encode()) for needle in needles), re.IGNORECASE)
    cleaned, count = pattern.subn(GONE.encode(), content)
    if count:
        fresh = path.with_name(f"{path.name}{FRESH}")
        fresh.write_bytes(cleaned)
        shutil.copymode(path, fresh)
        os.replace(fresh, path)  # noqa: PTH105
    return count


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(15) == b"SQLite format 3"


def _clean_sqlite(path: Path, needles: Sequence[str]) -> int:
    """Dagster's history: cut the texts out of every column, then rebuild the file so that its old pages go."""
    changed = 0
    with sqlite3.connect(path, timeout=20) as con:
        tables = [name for (name,) in con.execute("select name from sqlite_master where type = 'table'").fetchall()]
        for table in tables:
            for _, column, *_ in con.execute(f"pragma table_info({sql.name(table)})").fetchall():
                for needle in needles:
                    changed += con.execute(
                        f"update {sql.name(table)} set {sql.name(column)} = replace({sql.name(column)}, ?, ?) "
                        f"where instr({sql.name(column)}, ?) > 0",
                        [needle, GONE, needle],
                    ).rowcount
        con.commit()
        con.execute("vacuum")
    return changed

"""What is to be landed, decided before anything is changed: every file is read and refused or understood."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ritorno.contract import BOOKKEEPING, RawTable
from ritorno.errors import UnusableInput
from ritorno.landing import csv_files, sql
from ritorno.landing.sources import RawFile, did_you_mean


@dataclass(frozen=True)
class Stamp:
    """What the file system says about a file; equal stamps mean that nobody wrote to it."""

    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """The file's stamp now."""
        found = os.stat(path)  # noqa: PTH116  one call for all three
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@dataclass(frozen=True)
class FilePlan:
    """A file that was understood and is to be landed.

    Attributes:
        columns: the file's column names → the raw table's, in the file's order.
        types: DuckDB types by the raw table's column names.
        filled: the raw table's columns in which the file has a value (all of them for CSV, which has no types).
    """

    file: RawFile
    stamp: Stamp
    sha256: str
    columns: Mapping[str, str]
    types: Mapping[str, str]
    filled: frozenset[str]
    scan: csv_files.Scan | None = None

    @property
    def extra(self) -> tuple[str, ...]:
        """Columns that the contract doesn't know; they are kept."""
        known = set(self.file.table.column_names)
        return tuple(column for column in self.columns.values() if column not in known)


def plan_file(con: duckdb.DuckDBPyConnection, file: RawFile, stamp: Stamp) -> FilePlan:
    """Read the whole file and say how it is to be landed.

    Raises:
        UnusableInput: it is no CSV or Parquet, or its columns don't fit the contract.
    """
    plan = _plan_parquet(con, file, stamp) if file.is_parquet else _plan_csv(file, stamp)
    refuse_if_changed(file.path, stamp)
    return plan


def refuse_if_changed(path: Path, stamp: Stamp) -> None:
    """Refuse a file that someone is still writing.

    Raises:
        UnusableInput: its size or times aren't those from before.
    """
    try:
        now = Stamp.of(path)
    except FileNotFoundError:
        raise UnusableInput(f"{path}: the file disappeared while it was being read. Run again.") from None
    if now != stamp:
        raise UnusableInput(
            f"{path}: the file changed while it was being read ({stamp.size:,} bytes before, {now.size:,} now), so "
            "someone is still writing it. Write to another name and rename it when it is complete, then run again."
        )


def sha256_of(path: Path) -> str:
    """The content's hash."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _plan_csv(file: RawFile, stamp: Stamp) -> FilePlan:
    found = csv_files.scan(file.path, file.table.column_names)
    columns = match_columns(file, found.dialect.header)
    types = dict.fromkeys(columns.values(), "VARCHAR")
    return FilePlan(file, stamp, found.sha256, columns, types, frozenset(types), found)


def _plan_parquet(con: duckdb.DuckDBPyConnection, file: RawFile, stamp: Stamp) -> FilePlan:
    path = file.path
    if stamp.size == 0:
        raise UnusableInput(f"{path}: the file is empty (0 bytes), no Parquet. Deliver it again in full, or remove it.")
    with path.open("rb") as handle:
        start = handle.read(4)
    if start != b"PAR1":
        raise UnusableInput(
            f"{path}: named .parquet but it begins with {start!r}, not with PAR1. "
            "Name a CSV file .csv, or export it again."
        )
    try:
        top = _top_level_names(con, path)
        columns = match_columns(file, top)
        described = con.execute(f"describe select * from read_parquet({sql.text(glob_safe(path))})").fetchall()
        types = {columns[column]: kind for column, kind, *_ in described}
        # Every value is read once here, so that a damaged page is found before anything is changed.
        counts = con.execute(
            f"select {', '.join(f'count({sql.name(column)})' for column in columns)} "
            f"from read_parquet({sql.text(glob_safe(path))})"
        ).fetchone()
    except duckdb.Error as error:
        raise damaged_parquet(path, error) from error
    assert counts is not None
    filled = frozenset(target for target, count in zip(columns.values(), counts, strict=True) if count)
    return FilePlan(file, stamp, sha256_of(path), columns, types, filled)


def damaged_parquet(path: Path, error: duckdb.Error) -> UnusableInput:
    """The error for a Parquet file that can't be read to its end."""
    reason = str(error).split("\n", 1)[0]
    return UnusableInput(
        f"{path}: not a readable Parquet file, probably cut off or damaged ({reason}). Deliver it again in full."
    )


def glob_safe(path: Path) -> str:
    """The path as DuckDB's readers take it literally: they expand * ? and [."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in str(path))


def _top_level_names(con: duckdb.DuckDBPyConnection, path: Path) -> list[str]:
    """Column names as the file has them: DuckDB renames the second of two equal ones."""
    schema = con.execute(
        f"select name, coalesce(num_children, 0) from parquet_schema({sql.text(glob_safe(path))})"
    ).fetchall()
    names: list[str] = []
    open_children = [1]  # of the root's parent
    for column, children in schema:
        open_children[-1] -= 1
        if len(open_children) == 2:
            names.append(column)
        open_children.append(children)
        while open_children and open_children[-1] == 0:
            open_children.pop()
    return names


def match_columns(file: RawFile, header: tuple[str, ...] | list[str]) -> dict[str, str]:
    """The file's column names → the raw table's: the contract's spelling, else the file's own, trimmed.

    Raises:
        UnusableInput: a column has no name or a taken one, or a required one is missing.
    """
    path, table = file.path, file.table
    canonical = {column.lower(): column for column in table.column_names}
    _refuse_bad_names(path, header)
    columns = {column: canonical.get(column.strip().lower(), column.strip()) for column in header}
    present = set(columns.values())
    if not present & set(table.column_names):
        raise UnusableInput(
            f"{path}, line 1: none of the columns of {table.name} was found, but: {_listed(header)}. The first line "
            f"must name the columns; {table.name} needs at least: {', '.join(table.required)}."
        )
    for column in table.required:
        if column not in present:
            raise UnusableInput(_missing(path, table, column, header))
    return columns


def _missing(path: Path, table: RawTable, column: str, header: tuple[str, ...] | list[str]) -> str:
    unknown = [name for name in header if name.strip().lower() not in {c.lower() for c in table.column_names}]
    return (
        f"{path}: the required column {column!r} of {table.name} is missing; found: {_listed(header)}."
        f"{did_you_mean(column, unknown)} Name a column {column!r} and deliver the file again."
    )


def _refuse_bad_names(path: Path, header: tuple[str, ...] | list[str]) -> None:
    counted = Counter(column.strip().lower() for column in header)
    for column, times in counted.items():
        if not column:
            at = next(index for index, name in enumerate(header, start=1) if not name.strip())
            raise UnusableInput(
                f"{path}: column {at} of the header has no name; found: {_listed(header)}. Name it or leave it out "
                "(pandas: to_csv(..., index=False))."
            )
        if times > 1:
            raise UnusableInput(
                f"{path}: the column {column!r} occurs {times} times in the header (case and blanks don't count); "
                f"found: {_listed(header)}. Keep one of them."
            )
        if column in BOOKKEEPING:
            raise UnusableInput(f"{path}: the column {column!r} is Ritorno's own bookkeeping. Rename it.")


def _listed(header: tuple[str, ...] | list[str], most: int = 30) -> str:
    shown = ", ".join(column.strip() or "(no name)" for column in header[:most])
    return shown + (f" … ({len(header)} columns)" if len(header) > most else "")

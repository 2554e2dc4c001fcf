"""What is to be landed, decided before anything is changed: every file is read and refused or understood."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ritorno import sql
from ritorno.contract import BOOKKEEPING, RawTable
from ritorno.errors import UnusableInput
from ritorno.landing import csv_files
from ritorno.landing.sources import RawFile, did_you_mean

MAX_REJECTS = 100_000
"""More broken rows than this in one file, and it isn't the rows that are broken."""

DAMAGE = (duckdb.InvalidInputException, duckdb.IOException, duckdb.ConversionException, duckdb.SerializationException)
"""What DuckDB raises for a file's faults, as against running out of memory or a fault of its own."""


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
class CsvRows:
    """Where the good rows of a CSV file are read from.

    Attributes:
        path: the file itself if every line is a row, else a copy of the good rows with their line in front.
        rows: how many there are.
    """

    path: Path
    dialect: csv_files.Dialect
    has_lines: bool
    rows: int
    rejects: tuple[csv_files.Reject, ...] = ()


@dataclass(frozen=True)
class FilePlan:
    """A file that was understood and is to be landed.

    Attributes:
        columns: the file's column names → the raw table's, in the file's order.
        types: DuckDB types by the raw table's column names, as they are landed.
        filled: the raw table's columns in which the file has a value (all of them for CSV, which has no types).
    """

    file: RawFile
    stamp: Stamp
    sha256: str
    columns: Mapping[str, str]
    types: Mapping[str, str]
    filled: frozenset[str]
    csv: CsvRows | None = None

    @property
    def extra(self) -> tuple[str, ...]:
        """Columns that the contract doesn't know; they are kept."""
        known = set(self.file.table.column_names)
        return tuple(column for column in self.columns.values() if column not in known)


def plan_file(con: duckdb.DuckDBPyConnection, file: RawFile, stamp: Stamp, scratch: Path) -> FilePlan:
    """Read the whole file and say how it is to be landed; a copy of an irregular one's rows goes to `scratch`.

    Raises:
        UnusableInput: it is no CSV or Parquet, or its columns don't fit the contract.
    """
    plan = _plan_parquet(con, file, stamp) if file.is_parquet else _plan_csv(file, stamp, scratch)
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


def _plan_csv(file: RawFile, stamp: Stamp, scratch: Path) -> FilePlan:
    found = csv_files.scan(file.path, file.table.column_names)
    columns = match_columns(file, found.dialect.header)
    types = dict.fromkeys(columns.values(), "VARCHAR")
    rows = (
        CsvRows(file.path, found.dialect, False, found.rows)
        if found.is_clean
        else _copy_good_rows(file.path, found.dialect, scratch)
    )
    return FilePlan(file, stamp, found.sha256, columns, types, frozenset(types), rows)


def _copy_good_rows(path: Path, dialect: csv_files.Dialect, scratch: Path) -> CsvRows:
    delimiter, rows = dialect.delimiter.encode(), 0
    rejects: list[csv_files.Reject] = []
    handle, name = tempfile.mkstemp(suffix=".csv", dir=scratch)
    with os.fdopen(handle, "wb") as copy:
        copy.write(delimiter.join([b"line", *(b"c" for _ in dialect.header)]) + b"\n")
        for item in csv_files.split(path, dialect):
            if isinstance(item, csv_files.Row):
                copy.write(b"%d%b%b\n" % (item.line, delimiter, item.record))
                rows += 1
            elif len(rejects) >= MAX_REJECTS:
                raise UnusableInput(
                    f"{path}, line {item.line}: more than {MAX_REJECTS:,} broken rows, here: {item.reason}. "
                    f"Check the delimiter (taken for {dialect.delimiter!r}) and the quotes, and deliver it again."
                )
            else:
                rejects.append(item)
    return CsvRows(Path(name), dialect, True, rows, tuple(rejects))


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
        # The hash reads every value once (counts alone don't), so a damaged page is found before anything changes.
        counted = ", ".join(f"count({sql.name(column)})" for column in columns)
        counts = con.execute(
            f"select {counted}, bit_xor(hash({sql.names(columns)})) from read_parquet({sql.text(glob_safe(path))})"
        ).fetchone()
        types |= dict.fromkeys(_float_ids(con, file, columns, types), "BIGINT")
    except DAMAGE as error:
        raise damaged_parquet(path, error) from error
    assert counts is not None
    filled = frozenset(target for target, count in zip(columns.values(), counts[:-1], strict=True) if count)
    return FilePlan(file, stamp, sha256_of(path), columns, types, filled)


def _float_ids(
    con: duckdb.DuckDBPyConnection, file: RawFile, columns: Mapping[str, str], types: Mapping[str, str]
) -> list[str]:
    """Columns declared as text that come as whole floats: what pandas makes of whole numbers with gaps.

    Without this, customer 17850 of one table would be 17850.0 in another and never meet it.
    """
    declared = {column.name for column in file.table.columns if column.data_type == "string"}
    suspects = [(name, to) for name, to in columns.items() if to in declared and types[to] in ("DOUBLE", "FLOAT")]
    if not suspects:
        return []
    whole = (
        f"bool_and({sql.name(c)} = trunc({sql.name(c)}) and abs({sql.name(c)}) < 9007199254740992)" for c, _ in suspects
    )
    row = con.execute(f"select {', '.join(whole)} from read_parquet({sql.text(glob_safe(file.path))})").fetchone()
    assert row is not None
    return [to for (_, to), is_whole in zip(suspects, row, strict=True) if is_whole]


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

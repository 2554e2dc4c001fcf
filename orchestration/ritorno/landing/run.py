"""Landing: new and changed files into the schema raw, nothing read twice, nothing half."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ritorno import sql
from ritorno.contract import RAW_SCHEMA, RawTable, ensure_raw_tables, raw_tables, systems
from ritorno.errors import UnusableInput
from ritorno.home import PROJECT_ROOT
from ritorno.landing import ledger
from ritorno.landing.plan import FilePlan, Stamp, plan_file, sha256_of
from ritorno.landing.sources import Discovery, RawFile, Source, did_you_mean, discover
from ritorno.landing.tables import Rewriter, transaction, write

LANDED, REPLACED, UNCHANGED = "landed", "replaced", "unchanged"


@dataclass(frozen=True)
class FileOutcome:
    """What became of one file: landed, replaced (its path was known with other content) or unchanged (not read)."""

    path: Path
    system: str
    table: str
    action: str
    batch: int
    rows: int
    rejected: int
    extra_columns: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class LandingReport:
    """What a landing did.

    Attributes:
        warnings: what a person should know though nothing stopped: files not understood, extra columns, broken rows.
    """

    files: tuple[FileOutcome, ...]
    warnings: tuple[str, ...]

    @property
    def read(self) -> tuple[FileOutcome, ...]:
        """Files that were read in this run."""
        return tuple(file for file in self.files if file.action != UNCHANGED)

    @property
    def rows(self) -> int:
        """Rows landed in this run."""
        return sum(file.rows for file in self.read)

    @property
    def rejected(self) -> int:
        """Broken rows quarantined in this run."""
        return sum(file.rejected for file in self.read)


def land(
    con: duckdb.DuckDBPyConnection,
    sources: Sequence[Source],
    *,
    run_id: str | None = None,
    root: Path = PROJECT_ROOT,
    scratch: Path | None = None,
    on_file: Callable[[FileOutcome], None] | None = None,
    rewriter: Rewriter | None = None,
) -> LandingReport:
    """Land the sources' new and changed files, and make sure that every raw table exists.

    Everything is read and checked before the first change; then each file is one transaction, so a killed landing
    goes on where it stopped. Without sources, tables that a loader put into `raw` are taken as they are.

    Args:
        con: the warehouse, open for writing.
        sources: folders and files of source systems; empty to use what stands in `raw`.
        run_id: goes to the ledger.
        root: the project whose contract holds.
        scratch: where copies of irregular files may stand for a moment (the home's tmp).
        on_file: called after each file, for progress.
        rewriter: what is done to rows before anybody can see them: people who were erased stay so.

    Raises:
        UnusableInput: a file or table can't be used; nothing was changed.
    """
    con.execute("set TimeZone = 'UTC'")  # a timestamp with offset becomes text in UTC where types differ
    ledger.ensure(con)
    discovery = discover(sources, root)
    known = ledger.landed(con)
    tables = _existing_tables(con)
    _check_loader_tables(con, root, tables)
    with _scratch(scratch) as folder:
        work = [_decide(con, file, known, tables, folder) for file in discovery.files]
        plans = [item for item in work if isinstance(item, FilePlan)]
        _check_one_of(con, plans, discovery, tables, root)
        _check_orders(con, sources, discovery, tables, root)

        with transaction(con):  # one commit instead of one a table
            ensure_raw_tables(con, root)
        outcomes: list[FileOutcome] = []
        for item in work:
            outcome = _perform(con, item, known, run_id, rewriter)
            outcomes.append(outcome)
            if on_file:
                on_file(outcome)
    if rewriter is not None:
        for table in raw_tables(root):  # what a loader wrote there itself
            with transaction(con):
                rewriter.rows(con, table, '"_ritorno_file" is null')
    return LandingReport(tuple(outcomes), _warnings(discovery, outcomes))


def forget(con: duckdb.DuckDBPyConnection, path: Path | str) -> int:
    """Take out all rows that came from a file; returns how many.

    Raises:
        UnusableInput: no such file was landed.
    """
    ledger.ensure(con)
    known = ledger.landed(con)
    entry = known.get(Path(os.path.abspath(path)))  # noqa: PTH100  as landing names it: links are kept
    if entry is None:
        names = [str(file) for file in known]
        raise UnusableInput(
            f"{path}: no landed file of this path, so there is nothing to forget."
            f"{did_you_mean(str(Path(path).absolute()), names)} `ritorno status` lists what was landed."
        )
    table = next(t for t in raw_tables() if (t.system, t.name) == (entry.system, entry.table))
    with transaction(con):
        if table.identifier in _existing_tables(con):
            con.execute(f'delete from {table.relation} where "_ritorno_file" = ?', [str(entry.file)])
        ledger.end(con, entry.file, "forgotten")
    return entry.rows


@contextmanager
def _scratch(parent: Path | None) -> Iterator[Path]:
    """A folder for copies of irregular files that goes when landing ends."""
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="landing-", dir=parent, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@dataclass(frozen=True)
class _Unchanged:
    entry: ledger.Entry
    stamp: Stamp


def _decide(
    con: duckdb.DuckDBPyConnection,
    file: RawFile,
    known: Mapping[Path, ledger.Entry],
    tables: Mapping[str, set[str]],
    scratch: Path,
) -> FilePlan | _Unchanged:
    try:
        return _decided(con, file, known, tables, scratch)
    except OSError as error:
        raise UnusableInput(
            f"{file.given}: can't be opened ({error.strerror}). Check that it exists and that you may read it."
        ) from error


def _decided(
    con: duckdb.DuckDBPyConnection,
    file: RawFile,
    known: Mapping[Path, ledger.Entry],
    tables: Mapping[str, set[str]],
    scratch: Path,
) -> FilePlan | _Unchanged:
    entry, stamp = known.get(file.path), Stamp.of(file.path)
    is_kept = entry is not None and entry.table == file.table.name and file.table.identifier in tables
    if entry is not None and is_kept and (stamp == entry.stamp or _same_content(file.path, stamp, entry)):
        return _Unchanged(entry, stamp)
    return plan_file(con, file, stamp, scratch)


def _same_content(path: Path, stamp: Stamp, entry: ledger.Entry) -> bool:
    return stamp.size == entry.stamp.size and sha256_of(path) == entry.sha256


def _perform(
    con: duckdb.DuckDBPyConnection,
    item: FilePlan | _Unchanged,
    known: Mapping[Path, ledger.Entry],
    run_id: str | None,
    rewriter: Rewriter | None,
) -> FileOutcome:
    began = time.monotonic()
    if isinstance(item, _Unchanged):
        entry = item.entry
        if item.stamp != entry.stamp:
            ledger.touch(con, entry.file, item.stamp)
        return FileOutcome(
            entry.file, entry.system, entry.table, UNCHANGED, entry.batch, entry.rows, entry.rejected, (), 0.0
        )
    table, path = item.file.table, item.file.path
    written = write(con, item, run_id, rewriter)
    action = REPLACED if path in known else LANDED
    seconds = time.monotonic() - began
    return FileOutcome(
        path, table.system, table.name, action, written.batch, written.rows, written.rejected, item.extra, seconds
    )


def _existing_tables(con: duckdb.DuckDBPyConnection) -> dict[str, set[str]]:
    """Tables in raw and their columns, lower case."""
    found: dict[str, set[str]] = {}
    for table, column in con.execute(
        "select table_name, column_name from duckdb_columns() "
        "where schema_name = ? and database_name = current_database()",
        [RAW_SCHEMA],
    ).fetchall():
        found.setdefault(table, set()).add(column.lower())
    return found


def _has_rows(con: duckdb.DuckDBPyConnection, table: RawTable, tables: Mapping[str, set[str]]) -> bool:
    if table.identifier not in tables:
        return False
    return con.execute(f"select 1 from {table.relation} limit 1").fetchone() is not None


def _check_loader_tables(con: duckdb.DuckDBPyConnection, root: Path, tables: Mapping[str, set[str]]) -> None:
    """A loader's table must have the required columns; ours have, and may be empty."""
    views = {
        view
        for (view,) in con.execute(
            "select view_name from duckdb_views() where schema_name = ? and database_name = current_database()",
            [RAW_SCHEMA],
        ).fetchall()
    }
    for table in raw_tables(root):
        if table.identifier in views:
            raise UnusableInput(
                f"{table.relation}: it is a view, and Ritorno adds columns to raw tables. Create it as a table: "
                f"create table {table.relation} as select …"
            )
        columns = tables.get(table.identifier)
        if columns is None or "_ritorno_file" in columns:
            continue
        for column in table.required:
            if column.lower() not in columns:
                raise UnusableInput(
                    f"{table.relation}: the required column {column!r} is missing from the table that a loader put "
                    f"there; found: {', '.join(sorted(columns))}.{did_you_mean(column, columns)} "
                    f"Give the table a column {column!r}."
                )
        _check_alternatives(table, columns, table.relation, _filled_tables(con, tables, root))


def _filled_tables(con: duckdb.DuckDBPyConnection, tables: Mapping[str, set[str]], root: Path) -> set[str]:
    return {table.name for table in systems(root)["files"].values() if _has_rows(con, table, tables)}


def _check_one_of(
    con: duckdb.DuckDBPyConnection,
    plans: Sequence[FilePlan],
    discovery: Discovery,
    tables: Mapping[str, set[str]],
    root: Path,
) -> None:
    """Of `one_of` a column must be in the file, or a table of that name must have come or come now."""
    if not any(plan.file.table.one_of for plan in plans):
        return
    there = _filled_tables(con, tables, root) | {file.table.name for file in discovery.files}
    for plan in plans:
        columns = {column.lower() for column in plan.types}
        _check_alternatives(plan.file.table, columns, str(plan.file.path), there)


def _check_alternatives(table: RawTable, columns: set[str], where: str, filled_tables: set[str]) -> None:
    if not table.one_of or set(table.one_of) & (columns | (filled_tables - {table.name})):
        return
    names = set(table.column_names)
    wanted = " or ".join(f"the column {name!r}" if name in names else f"the table {name!r}" for name in table.one_of)
    raise UnusableInput(
        f"{where}: {table.name} needs {wanted}, and none of them is there; found: {', '.join(sorted(columns))}. "
        "Add one of them and deliver the file again."
    )


def _check_orders(
    con: duckdb.DuckDBPyConnection,
    sources: Sequence[Source],
    discovery: Discovery,
    tables: Mapping[str, set[str]],
    root: Path,
) -> None:
    """Orders are the one thing that must come, from some system, now or before."""
    files = systems(root)["files"]
    orders = files["orders"]
    if any(file.table == orders or file.table.system != "files" for file in discovery.files):
        return
    if _has_rows(con, orders, tables) or any(
        _has_rows(con, table, tables) for table in raw_tables(root) if table.system != "files"
    ):
        return
    if not sources:
        raise UnusableInput(
            f"{orders.relation}: the required table is missing or empty, and no files were given. Give --raw DIR with "
            "orders.csv or orders.parquet, --source SYSTEM=FILE, or let your loader write the table."
        )
    where = ", ".join(str(source.path) for source in sources)
    found = sorted({file.path.name for file in discovery.files})
    seen = f"found: {', '.join(found)}" if found else "found no raw table"
    hints = " ".join(discovery.unknown)
    raise UnusableInput(
        f"{where}: the required table orders is missing; {seen}. {hints}{' ' if hints else ''}"
        f"Put orders.csv, orders.parquet or a folder orders/ there, with the columns {', '.join(orders.required)}."
    )


def _warnings(discovery: Discovery, outcomes: Sequence[FileOutcome]) -> tuple[str, ...]:
    found = list(discovery.unknown)
    for outcome in outcomes:
        if outcome.extra_columns:
            found.append(
                f"{outcome.path}: columns that {outcome.table} doesn't know are kept but not used: "
                f"{', '.join(outcome.extra_columns)}."
            )
        if outcome.rejected and outcome.action != UNCHANGED:
            found.append(f"{outcome.path}: {outcome.rejected:,} broken rows went to quarantine.")
    return tuple(found)


def rejected_rows(con: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], int]:
    """Broken rows of the landed files by (system, table)."""
    ledger.ensure(con)
    found = con.execute("select system, table_name, count(*) from landing.rejects group by all").fetchall()
    return {(system, table): count for system, table, count in found}


def raw_rows(con: duckdb.DuckDBPyConnection, root: Path = PROJECT_ROOT) -> dict[tuple[str, str], int]:
    """Rows in raw by (system, table)."""
    tables = _existing_tables(con)
    counts: dict[tuple[str, str], int] = {}
    for table in raw_tables(root):
        if table.identifier in tables:
            counts[table.system, table.name] = sql.count(con, f"{RAW_SCHEMA}.{sql.name(table.identifier)}")
    return counts

"""Writing one planned file into its raw table: one transaction that replaces the rows of its path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import duckdb

from ritorno import sql
from ritorno.contract import BOOKKEEPING, RAW_SCHEMA, RawTable
from ritorno.errors import UnusableInput
from ritorno.landing import csv_files, ledger
from ritorno.landing.plan import DAMAGE, FilePlan, damaged_parquet, glob_safe, refuse_if_changed

TEXT = "VARCHAR"


@dataclass(frozen=True)
class Written:
    """What landing a file came to."""

    batch: int
    rows: int
    rejected: int


@contextmanager
def transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All or nothing."""
    con.execute("begin transaction")
    try:
        yield
        con.execute("commit")
    except BaseException:
        con.execute("rollback")
        raise


class Rewriter(Protocol):
    """Who changes rows as they land."""

    def rows(self, con: duckdb.DuckDBPyConnection, table: RawTable, where: str) -> None:
        """Change rows of a raw table; the caller holds a transaction."""

    def reject(self, reject: csv_files.Reject) -> csv_files.Reject:
        """A broken row as it may be kept."""
        ...


def write(
    con: duckdb.DuckDBPyConnection, plan: FilePlan, run_id: str | None, rewriter: Rewriter | None = None
) -> Written:
    """Replace all rows that came from the plan's path by the file's, with its ledger entry, in one transaction.

    Raises:
        UnusableInput: the file changed since it was planned, or can't be read after all.
    """
    rejects = plan.csv.rejects if plan.csv else ()
    with transaction(con):
        batch = ledger.next_batch(con)
        try:
            _replace_rows(con, plan, batch)
        except DAMAGE as error:
            raise _unreadable(plan, error) from error
        rows = _landed_rows(con, plan)
        refuse_if_changed(plan.file.path, plan.stamp)
        if plan.csv and rows != plan.csv.rows:
            raise UnusableInput(
                f"{plan.file.path}: {plan.csv.rows:,} rows were counted but {rows:,} read. Save the file as plain CSV "
                "(UTF-8, comma, double quotes) or Parquet and deliver it again."
            )
        if rewriter is not None:
            rewriter.rows(con, plan.file.table, f'"_ritorno_file" = {sql.text(str(plan.file.path))}')
            rejects = tuple(rewriter.reject(reject) for reject in rejects)
        ledger.end(con, plan.file.path, "superseded")
        ledger.record(con, plan, batch, rows, rejects, run_id)
    return Written(batch, rows, len(rejects))


def _unreadable(plan: FilePlan, error: duckdb.Error) -> UnusableInput:
    if plan.file.is_parquet:
        return damaged_parquet(plan.file.path, error)
    return UnusableInput(f"{plan.file.path}: could not be read as CSV. {error}")


def _reader(plan: FilePlan) -> str:
    """A select of the table's columns and _ritorno_line from the file."""
    if plan.csv is None:
        source = f"read_parquet({sql.text(glob_safe(plan.file.path))}, file_row_number = true)"
        columns = ", ".join(
            f"cast({sql.name(column)} as {plan.types[target]}) as {sql.name(target)}"
            for column, target in plan.columns.items()
        )
        return f'select {columns}, file_row_number + 1 as "_ritorno_line" from {source}'
    fields = {f"c{at}": target for at, target in enumerate(plan.columns.values())}
    columns = ", ".join(f"{field} as {sql.name(target)}" for field, target in fields.items())
    types = dict.fromkeys(fields, TEXT)
    if plan.csv.has_lines:
        source = _read_csv(plan.csv.path, plan.csv.dialect, {"line": "BIGINT", **types})
        return f'select {columns}, line as "_ritorno_line" from {source}'
    # A window without partition or order streams in the file's order, whatever preserve_insertion_order says.
    source = _read_csv(plan.csv.path, plan.csv.dialect, types)
    return f'select {columns}, row_number() over () + 1 as "_ritorno_line" from {source}'


def _read_csv(path: Path, dialect: csv_files.Dialect, columns: Mapping[str, str]) -> str:
    types = ", ".join(f"{column}: '{kind}'" for column, kind in columns.items())
    return (
        f"read_csv({sql.text(glob_safe(path))}, auto_detect = false, header = true, strict_mode = true, "
        f"delim = {sql.text(dialect.delimiter)}, quote = '\"', escape = '\"', encoding = 'utf-8', "
        f"columns = {{{types}}})"
    )


def _replace_rows(con: duckdb.DuckDBPyConnection, plan: FilePlan, batch: int) -> None:
    table, path = plan.file.table, sql.text(str(plan.file.path))
    bookkeeping = f'{path} as "_ritorno_file", cast({batch} as bigint) as "_ritorno_batch"'
    selected = f"select r.*, {bookkeeping} from ({_reader(plan)}) as r"
    existing = sql.column_types(con, RAW_SCHEMA, table.identifier)
    others = (
        existing
        and con.execute(
            f'select 1 from {table.relation} where "_ritorno_file" is distinct from {path} limit 1'
        ).fetchone()
    )
    if not others:
        # The table is this file's alone: written anew it has the file's types and no deleted rows.
        kept = [column for column in table.column_names if column not in plan.types]
        nulls = "".join(f", cast(null as {TEXT}) as {sql.name(column)}" for column in kept)
        con.execute(f"create or replace table {table.relation} as select *{nulls} from ({selected})")
        return
    _adapt_columns(con, plan, existing)
    con.execute(f'delete from {table.relation} where "_ritorno_file" = {path}')
    types = {column.lower(): kind for column, kind in sql.column_types(con, RAW_SCHEMA, table.identifier).items()}
    columns = [*plan.types, *BOOKKEEPING]
    values = ", ".join(f"cast({sql.name(column)} as {types[column.lower()]})" for column in columns)
    con.execute(f"insert into {table.relation} ({sql.names(columns)}) select {values} from ({selected})")


def _adapt_columns(con: duckdb.DuckDBPyConnection, plan: FilePlan, existing: Mapping[str, str]) -> None:
    """Make the table's columns able to take the file's values: where types differ, text."""
    table = plan.file.table
    have = {column.lower(): kind for column, kind in existing.items()}
    for column, kind in plan.types.items():
        present = have.get(column.lower())
        if present is None:
            con.execute(f"alter table {table.relation} add column {sql.name(column)} {kind}")
        elif present != kind and column in plan.filled:
            wanted = TEXT if _has_values(con, plan, column) else kind
            if wanted != present:
                con.execute(f"alter table {table.relation} alter column {sql.name(column)} set data type {wanted}")


def _has_values(con: duckdb.DuckDBPyConnection, plan: FilePlan, column: str) -> bool:
    found = con.execute(
        f"select 1 from {plan.file.table.relation} where {sql.name(column)} is not null limit 1"
    ).fetchone()
    return found is not None


def _landed_rows(con: duckdb.DuckDBPyConnection, plan: FilePlan) -> int:
    row = con.execute(
        f'select count(*) from {plan.file.table.relation} where "_ritorno_file" = ?', [str(plan.file.path)]
    ).fetchone()
    assert row is not None
    return int(row[0])

"""Reading a published run: the only place of the report that asks the marts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb

from ritorno import sql
from ritorno.publishing import FILE
from ritorno.report.figures import Row


@dataclass(frozen=True)
class Marts:
    """The marts of one run folder."""

    con: duckdb.DuckDBPyConnection

    @cached_property
    def _about(self) -> dict[str, Any]:
        found = self.con.execute("select * from marts.published_run limit 1")
        names = [column[0] for column in found.description or ()]
        return dict(zip(names, found.fetchone() or (None,) * len(names), strict=True))

    @property
    def run_id(self) -> str:
        """The run's name."""
        return str(self._about["run_id"])

    @property
    def as_of(self) -> date:
        """The day that the marts describe."""
        day = self._about["as_of_date"]
        assert isinstance(day, date)
        return day

    @property
    def published_at(self) -> datetime:
        """When they were published (UTC)."""
        instant = self._about["published_at"]
        assert isinstance(instant, datetime)
        return instant

    @property
    def currency(self) -> str | None:
        """The reporting currency; None in a file published before it stood there."""
        found = self._about.get("reporting_currency")
        return str(found) if found else None

    @cached_property
    def row_counts(self) -> dict[str, int]:
        """Rows by mart."""
        return dict(
            self.con.execute("select mart, row_count from marts.published_run where mart is not null").fetchall()
        )

    @cached_property
    def _definitions(self) -> dict[str, str]:
        rows = self.con.execute(
            "select table_name || '.' || column_name, comment from duckdb_columns() "
            "where schema_name = 'marts' and comment is not null"
        ).fetchall()
        return dict(rows)

    def definition(self, column: str) -> str:
        """What `mart.column` means, in the words of dbt's doc blocks; empty if nobody said."""
        return self._definitions.get(column, "")

    def has(self, *marts: str) -> bool:
        """Whether all of them are published."""
        return all(mart in self.row_counts for mart in marts)

    def missing(self, marts: Sequence[str]) -> list[str]:
        """Those that aren't."""
        return [mart for mart in marts if mart not in self.row_counts]

    def rows(self, sql: str, *marts: str) -> list[Row]:
        """Rows of a query, in which `$as_of` is the day; none if one of `marts` isn't published."""
        if self.missing(marts):
            return []
        parameters = {"as_of": self.as_of} if "$as_of" in sql else {}
        found: list[Row] = self.con.execute(sql, parameters).fetchall()
        return found

    def row(self, sql: str, *marts: str) -> Row | None:
        """The first row."""
        found = self.rows(sql, *marts)
        return found[0] if found else None


@contextmanager
def open_marts(folder: Path) -> Iterator[Marts]:
    """The marts of a run folder, read only.

    The connection's own database is in memory: a file opened under its own name `marts` makes `marts.customers`
    ambiguous.
    """
    with duckdb.connect(":memory:") as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute(f"attach {sql.text(str(folder / FILE))} as ritorno (read_only)")
        con.execute("use ritorno")
        yield Marts(con)

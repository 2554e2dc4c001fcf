"""Segment state in the state store's schema `segments`: every stay, with the runs that knew it so.

A stay's row is never changed but for `superseded_as_of`: a run that finds it otherwise ends the row and writes a new
one. So the state before any day can be read again, a repeat of a day takes back what that day wrote, and a backdated
run is computed from what was known before its day. `recorded_as_of` and `superseded_as_of` are as-of dates of runs:
a row is what runs of [recorded_as_of, superseded_as_of) knew.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

import duckdb

from ritorno import sql
from ritorno.errors import UnusableInput
from ritorno.home import Home
from ritorno.segments.engine import SIZE, STAY, columns
from ritorno.state import open_state

MIGRATIONS: Sequence[str] = (
    f"""
    create table segments.run (as_of date primary key, run_id varchar not null, written_at timestamp not null);
    create table segments.stay ({columns(STAY)}, recorded_as_of date not null, superseded_as_of date);
    create table segments.size ({columns(SIZE)});
    """,
)
"""Each is applied once, in this order; add one at the end, never change one that shipped."""

_STAY = ", ".join(STAY)
_BEFORE = "recorded_as_of < $day and (superseded_as_of is null or superseded_as_of >= $day)"


def migrate(con: duckdb.DuckDBPyConnection) -> None:
    """Bring the schema to the newest version, inside the caller's transaction.

    Raises:
        UnusableInput: the state was written by a newer Ritorno.
    """
    con.execute("create schema if not exists segments")
    con.execute("create table if not exists segments.migration (version integer primary key, applied_at timestamp)")
    row = con.execute("select coalesce(max(version), 0) from segments.migration").fetchone()
    done = int(row[0]) if row else 0
    if done > len(MIGRATIONS):
        raise UnusableInput(
            f"the state store's schema segments has version {done}, this Ritorno knows {len(MIGRATIONS)}: "
            "a newer one wrote it. Update this one; nothing was changed"
        )
    for version, statements in enumerate(MIGRATIONS[done:], start=done + 1):
        con.execute(statements)
        con.execute("insert into segments.migration values (?, ?)", [version, datetime.now(UTC).replace(tzinfo=None)])


def load_before(home: Home, day: date, warehouse: duckdb.DuckDBPyConnection) -> None:
    """Fill seg_before and seg_sizes_before with the state before `day`; nothing where there is none yet."""
    if not home.state.exists():
        return
    with open_state(home, read_only=True) as con:
        if not _has_schema(con):
            return
        stays = con.execute(f"select {_STAY} from segments.stay where {_BEFORE}", {"day": day}).to_arrow_table()
        sizes = con.execute(
            f"select {', '.join(SIZE)} from segments.size where date < $day", {"day": day}
        ).to_arrow_table()
    for table, rows in (("seg_before", stays), ("seg_sizes_before", sizes)):
        warehouse.register("seg_rows", rows)
        try:
            warehouse.execute(f"insert into {table} by name select * from seg_rows")
        finally:
            warehouse.unregister("seg_rows")


def newest_day(home: Home) -> date | None:
    """The newest day that state was written for."""
    if not home.state.exists():
        return None
    with open_state(home, read_only=True) as con:
        return _newest_day(con) if _has_schema(con) else None


def save(home: Home, day: date, run_id: str, schema: str = "segment_state") -> dict[str, int] | None:
    """Write a day's state from the warehouse's tables, in one transaction; a repeat replaces that day.

    Returns:
        Rows recorded and superseded; None, and nothing is written, if state of a later day stands.
    """
    with open_state(home) as con:
        con.execute(f"attach {sql.text(str(home.warehouse))} as built (read_only)")
        con.begin()
        try:
            migrate(con)
            newest = _newest_day(con)
            if newest is not None and newest > day:
                con.rollback()
                return None
            counts = _replace_day(con, day, f"built.{schema}")
            con.execute("delete from segments.run where as_of = ?", [day])
            con.execute(
                "insert into segments.run values (?, ?, ?)", [day, run_id, datetime.now(UTC).replace(tzinfo=None)]
            )
            con.commit()
        except BaseException:
            con.rollback()
            raise
        return counts


def _replace_day(con: duckdb.DuckDBPyConnection, day: date, built: str) -> dict[str, int]:
    live = f"select {_STAY} from segments.stay where superseded_as_of is null"
    con.execute("delete from segments.stay where recorded_as_of = ?", [day])
    con.execute("update segments.stay set superseded_as_of = null where superseded_as_of = ?", [day])
    con.execute(f"create or replace temp table now_known as select {_STAY} from {built}.history")
    con.execute(f"create or replace temp table gone as {live} except select {_STAY} from now_known")
    con.execute(f"create or replace temp table added as select {_STAY} from now_known except {live}")
    con.execute(
        """
        update segments.stay set superseded_as_of = $day
        from gone
        where stay.superseded_as_of is null and stay.segment = gone.segment
            and stay.customer_key = gone.customer_key and stay.entered_on = gone.entered_on
        """,
        {"day": day},
    )
    con.execute(f"insert into segments.stay select {_STAY}, $day, null from added", {"day": day})
    con.execute("delete from segments.size where date = ?", [day])
    con.execute(f"insert into segments.size by name select * from {built}.sizes where date = $day", {"day": day})
    counts = {name: sql.count(con, name) for name in ("added", "gone", "now_known")}
    for name in counts:
        con.execute(f"drop table temp.{name}")
    return {"recorded": counts["added"], "superseded": counts["gone"], "stays": counts["now_known"]}


def _has_schema(con: duckdb.DuckDBPyConnection) -> bool:
    found = con.execute("select 1 from duckdb_tables() where schema_name = 'segments' and table_name = 'run'")
    return found.fetchone() is not None


def _newest_day(con: duckdb.DuckDBPyConnection) -> date | None:
    row = con.execute("select max(as_of) from segments.run").fetchone()
    newest: date | None = row[0] if row else None
    return newest

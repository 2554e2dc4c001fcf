"""What `ritorno segment list` and `ritorno segment diff` print."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb
from rich.console import Console
from rich.table import Table

from ritorno import sql
from ritorno.dbt import DbtProject
from ritorno.home import Home
from ritorno.segments.definitions import load_segments
from ritorno.segments.diff import Diff, by_reason

SHOWN_KEYS = 3


def listed(home: Home) -> list[dict[str, Any]]:
    """Every segment of the project with its size as published."""
    sizes = _sizes(home)
    return [
        {
            "segment": segment.name,
            "owner": segment.meta.owner,
            "purpose": segment.meta.purpose,
            "exclusive_group": segment.meta.exclusive_group.name if segment.meta.exclusive_group else None,
            "experiment": segment.meta.experiment.key if segment.meta.experiment else None,
            **sizes.get(segment.name, {"date": None, "size": None, "entered": None, "left": None, "share": None}),
        }
        for segment in load_segments(DbtProject(home).manifest())
    ]


def _sizes(home: Home) -> dict[str, dict[str, Any]]:
    file = home.published / "marts.duckdb"
    if not file.exists():
        return {}
    with duckdb.connect() as con:
        con.execute(f"attach {sql.text(str(file.resolve()))} as seen (read_only)")
        known = con.execute(
            "select 1 from duckdb_tables() where database_name = 'seen' and table_name = 'segment_sizes'"
        ).fetchone()
        if known is None:
            return {}
        rows = con.execute(
            "select segment, date, size, entered, left_members, share from seen.marts.segment_sizes "
            "qualify date = max(date) over ()"
        ).fetchall()
    names = ("date", "size", "entered", "left", "share")
    return {row[0]: dict(zip(names, (row[1].isoformat(), *row[2:]), strict=True)) for row in rows}


def print_list(rows: list[dict[str, Any]], console: Console | None = None) -> None:
    """As a table."""
    console = console or Console(highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("Segment", no_wrap=True)
    for name in ("Purpose", "Owner", "Group", "Experiment"):
        table.add_column(name, overflow="fold")
    for name in ("Members", "Share", "Entered", "Left"):
        table.add_column(name, justify="right")
    for row in rows:
        numbers = ["", "", "", ""]  # a segment that isn't published yet
        if row["size"] is not None:
            numbers = [f"{row['size']:,}", f"{row['share'] or 0:.1%}", str(row["entered"]), str(row["left"])]
        table.add_row(
            row["segment"], row["purpose"], row["owner"], row["exclusive_group"] or "", row["experiment"] or "",
            *numbers,
        )  # fmt: skip
    console.print(table)
    day = next((row["date"] for row in rows if row["date"]), None)
    console.print(f"As published, as of {day}" if day else "Nothing is published yet: ritorno refresh --raw DIR")


def print_diff(diff: Diff, console: Console | None = None) -> None:
    """As tables: each day's counts, then who enters and who leaves, by reason."""
    console = console or Console(highlight=False)
    found = diff.definitions
    console.print(f"Segment {found.name}: {found.after_is} compared with {found.before_is}", markup=False)
    if found.before.strip() == found.after.strip():
        console.print("The two definitions are the same text: nothing changes.")
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("As of")
    for name in ("Before", "After", "Enter", "Leave"):
        table.add_column(name, justify="right")
    for day in diff.days:
        counts = (len(day.before), len(day.after), len(day.enters), len(day.leaves))
        table.add_row(day.day.isoformat(), *(f"{count:,}" for count in counts))
    console.print(table)
    for day in diff.days:
        _print_people(console, f"{day.day}: would enter", day.enters)
        _print_people(console, f"{day.day}: would leave", day.leaves)


def _print_people(console: Console, title: str, people: Mapping[str, str]) -> None:
    if not people:
        return
    console.print(f"\n{title}: {len(people):,}", markup=False)
    for reason, count in by_reason(people).items():
        console.print(f"  {count:>6,}  {reason}", markup=False)
    for key, reason in list(people.items())[:SHOWN_KEYS]:
        console.print(f"          {key}  {reason}", markup=False)
    if len(people) > SHOWN_KEYS:
        console.print(f"          … and {len(people) - SHOWN_KEYS:,} more: --format json lists them all")

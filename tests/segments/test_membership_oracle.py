"""The engine and the state store against a day-by-day oracle: missed, repeated and past days, merged customers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from ritorno.home import Home
from ritorno.segments import engine, store
from ritorno.segments.engine import Rules
from tests.segments.oracle import Book, Day, follow
from tests.support.examples import many

MEMORY = Path("/dev/shm")
START = date(2026, 1, 1)
PEOPLE = ("ann", "bea", "cem", "dan")
SEGMENTS = ("first", "second", "third")


@contextmanager
def home() -> Iterator[Home]:
    with tempfile.TemporaryDirectory(prefix="ritorno-segments-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Home(Path(folder))


def compute(con: duckdb.DuckDBPyConnection, at: Home, today: Day, rules: Sequence[Rules]) -> None:
    """What the step does, on the day's facts."""
    engine.prepare(con)
    eligible = [(name, key, f"{key} on {today.day}") for name, keys in today.eligible.items() for key in keys]
    fill(con, "seg_eligible", sorted(eligible))
    fill(con, "seg_people", [(key,) for key in sorted(today.people)])
    fill(con, "seg_alias", list(today.keys.items()))
    store.load_before(at, today.day, con)
    engine.advance(con, today.day, rules)
    engine.forget(con)


def fill(con: duckdb.DuckDBPyConnection, table: str, values: Sequence[tuple[str, ...]]) -> None:
    if values:
        con.execute(f"insert into {table} values {', '.join(str(row).replace(',)', ')') for row in values)}")


def refresh(at: Home, today: Day, rules: Sequence[Rules], *, save: bool = True) -> list[dict[str, Any]]:
    """A run of a day; returns its history."""
    with duckdb.connect(str(at.warehouse), config={"threads": 1}) as con:
        compute(con, at, today, rules)
        history = rows(con, "segment_state.history")
        sizes = rows(con, "segment_state.sizes")
        for size in sizes:
            assert size["opening"] + size["entered"] - size["left_members"] - size["merged"] == size["size"], size
        members = rows(con, "segment_state.membership")
        assert len({(m["segment"], m["customer_key"]) for m in members}) == len(members)
        assert {(m["segment"], m["customer_key"]) for m in members} == {
            (h["segment"], h["customer_key"]) for h in history if h["left_on"] is None
        }
        assert all(m["reason"] for m in members)
        assert all((h["exit_reason"] is None) == (h["left_on"] is None) for h in history)
    if save:
        store.save(at, today.day, "run")
    return history


def rows(con: duckdb.DuckDBPyConnection, table: str) -> list[dict[str, Any]]:
    found = con.execute(f"select * from {table}")
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def stays(history: Sequence[Mapping[str, Any]]) -> set[tuple[str, str, date, date | None]]:
    return {(row["segment"], row["customer_key"], row["entered_on"], row["left_on"]) for row in history}


def book_stays(book: Book) -> set[tuple[str, str, date, date | None]]:
    return {(name, key, stay.entered, stay.left) for (name, key), found in book.stays.items() for stay in found}


@st.composite
def all_rules(draw: st.DrawFn) -> tuple[Rules, ...]:
    grouped = draw(st.sets(st.sampled_from(SEGMENTS)))
    order = draw(st.permutations(range(1, len(SEGMENTS) + 1)))
    return tuple(
        Rules(
            segment=name,
            definition_hash="hash",
            grace_days=draw(st.integers(0, 3)),
            cooldown_days=draw(st.integers(0, 4)),
            group="group" if name in grouped else None,
            priority=order[number] if name in grouped else None,
        )
        for number, name in enumerate(SEGMENTS)
    )


@st.composite
def schedules(draw: st.DrawFn) -> list[Day]:
    """Days of runs, some missed; people merge on the way, may vanish, and come back."""
    days = sorted(draw(st.sets(st.integers(0, 14), min_size=2, max_size=6)))
    keys = {name: name for name in PEOPLE}
    found = []
    for number in days:
        if draw(st.integers(0, 4)) == 0:
            old, new = draw(st.permutations(PEOPLE))[:2]
            keys = {name: keys[new] if keys[name] == keys[old] else keys[name] for name in PEOPLE}
        alive = sorted(set(keys.values()))
        people = frozenset(key for key in alive if draw(st.integers(0, 9)) > 0)
        eligible = {name: frozenset(key for key in alive if draw(st.booleans())) for name in SEGMENTS}
        found.append(Day(START + timedelta(days=number), eligible, people, dict(keys)))
    return found


@settings(max_examples=many(25))
@given(schedule=schedules(), rules=all_rules(), again=st.integers(0, 5))
def test_membership_follows_the_rules_day_by_day_and_a_repeat_of_a_day_changes_nothing(
    schedule: list[Day], rules: tuple[Rules, ...], again: int
) -> None:
    with home() as at:
        for number, today in enumerate(schedule):
            history = refresh(at, today, rules)
            assert stays(history) == book_stays(follow(schedule[: number + 1], rules)), today.day
            if number == again:
                assert refresh(at, today, rules) == history


@settings(max_examples=many(8))
@given(schedule=schedules(), rules=all_rules(), past=st.integers(0, 5), other=schedules())
def test_a_past_day_is_computed_from_what_was_before_it_and_writes_nothing(
    schedule: list[Day], rules: tuple[Rules, ...], past: int, other: list[Day]
) -> None:
    past = min(past, len(schedule) - 2)
    with home() as at:
        first = [refresh(at, today, rules) for today in schedule]
        with duckdb.connect(str(at.state)) as con:
            before = {name: rows(con, f"segments.{name}") for name in ("run", "stay", "size")}
        assert refresh(at, schedule[past], rules) == first[past]
        with duckdb.connect(str(at.state)) as con:
            assert {name: rows(con, f"segments.{name}") for name in ("run", "stay", "size")} == before


@settings(max_examples=many(8))
@given(schedule=schedules(), rules=all_rules(), mistaken=schedules())
def test_a_day_repeated_with_other_data_leaves_no_trace_of_the_first_attempt(
    schedule: list[Day], rules: tuple[Rules, ...], mistaken: list[Day]
) -> None:
    with home() as at, home() as clean:
        for today in schedule[:-1]:
            refresh(at, today, rules)
            refresh(clean, today, rules)
        last, wrong = schedule[-1], mistaken[-1]
        refresh(at, Day(last.day, wrong.eligible, wrong.people, wrong.keys), rules)
        assert refresh(at, last, rules) == refresh(clean, last, rules)
        with duckdb.connect(str(at.state)) as one, duckdb.connect(str(clean.state)) as two:
            order = "order by all"
            for table in ("stay", "size"):
                assert rows(one, f"segments.{table} {order}") == rows(two, f"segments.{table} {order}")

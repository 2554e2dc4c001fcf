"""What membership, history and exclusions say besides who and when: kinds, reasons, dates, hashes, arms, shares."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from ritorno.audiences.store import FileStore
from ritorno.home import Home
from ritorno.segments import experiments, shares, step, store
from ritorno.segments.definitions import Expect
from ritorno.segments.engine import Rules
from tests.segments.oracle import Day
from tests.segments.test_membership_oracle import START, compute, home, rows

PEOPLE = ("ann", "bea", "cem")


def day(number: int, people: str = "ann bea cem", **eligible: str) -> Day:
    means = {name: frozenset(keys.split()) for name, keys in eligible.items()}
    return Day(START + timedelta(days=number), means, frozenset(people.split()), {key: key for key in PEOPLE})


def live(days: list[Day], rules: list[tuple[Rules, ...]]) -> dict[str, list[dict[str, Any]]]:
    """The tables after the last of these days; a day's rules may differ from those of the day before."""
    with home() as at:
        for today, its in zip(days, rules, strict=True):
            with duckdb.connect(str(at.warehouse), config={"threads": 1}) as con:
                compute(con, at, today, its)
                names = ("membership", "history", "exclusions", "sizes")
                found = {name: rows(con, f"segment_state.{name}") for name in names}
            store.save(at, today.day, "run")
    return found


FIRST = Rules("first", "hash-1", grace_days=2, cooldown_days=5)


def test_grace_names_its_last_day_and_the_exit_names_its_kind_and_both_definitions() -> None:
    stays = live([day(0, first="ann"), day(1, first="")], [(FIRST,)] * 2)
    (member,) = stays["membership"]
    assert (member["eligible"], member["grace_until"]) == (False, START + timedelta(days=3))
    assert "stays until 2026-01-04" in member["reason"]
    changed = replace(FIRST, definition_hash="hash-2")
    (left,) = live([day(0, first="ann"), day(1, first=""), day(3, first="")], [(FIRST,), (FIRST,), (changed,)])[
        "history"
    ]
    assert (left["left_on"], left["exit_kind"]) == (START + timedelta(days=3), "no_longer_eligible")
    assert (left["enter_hash"], left["exit_hash"]) == ("hash-1", "hash-2")
    assert "2026-01-02" in left["exit_reason"]


def test_a_cooldown_says_until_when_and_is_over_on_that_day() -> None:
    before = [day(0, first="ann"), day(1, people="bea", first="ann"), day(5, first="ann")]
    found = live(before, [(FIRST,)] * 3)
    (held,) = found["exclusions"]
    assert (held["excluded_by"], held["excluded_until"]) == ("cooldown", START + timedelta(days=6))
    assert found["membership"] == []
    assert found["history"][0]["exit_kind"] == "no_longer_a_person"
    after = live([*before, day(6, first="ann")], [(FIRST,)] * 4)
    assert (len(after["membership"]), after["exclusions"]) == (1, [])


def test_a_cooldown_counts_from_the_last_time_somebody_left() -> None:
    rules = Rules("first", "h", cooldown_days=2)
    days = [day(0, first="ann"), day(1), day(3, first="ann"), day(4), day(5, first="ann")]
    found = live(days, [(rules,)] * 5)
    assert found["membership"] == []
    assert [row["excluded_until"] for row in found["exclusions"]] == [START + timedelta(days=6)]
    assert [row["left_on"] for row in found["history"]] == [START + timedelta(days=1), START + timedelta(days=4)]


def test_an_exclusive_group_says_which_segment_came_first() -> None:
    one, two = Rules("first", "h", group="mail", priority=2), Rules("second", "h", group="mail", priority=1)
    found = live([day(0, first="ann", second=""), day(1, first="ann", second="ann")], [(one, two)] * 2)
    assert [row["segment"] for row in found["membership"]] == ["second"]
    (held,) = found["exclusions"]
    assert (held["segment"], held["excluded_by"], held["excluded_until"]) == ("first", "exclusive_group", None)
    assert held["reason"] == "In second, which comes first in the group mail."
    left = next(row for row in found["history"] if row["left_on"])
    assert (left["segment"], left["exit_kind"]) == ("first", "exclusive_group")
    assert "Gave way to second" in left["exit_reason"]


def test_a_segment_whose_file_is_gone_ends_for_everybody_that_day() -> None:
    found = live([day(0, first="ann bea"), day(1)], [(FIRST,), ()])
    assert {(row["left_on"], row["exit_kind"]) for row in found["history"]} == {
        (START + timedelta(days=1), "segment_removed")
    }
    assert [
        (row["size"], row["left_members"]) for row in found["sizes"] if row["date"] == START + timedelta(days=1)
    ] == [(0, 2)]


def test_a_members_arm_is_that_of_their_bucket() -> None:
    keys = [f"k{number}" for number in range(400)]
    # two of them lie on the edges, where a range off by one shows
    low, high = sorted(experiments.bucket("salt", key) for key in keys[:2])
    arms = {"holdout": low / 10_000, "a": (high - low) / 10_000, "b": 1 - high / 10_000}
    rules = replace(FIRST, experiment="exp", salt="salt", arms=arms)
    today = Day(START, {"first": frozenset(keys)}, frozenset(keys), {key: key for key in keys})
    members = live([today], [(rules,)])["membership"]
    assert {row["customer_key"]: (row["bucket"], row["arm"]) for row in members} == {
        key: (number := experiments.bucket("salt", key), experiments.arm(number, arms)) for key in keys
    }


@pytest.mark.parametrize(
    ("size", "people", "is_expected"),
    [(10, 100, True), (30, 100, True), (9, 100, False), (31, 100, False), (0, 0, True), (31, 99, True)],
)
def test_a_share_is_judged_at_both_ends_and_not_of_a_few_people(size: int, people: int, is_expected: bool) -> None:
    segment: Any = SimpleNamespace(
        name="first", path="models/segments/first.sql",
        meta=SimpleNamespace(expect=Expect(min_share=0.1, max_share=0.3, severity="critical")),
    )  # fmt: skip
    assert shares.judge(segment, size, people, 100).success is is_expected


def test_a_segment_is_acknowledged_up_to_the_day_that_its_slowest_audience_has(tmp_path: Path) -> None:
    at = Home(tmp_path).ensure()

    def sent(audience: str, segment: str, as_of: date, is_acknowledged: bool = True) -> None:
        with duckdb.connect(":memory:") as con, FileStore.of(at).attached(con):
            con.execute(
                "insert into state.publish.run (run_id, audience, segment, status, as_of, started_at, acknowledged_at) "
                "values (?, ?, ?, 'done', ?, now(), ?)",
                [f"{audience}-{as_of}", audience, segment, as_of, as_of if is_acknowledged else None],
            )

    exposures = {
        f"exposure.{name}": {"name": name, "depends_on": {"nodes": [f"model.ritorno.{segment}"]},
                             "config": {"meta": {"audience": {}}}}
        for name, segment in {"mail": "first", "sms": "first", "post": "second"}.items()
    }  # fmt: skip
    context: Any = SimpleNamespace(home=at, as_of=START + timedelta(days=9), manifest={"exposures": exposures})
    sent("mail", "first", START)
    sent("mail", "first", START + timedelta(days=4))
    sent("post", "second", START + timedelta(days=3), is_acknowledged=False)
    assert step.acknowledged(context) == {}  # sms never was: it is to lose nobody either
    sent("sms", "first", START + timedelta(days=2))
    sent("sms", "first", START + timedelta(days=9))  # of this very day: a repeat must find the same
    assert step.acknowledged(context) == {"first": START + timedelta(days=2)}

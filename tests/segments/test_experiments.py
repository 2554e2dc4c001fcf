"""Buckets and arms: stable for ever, the same in SQL, independent between salts."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ritorno.segments.experiments import BUCKETS, arm, bucket, bucket_sql, ranges
from tests.support.examples import many

GOLDEN = {
    ("at_risk-2026", "c1"): 240,
    ("at_risk-2026", "c2"): 8067,
    ("other", "c1"): 5567,
    ("", ""): 9023,
    ("salz", "kündin-ß"): 2360,
}


def test_buckets_are_what_they_were_when_the_first_experiment_ran() -> None:
    assert {pair: bucket(*pair) for pair in GOLDEN} == GOLDEN


@settings(max_examples=many(25))
@given(salt=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), keys=st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1, max_size=20))  # fmt: skip
def test_sql_gives_the_bucket_that_python_gives(salt: str, keys: list[str]) -> None:
    with duckdb.connect() as con:
        found = [con.execute(f"select {bucket_sql('$salt', '$key')}", {"salt": salt, "key": key}).fetchone()
                 for key in keys]  # fmt: skip
    assert found == [(bucket(salt, key),) for key in keys]


def test_every_bucket_belongs_to_one_arm_and_thirds_leave_none_out() -> None:
    shares = {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}
    assert [len(buckets) for buckets in ranges(shares).values()] == [3333, 3334, 3333]
    assert {arm(number, shares) for number in range(BUCKETS)} == {"a", "b", "c"}
    with pytest.raises(ValueError, match="bucket 10000"):
        arm(BUCKETS, shares)


def test_a_new_arm_taken_from_the_last_leaves_the_others_where_they_were() -> None:
    before, after = ranges({"holdout": 0.1, "a": 0.4, "b": 0.5}), ranges({"holdout": 0.1, "a": 0.4, "b": 0.2, "c": 0.3})
    assert before["holdout"] == after["holdout"]
    assert before["a"] == after["a"]
    assert set(after["b"]) < set(before["b"])


def test_experiments_with_another_salt_are_independent_and_arms_have_their_shares() -> None:
    shares = {"holdout": 0.2, "treatment": 0.8}
    people = [f"customer-{number}" for number in range(20_000)]
    first = {key for key in people if arm(bucket("first", key), shares) == "holdout"}
    both = sum(arm(bucket("second", key), shares) == "holdout" for key in first)
    assert abs(len(first) / len(people) - 0.2) < 0.01
    assert abs(both / len(first) - 0.2) < 0.03

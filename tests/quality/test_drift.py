"""Drift: a figure against those of earlier runs. Pure, so every edge is cheap to try."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ritorno.quality.drift import DriftRule, judge, psi, total_variation


def rule(metric="rows", **changes):
    limits = {key: changes.pop(key) for key in list(changes) if key.startswith(("min_ratio", "max_"))}
    return DriftRule(metric=metric, limits=limits or {"min_ratio": 0.5}, **changes)


def test_a_first_run_passes_and_says_that_there_is_no_history_yet():
    verdict = judge(rule(), 10.0, [])
    assert verdict.success
    assert not verdict.judged
    assert "no history yet (0 of 1 earlier runs)" in verdict.observed


def test_too_little_history_is_no_judgement_and_one_run_more_is():
    assert judge(rule(min_history=3), 1.0, [100.0, 100.0]).success
    assert not judge(rule(min_history=3), 1.0, [100.0, 100.0, 100.0]).success


def test_the_median_of_earlier_runs_ignores_one_odd_day():
    assert judge(rule(min_ratio=0.5), 95.0, [100.0, 100000.0, 98.0]).success
    assert not judge(rule(min_ratio=0.5, baseline="last"), 95.0, [100000.0, 100.0, 98.0]).success


def test_only_the_newest_runs_are_looked_at():
    assert judge(rule(history=2, min_ratio=0.5), 10.0, [10.0, 10.0, 1000.0, 1000.0, 1000.0]).success


@pytest.mark.parametrize(
    ("limits", "figure", "holds"),
    [
        ({"min_ratio": 0.5}, 5.0, True),
        ({"min_ratio": 0.5}, 4.99, False),
        ({"max_ratio": 2}, 20.0, True),
        ({"max_ratio": 2}, 20.01, False),
        ({"max_rise": 1}, 11.0, True),
        ({"max_rise": 1}, 11.1, False),
        ({"max_rise": 1}, 0.0, True),
        ({"max_fall": 1}, 9.0, True),
        ({"max_fall": 1}, 8.9, False),
        ({"max_fall": 1}, 100.0, True),
        ({"max_change": 1}, 8.9, False),
        ({"max_change": 1}, 11.1, False),
        ({"max_change": 1}, 10.5, True),
    ],
)
def test_each_limit_holds_up_to_its_edge_and_breaks_beyond_it(limits, figure, holds):
    verdict = judge(rule(**limits), figure, [10.0])
    assert verdict.success is holds
    assert (next(iter(limits)) in verdict.observed) is not holds


def test_a_rate_may_move_by_exactly_its_limit_in_spite_of_binary_fractions():
    assert judge(rule("null_rate", column="email", max_change=0.1), 0.3, [0.2]).success


def test_a_table_that_was_empty_until_now_may_fill():
    assert judge(rule(min_ratio=0.5, max_ratio=2), 1000.0, [0.0, 0.0]).success


def test_a_baseline_too_small_to_judge_is_no_judgement_and_a_larger_one_is():
    assert judge(rule(min_ratio=0.5, min_baseline=100), 1.0, [99.0]).success
    assert not judge(rule(min_ratio=0.5, min_baseline=100), 1.0, [100.0]).success


def test_a_table_that_empties_is_seen():
    assert not judge(rule(min_ratio=0.5), 0.0, [1000.0]).success


def test_nothing_to_measure_is_said_and_passes():
    verdict = judge(rule("mean", column="total"), None, [1.0, 2.0])
    assert verdict.success
    assert not verdict.judged
    assert verdict.observed == "nothing to measure"


def test_runs_that_had_nothing_to_measure_are_no_history():
    assert not judge(rule("mean", column="total", min_history=2), 1.0, [None, 10.0, None]).judged


def test_shares_that_moved_name_the_largest_moves():
    spec = rule("distribution", column="rfm_segment", max_total_variation=0.25)
    verdict = judge(spec, {"champions": 0.7, "hibernating": 0.3}, [{"champions": 0.2, "hibernating": 0.8}])
    assert not verdict.success
    assert "total_variation 0.5000" in verdict.observed
    assert "champions +50.0 points" in verdict.observed
    assert "hibernating -50.0 points" in verdict.observed


def test_a_segment_that_appears_or_vanishes_counts_in_full():
    assert total_variation({"a": 1.0}, {"b": 1.0}) == 1.0
    assert psi({"a": 1.0}, {"b": 1.0}) > 10


def test_a_known_population_stability_index():
    expected = (0.6 - 0.5) * math.log(0.6 / 0.5) + (0.4 - 0.5) * math.log(0.4 / 0.5)
    assert psi({"a": 0.6, "b": 0.4}, {"a": 0.5, "b": 0.5}) == pytest.approx(expected)


def test_the_median_mix_of_earlier_runs_is_the_baseline_of_a_distribution():
    usual = {"a": 0.5, "b": 0.5}
    spec = rule("distribution", column="s", max_total_variation=0.1)
    assert judge(spec, usual, [{"a": 0.9, "b": 0.1}, usual, usual]).success
    last = rule("distribution", column="s", baseline="last", max_total_variation=0.1)
    assert not judge(last, usual, [{"a": 0.9, "b": 0.1}, usual, usual]).success


shares = st.dictionaries(st.sampled_from("abcde"), st.floats(0.01, 10), min_size=1).map(
    lambda weights: {key: weight / sum(weights.values()) for key, weight in weights.items()}
)


@given(shares, shares)
def test_distances_are_symmetric_zero_on_equals_and_within_bounds(left, right):
    assert total_variation(left, right) == pytest.approx(total_variation(right, left))
    assert -1e-12 <= total_variation(left, right) <= 1 + 1e-12
    assert psi(left, right) >= -1e-12
    assert psi(left, left) == pytest.approx(0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"metric": "mean"},
        {"metric": "rows", "column": "total"},
        {"metric": "rows", "baseline": "mean"},
        {"metric": "rows", "min_history": 0},
        {"metric": "rows", "min_history": 30, "history": 28},
        {"metric": "rows", "limits": {}},
        {"metric": "rows", "limits": {"max_psi": 0.1}},
        {"metric": "distribution", "column": "s", "limits": {"min_ratio": 0.1}},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match=r"needs|takes|must"):
        DriftRule(**{"limits": {"min_ratio": 0.5}, **wrong})

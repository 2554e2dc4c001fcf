"""The formulas against published worked examples, scipy's tests on raw samples, and independent closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from ritorno.experiments import statistics as f
from ritorno.experiments.statistics import Sample
from tests.support.examples import many

EXAMPLES = settings(max_examples=many(50))
counts = st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def _sample(values):
    return Sample(len(values), float(np.mean(values)), float(np.sum((values - np.mean(values)) ** 2)))


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((6, 7, 2, 7), 0.0582, 0.8062),
        ((5, 56, 0, 29), -0.0381, 0.1926),
        ((0, 10, 0, 20), -0.1611, 0.2775),
        ((10, 10, 0, 20), 0.6791, 1.0000),
    ],
)
def test_newcombe_gives_the_intervals_of_his_table_ii(counts, low, high):
    assert f.newcombe(*counts, 0.95) == (pytest.approx(low, abs=6e-5), pytest.approx(high, abs=6e-5))


def test_the_worked_example_of_the_glossary_is_computed():
    estimate = f.conversion_fixed(120, 1000, 40, 500, 0.95)
    assert f.pooled_z(120, 1000, 40, 500) == pytest.approx(2.366, abs=5e-4)
    assert estimate.difference == pytest.approx(0.04)
    assert estimate.p_value == pytest.approx(0.0180, abs=5e-5)
    assert (estimate.low, estimate.high) == (pytest.approx(0.0071, abs=5e-5), pytest.approx(0.0699, abs=5e-5))
    assert f.probabilities_best([120, 40], [1000, 500])[0] == pytest.approx(0.9913, abs=5e-5)


@EXAMPLES
@given(counts, counts)
def test_the_square_of_the_pooled_z_is_pearsons_chi_square(arm, base):
    table = np.array([[arm[0], arm[1] - arm[0]], [base[0], base[1] - base[0]]])
    z = f.pooled_z(*arm, *base)
    if table.sum(axis=0).min() == 0:
        assert math.isnan(z)
        return
    found = stats.chi2_contingency(table, correction=False)
    assert z**2 == pytest.approx(found.statistic, rel=1e-9, abs=1e-12)
    assert f.two_sided(z) == pytest.approx(found.pvalue, rel=1e-9)


@EXAMPLES
@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(2, 60))
def test_welch_from_sums_is_scipys_test_on_the_values(seed, n, m):
    draw = np.random.default_rng(seed)
    a, b = draw.gamma(0.3, 50, n), draw.gamma(0.5, 30, m)
    found = stats.ttest_ind(a, b, equal_var=False)
    interval = found.confidence_interval(0.9)
    estimate = f.welch(_sample(a), _sample(b), 0.9)
    assert estimate.p_value == pytest.approx(found.pvalue, rel=1e-9)
    assert (estimate.low, estimate.high) == (pytest.approx(interval.low), pytest.approx(interval.high))


def test_welch_says_nothing_of_one_person_or_of_equal_amounts():
    one, flat = Sample(1, 5.0, 0.0), Sample(9, 5.0, 0.0)
    assert math.isnan(f.welch(one, flat, 0.95).p_value)
    assert math.isnan(f.welch(flat, flat, 0.95).p_value)


@EXAMPLES
@given(st.integers(0, 2**32 - 1))
def test_cuped_is_the_regression_on_spend_before_within_arms(seed):
    """Theta and the adjusted samples, from sums, equal those of the values; the variance never grows with one arm."""
    draw = np.random.default_rng(seed)
    before = [draw.gamma(0.5, 40, n) for n in (40, 70)]
    after = [0.4 * x + draw.gamma(0.4, 30, x.size) for x in before]
    cross = [float(np.sum((x - x.mean()) * (y - y.mean()))) for x, y in zip(before, after, strict=True)]
    theta = f.theta(cross, [_sample(x).squares for x in before])
    centred = [np.concatenate([v - v.mean() for v in values]) for values in (before, after)]
    assert theta == pytest.approx(float(np.linalg.lstsq(centred[0][:, None], centred[1], rcond=None)[0][0]))
    for x, y, products in zip(before, after, cross, strict=True):
        adjusted = f.adjusted(_sample(y), _sample(x), products, theta)
        assert adjusted.mean == pytest.approx(float(np.mean(y - theta * x)))
        assert adjusted.variance == pytest.approx(float(np.var(y - theta * x, ddof=1)))
        alone = f.theta([products], [_sample(x).squares])
        assert f.adjusted(_sample(y), _sample(x), products, alone).squares <= _sample(y).squares


def test_without_spend_before_cuped_changes_nothing():
    spend, before = Sample(10, 3.0, 40.0), Sample(10, 0.0, 0.0)
    theta = f.theta([0.0], [0.0])
    assert theta == 0
    assert f.adjusted(spend, before, 0.0, theta) == spend
    assert f.variance_reduction(spend, spend, spend, spend) == 0


@EXAMPLES
@given(st.tuples(st.integers(0, 60), st.integers(0, 400)), st.tuples(st.integers(0, 60), st.integers(0, 400)))
def test_of_two_arms_the_probability_best_is_millers_closed_sum(arm, base):
    """P(B > A) = Σ_{i < α_B} B(α_A + i, β_A + β_B) / ((β_B + i) B(1 + i, β_B) B(α_A, β_A))."""
    a_b, b_b = arm[0] + 1, arm[1] + 1
    a_a, b_a = base[0] + 1, base[1] + 1
    i = np.arange(a_b)
    terms = special.betaln(a_a + i, b_a + b_b) - np.log(b_b + i) - special.betaln(1 + i, b_b) - special.betaln(a_a, b_a)
    best = f.probabilities_best([arm[0], base[0]], [sum(arm), sum(base)])
    assert best[0] == pytest.approx(float(np.exp(terms).sum()), abs=1e-10)
    assert sum(best) == pytest.approx(1, abs=1e-10)


def test_probabilities_of_many_arms_of_any_size_add_up_to_one():
    for converters, people in [
        ([0, 0, 0], [0, 10, 1_000_000]),
        ([5, 300_000, 31], [90, 5_000_000, 400]),
        ([1] * 12, [30] * 12),
    ]:
        best = f.probabilities_best(converters, people)
        assert sum(best) == pytest.approx(1, abs=1e-9)
    assert f.probabilities_best([1] * 12, [30] * 12) == pytest.approx([1 / 12] * 12)
    # Beta(1, 4) above a share known to be 0.1: 0.9 ** 4
    assert f.probabilities_best([0, 100_000], [3, 1_000_000])[0] == pytest.approx(0.9**4, abs=1e-5)


def test_the_sample_ratio_is_scipys_chi_square_and_alarms_at_what_fabijan_calls_a_mismatch():
    found = stats.chisquare([821_588, 815_482], np.array([0.5, 0.5]) * (821_588 + 815_482))
    ratio = f.sample_ratio([821_588, 815_482], [0.5, 0.5])
    assert (ratio.chi_square, ratio.p_value) == (pytest.approx(found.statistic), pytest.approx(found.pvalue))
    assert ratio.p_value < 0.001


def test_the_sample_ratio_sees_an_arm_that_nobody_or_an_unplanned_somebody_is_in():
    assert f.sample_ratio([500, 500], [0.4, 0.4]).p_value < 1e-9
    assert f.sample_ratio([500, 1], [1.0, 0.0]).p_value == 0
    assert math.isnan(f.sample_ratio([10, 4], [0.8, 0.2]).p_value)  # 2.8 expected
    assert math.isnan(f.sample_ratio([10], [1.0]).p_value)


@pytest.mark.parametrize("always", [False, True])
def test_an_effect_as_large_as_the_detectable_one_is_found_with_the_stated_chance(always):
    baseline, people, base_people = 0.2, 8000, 2000
    effect = f.minimum_detectable_effect(
        baseline, people, base_people, alpha=0.05, power=0.8, always_valid_looks=always
    )
    draw = np.random.default_rng(5)
    found = 0
    for converters, base in zip(
        draw.binomial(people, baseline + effect, 2000), draw.binomial(base_people, baseline, 2000), strict=True
    ):
        counts = (int(converters), people, int(base), base_people)
        test = f.conversion_always_valid if always else f.conversion_fixed
        found += test(*counts, 0.95).p_value <= 0.05
    assert 0.76 < found / 2000 < 0.84


@EXAMPLES
@given(st.floats(0.1, 1e6), st.floats(1e-6, 0.4))
def test_the_always_valid_p_is_alpha_exactly_on_the_boundary(clock, alpha):
    boundary = f.always_valid_multiplier(clock, alpha)
    assert f.always_valid_p(boundary, clock) == pytest.approx(alpha, rel=1e-9)
    assert f.always_valid_p(boundary * 1.01, clock) < alpha
    assert boundary > stats.norm.isf(alpha / 2)


def test_before_the_first_conversion_nothing_is_said():
    estimate = f.conversion_always_valid(0, 100, 0, 100, 0.95)
    assert math.isnan(estimate.low)
    assert estimate.p_value == 1
    assert not f.is_countable(0, 100, 0, 100)
    assert not f.is_countable(0, 0, 0, 100)
    assert f.is_countable(10, 100, 0, 100)
    assert not f.is_countable(9, 100, 0, 100)

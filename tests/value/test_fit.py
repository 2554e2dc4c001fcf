"""Fits find the truth in simulated shops, and say so when there is none to find."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from ritorno.value.backtest import History, area_under_curve, back_test, compare, rank_correlation, tie_safe_groups
from ritorno.value.fit import Statistics, distinct_rows, fit_orders, fit_spend
from ritorno.value.models import BGNBD, MBGNBD, ORDER_MODELS
from ritorno.value.score import score
from tests.value.simulated import Shop, simulate

TRUTH = {
    "mbg_nbd": (0.8, 6.0, 0.9, 2.5),
    "bg_nbd": (0.8, 6.0, 0.9, 2.5),
    "pareto_nbd": (0.8, 6.0, 0.8, 12.0),
}


def history(shop: Shop, weeks: float = 26.0) -> History:
    return History(
        x=shop.x, t_x=shop.t_x, T=shop.T, mean_spend=shop.mean_spend, later_orders=shop.later_orders,
        later_revenue=shop.later_revenue, days_to_next=np.ceil(shop.weeks_to_next * 7), days=round(weeks * 7),
    )  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", sorted(TRUTH))
def test_a_fit_recovers_a_simulated_shop(name, seed):
    """10,000 customers: log r/α (the mean rate) within 0.1, each parameter within 45 % (they trade off)."""
    shop = simulate(name, TRUTH[name], customers=10_000, seed=seed, days=730)
    fitted = fit_orders(ORDER_MODELS[name], Statistics.of(shop.x, shop.t_x, shop.T))
    assert fitted.status == "converged", fitted
    got, truth = fitted.usable.values, np.array(TRUTH[name])
    assert abs(np.log(got[0] / got[1]) - np.log(truth[0] / truth[1])) < 0.1
    assert np.abs(np.log(got / truth)).max() < np.log(1.45)
    at_truth = ORDER_MODELS[name].of(truth).log_likelihood(shop.x, shop.t_x, shop.T).sum()
    assert (
        -1e-6 < fitted.log_likelihood - at_truth < 12
    )  # the maximum beats the truth by χ²(4)/2, rounding to days apart


@pytest.mark.parametrize("seed", [4, 5])
@pytest.mark.parametrize("name", sorted(TRUTH))
def test_predictions_agree_with_what_simulated_customers_do(name, seed):
    """P(alive) within 0.02 of the share alive, overall and ± 0.06 per fifth; orders within 4 %, revenue within 6 %;
    the next order's interval covers within 0.03 of what the censoring lets a right model cover."""
    shop = simulate(name, TRUTH[name], customers=20_000, seed=seed, days=730)
    result, orders, spend = back_test(ORDER_MODELS[name], history(shop))
    alive = orders.usable.p_alive(shop.x, shop.t_x, shop.T)
    assert abs(alive.mean() - shop.alive.mean()) < 0.02
    fifth = tie_safe_groups(alive, 5)
    for number in np.unique(fifth):
        members = fifth == number
        if members.sum() > 500:
            assert abs(alive[members].mean() - shop.alive[members].mean()) < 0.06
    assert spend.status == "converged"
    assert abs(result.orders_error) < 0.04
    assert abs(result.revenue_error) < 0.06
    assert result.calibration_error < 0.06
    assert result.auc_model > result.auc_recency
    assert result.is_recency_better is False
    assert abs(result.interval_coverage - result.interval_coverage_expected) < 0.03


def test_fits_are_the_same_every_time_and_in_any_order():
    shop = simulate("mbg_nbd", TRUTH["mbg_nbd"], customers=3_000, seed=9)
    data = Statistics.of(shop.x, shop.t_x, shop.T)
    turned = np.random.default_rng(1).permutation(shop.x.size)
    again = Statistics.of(shop.x[turned], shop.t_x[turned], shop.T[turned])
    first, second = fit_orders(MBGNBD, data), fit_orders(MBGNBD, again)
    assert first == fit_orders(MBGNBD, data)
    assert first.usable.values == pytest.approx(second.usable.values, rel=1e-5)


def test_a_thinned_start_ends_where_the_whole_search_ends():
    shop = simulate("mbg_nbd", TRUTH["mbg_nbd"], customers=20_000, seed=10, whole_days=False)
    data = Statistics.of(shop.x, shop.t_x, shop.T)
    assert data.x.size > 8_000
    assert data.thinned(8_000).weights.sum() == pytest.approx(data.weights.sum())
    fitted = fit_orders(MBGNBD, data)
    slope = fitted.usable.log_likelihood_terms(data.x, data.t_x, data.T)[1] @ data.weights
    assert np.abs(slope * fitted.usable.values / data.customers).max() < 1e-7


def test_distinct_rows_are_those_of_numpy():
    draw = np.random.default_rng(3)
    columns = [draw.integers(0, 4, 500), draw.integers(0, 3, 500) / 7, draw.integers(0, 5, 500) / 7]
    code, first, sizes = distinct_rows(*columns)
    _, inverse, counted = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True, return_counts=True)
    assert sorted(sizes) == sorted(counted)
    assert all((column[first][code] == column).all() for column in columns)
    assert np.unique(np.stack([code, inverse.ravel()], axis=1), axis=0).shape[0] == sizes.size


def test_too_few_buyers_are_too_little_data():
    shop = simulate("mbg_nbd", TRUTH["mbg_nbd"], customers=499, seed=1)
    fitted = fit_orders(MBGNBD, Statistics.of(shop.x, shop.t_x, shop.T), min_customers=500)
    assert (fitted.status, fitted.model, fitted.n) == ("too_little_data", None, 499)
    assert "500" in fitted.detail
    assert fit_spend(shop.x, shop.mean_spend, min_customers=500).status == "too_little_data"
    nobody = fit_orders(MBGNBD, Statistics.of([], [], []))
    assert (nobody.status, nobody.n) == ("too_little_data", 0)


def test_a_shop_where_nobody_came_back_is_too_little_data():
    n = 1000
    fitted = fit_orders(MBGNBD, Statistics.of(np.zeros(n, int), np.zeros(n), np.linspace(1, 50, n)))
    assert fitted.status == "too_little_data"


@pytest.mark.parametrize("spread", [0.0, 1e-4])
def test_constant_spend_degenerates_and_is_said_to(spread):
    draw = np.random.default_rng(1)
    x = draw.integers(1, 9, 2_000)
    mean = np.repeat([9.9, 19.9, 39.9, 99.9], 500) * (1 + spread * draw.standard_normal(2_000))
    fitted = fit_spend(x, mean)
    assert fitted.status in ("degenerate", "not_converged"), fitted
    assert fitted.usable is None


def test_a_spend_without_a_mean_is_degenerate():
    shop = simulate("mbg_nbd", TRUTH["mbg_nbd"], customers=20_000, seed=2, spend=(4.0, 0.7, 10.0))
    fitted = fit_spend(shop.x, shop.mean_spend)
    assert fitted.status == "degenerate"
    assert "infinite" in fitted.detail


def test_a_shop_where_all_order_alike_is_degenerate():
    """Everybody's rate is the same: r and α run to infinity together."""
    draw = np.random.default_rng(5)
    T = np.full(5_000, 52.0)  # noqa: N806
    x = draw.poisson(5.0, 5_000)
    t_x = np.where(x > 0, T * draw.random(5_000) ** (1 / np.maximum(x, 1)), 0.0)
    assert fit_orders(MBGNBD, Statistics.of(x, t_x, T)).status == "degenerate"


def test_spend_of_nothing_or_less_is_left_out_of_the_fit():
    shop = simulate("mbg_nbd", TRUTH["mbg_nbd"], customers=5_000, seed=3)
    plain = fit_spend(shop.x, shop.mean_spend)
    more = fit_spend(np.append(shop.x, [3, 2, 0]), np.append(shop.mean_spend, [0.0, -5.0, np.nan]))
    assert more.n == plain.n
    assert more.usable.p == pytest.approx(plain.usable.p)


def test_a_currency_in_other_units_scales_the_value_only():
    shop = simulate("mbg_nbd", TRUTH["mbg_nbd"], customers=5_000, seed=3)
    euro, cent = fit_spend(shop.x, shop.mean_spend), fit_spend(shop.x, shop.mean_spend * 100)
    assert cent.usable.p == pytest.approx(euro.usable.p, rel=1e-4)
    assert cent.usable.v == pytest.approx(euro.usable.v * 100, rel=1e-3)
    assert cent.log_likelihood == pytest.approx(euro.log_likelihood - euro.n * np.log(100), rel=1e-9)


def test_scores_are_those_of_each_customer_alone():
    shop = simulate("mbg_nbd", TRUTH["mbg_nbd"], customers=300, seed=7)
    model, spend = MBGNBD(*TRUTH["mbg_nbd"]), fit_spend(shop.x, shop.mean_spend, min_customers=20).usable
    together = score(model, spend, shop.x, shop.t_x, shop.T, shop.mean_spend, 0.1)
    for i in range(0, 300, 37):
        alone = score(model, spend, shop.x[[i]], shop.t_x[[i]], shop.T[[i]], shop.mean_spend[[i]], 0.1)
        assert together.value_365d[i] == pytest.approx(alone.value_365d[0])
        assert together.next_order_days[:, i].tolist() == alone.next_order_days[:, 0].tolist()
    low, middle, high = together.next_order_days
    assert (low >= 1).all()
    assert (low <= middle).all()
    assert (middle <= high).all()
    assert (together.orders_90d <= together.orders_365d).all()
    assert (together.discounted_orders_365d <= together.orders_365d).all()


def test_without_a_spend_model_there_are_orders_but_no_value():
    scores = score(MBGNBD(*TRUTH["mbg_nbd"]), None, [1], [3.0], [9.0], [10.0], 0.1)
    assert scores.value_365d is None
    assert scores.orders_365d[0] > 0


def test_a_back_test_that_cannot_be_fitted_says_why():
    result, orders, _ = back_test(MBGNBD, history(simulate("mbg_nbd", TRUTH["mbg_nbd"], customers=50, seed=1)))
    assert result.status == orders.status == "too_little_data"
    assert result.expected_orders is None
    assert result.orders_error is None
    assert result.is_recency_better is None


def test_a_model_that_ranks_backwards_is_told_that_recency_is_better():
    """Those who ordered often and long ago don't come back; a model in which nobody leaves expects them first."""
    n = 200
    t_x = np.linspace(20, 49, n)
    after = (t_x > 35).astype(np.int64)
    told = History(
        x=np.where(t_x > 35, 1, 30), t_x=t_x, T=np.full(n, 50.0), mean_spend=np.ones(n), later_orders=after,
        later_revenue=after.astype(float), days_to_next=np.where(after > 0, 10.0, np.nan), days=90,
    )  # fmt: skip
    result = compare(BGNBD(1, 10, 1e-12, 100), None, told)
    assert result.auc_recency == 1
    assert result.auc_model < 0.1
    assert result.is_recency_better is True
    assert result.expected_revenue is None


def test_small_statistics_equal_their_definitions():
    scores, happened = np.array([1.0, 2, 2, 3]), np.array([False, True, False, True])
    assert area_under_curve(scores, happened) == pytest.approx((1 + 0.5 + 1 + 1) / 4)
    assert area_under_curve(scores, np.ones(4, bool)) is None
    assert rank_correlation(np.array([1.0, 2, 3]), np.array([3.0, 2, 1])) == pytest.approx(-1)
    assert rank_correlation(np.ones(3), np.array([3.0, 2, 1])) is None
    assert tie_safe_groups(np.array([5.0, 5, 5, 5]), 10).tolist() == [1, 1, 1, 1]
    assert tie_safe_groups(np.arange(10.0), 10).tolist() == list(range(1, 11))


@pytest.mark.skipif(os.cpu_count() == 1, reason="one core has no threads to start")
def test_linear_algebra_starts_no_threads():
    """Its threads would wait for each other, and sums would depend on how many cores there are."""
    code = (
        "import os, ritorno; count = lambda: len(os.listdir('/proc/self/task')); before = count(); "
        "import ritorno.value.fit, scipy.linalg; assert count() == before, count()"
    )
    plain = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    subprocess.run([sys.executable, "-c", code], check=True, env=plain)

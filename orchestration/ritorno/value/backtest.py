"""How good the models are: fitted on the first part of the history, compared with what happened in the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ritorno.value.fit import CONVERGED, Fit, Statistics, distinct_rows, fit_orders, fit_spend, spend_minimum
from ritorno.value.models import Counts, Floats, GammaGamma, OrderModel
from ritorno.value.score import DAYS_A_WEEK, INTERVAL, whole_days

DECILES = 10


@dataclass(frozen=True)
class History:
    """Customers as known at the split, and what they did afterwards.

    Attributes:
        x: repeat order days until the split.
        t_x: weeks from the first to the last order day until the split.
        T: weeks from the first order day to the split.
        mean_spend: mean worth of the repeat order days until the split, NaN without any.
        later_orders: order days after the split.
        later_revenue: their worth.
        days_to_next: days from the split to the first of them, NaN without any.
        days: length of the period after the split.
    """

    x: Counts
    t_x: Floats
    T: Floats
    mean_spend: Floats
    later_orders: Counts
    later_revenue: Floats
    days_to_next: Floats
    days: int


@dataclass(frozen=True)
class Decile:
    """A tenth of the customers by expected orders (1 = fewest), with what was expected and what came."""

    decile: int
    customers: int
    expected: float
    actual: float


@dataclass(frozen=True)
class BackTest:
    """The comparison; figures are None where they don't exist (nobody ordered again, no usable spend model).

    Attributes:
        status: converged, or why there is no comparison (the fit's status).
        customers: compared.
        expected_orders: order days the model expected.
        actual_orders: order days that came.
        expected_revenue: the same in money, None without a usable spend model.
        actual_revenue: net revenue of the order days that came.
        calibration: per decile of expected orders.
        rank_correlation: Spearman, expected against actual order days.
        auc_model: P(the model ranks one who ordered again above one who didn't), by probability of an order.
        auc_recency: the same when ranked by the days since the last order alone.
        ordered_again: customers who did.
        interval_coverage: share of them whose next order came within the 10–90 % interval.
        interval_coverage_expected: the share to expect of a right model, among those seen to order: the period ends
            after `days`, so late orders are never seen (censored) and early ones are over-represented. 0.8 it is not.
    """

    status: str
    customers: int
    expected_orders: float | None = None
    actual_orders: int | None = None
    expected_revenue: float | None = None
    actual_revenue: float | None = None
    calibration: Sequence[Decile] = field(default=())
    rank_correlation: float | None = None
    auc_model: float | None = None
    auc_recency: float | None = None
    ordered_again: int | None = None
    interval_coverage: float | None = None
    interval_coverage_expected: float | None = None

    @property
    def orders_error(self) -> float | None:
        """Expected over actual orders − 1."""
        return _error(self.expected_orders, self.actual_orders)

    @property
    def revenue_error(self) -> float | None:
        """Expected over actual revenue − 1."""
        return _error(self.expected_revenue, self.actual_revenue)

    @property
    def calibration_error(self) -> float | None:
        """Σ |expected − actual| over deciles, over actual orders: unlike the total, over and under don't cancel."""
        if not self.actual_orders:
            return None
        return sum(abs(part.expected - part.actual) for part in self.calibration) / self.actual_orders

    @property
    def is_recency_better(self) -> bool | None:
        """Whether plain recency ranked those who ordered again better than the model."""
        if self.auc_model is None or self.auc_recency is None:
            return None
        return self.auc_recency > self.auc_model


def _error(expected: float | None, actual: float | None) -> float | None:
    return None if expected is None or not actual or actual < 0 else expected / actual - 1


def tie_safe_groups(values: Floats, groups: int) -> Counts:
    """Groups 1 … `groups`, lowest values first: floor(groups × customers strictly below / n) + 1.

    Equal values share a group, so groups differ in size where values repeat.
    """
    below = _ranks(values, "min") - 1
    return (below * groups // max(values.size, 1)).astype(np.int64) + 1


def _ranks(values: Floats, ties: Literal["average", "min"] = "average") -> Floats:
    from scipy.stats import rankdata  # 0.3 s that only a fit needs

    return np.asarray(rankdata(values, method=ties))


def area_under_curve(scores: Floats, happened: NDArray[np.bool_]) -> float | None:
    """P(score of one to whom it happened > score of one to whom it didn't), ties half; None without both kinds."""
    positives = int(happened.sum())
    negatives = happened.size - positives
    if positives == 0 or negatives == 0:
        return None
    ranks = _ranks(scores)
    return float((ranks[happened].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def rank_correlation(left: Floats, right: Floats) -> float | None:
    """Spearman's; None where one side is constant."""
    if left.size < 2:
        return None
    ranks = np.stack([_ranks(left), _ranks(right)])
    deviations = ranks - ranks.mean(axis=1, keepdims=True)
    norms = np.sqrt((deviations**2).sum(axis=1))
    return None if (norms == 0).any() else float(deviations[0] @ deviations[1] / norms.prod())


def calibration(expected: Floats, actual: Counts) -> tuple[Decile, ...]:
    """Per tie-safe decile of `expected`: customers, Σ expected, Σ actual."""
    group = tie_safe_groups(expected, DECILES)
    sizes = np.bincount(group, minlength=DECILES + 1)
    wanted, came = (np.bincount(group, weights=w, minlength=DECILES + 1) for w in (expected, actual))
    return tuple(
        Decile(number, int(sizes[number]), float(wanted[number]), float(came[number]))
        for number in range(1, DECILES + 1)
        if sizes[number]
    )


def _interval_coverage(model: OrderModel, history: History) -> tuple[float | None, float | None]:
    """Share of next orders within their interval, and the share a right model would show of those seen."""
    again = ~np.isnan(history.days_to_next)
    if not again.any():
        return None, None
    x, T, came = history.x[again], history.T[again], history.days_to_next[again]  # noqa: N806
    low, _, high = whole_days(model.next_order_quantiles(x, T, INTERVAL)).astype(np.float64)
    covered = float(((came >= low) & (came <= high)).mean())

    def by(days: Floats) -> Floats:
        return model.next_order_cdf_if_alive(x, T, np.minimum(days, history.days) / DAYS_A_WEEK)

    seen = by(np.full(x.size, float(history.days)))
    # an order on day d falls between d − 1 and d in continuous time
    expected = float(((by(high) - by(low - 1)) / np.maximum(seen, 1e-300)).mean())
    return covered, expected


def compare(orders: OrderModel, spend: GammaGamma | None, history: History) -> BackTest:
    """Compare models fitted until the split with the period after it."""
    weeks = history.days / DAYS_A_WEEK
    row, first, _ = distinct_rows(history.x, history.T)
    x, T = history.x[first], history.T[first]  # noqa: N806
    alive = orders.p_alive(history.x, history.t_x, history.T)
    expected = alive * orders.expected_orders_if_alive(x, T, weeks)[row]
    chance = alive * orders.next_order_cdf_if_alive(x, T, weeks)[row]
    again = history.later_orders > 0
    revenue = None if spend is None else float(expected @ spend.expected_spend(history.x, history.mean_spend))
    covered, covered_expected = _interval_coverage(orders, history)
    return BackTest(
        status=CONVERGED,
        customers=history.x.size,
        expected_orders=float(expected.sum()),
        actual_orders=int(history.later_orders.sum()),
        expected_revenue=revenue,
        actual_revenue=float(history.later_revenue.sum()),
        calibration=calibration(expected, history.later_orders),
        rank_correlation=rank_correlation(expected, history.later_orders.astype(np.float64)),
        auc_model=area_under_curve(chance, again),
        auc_recency=area_under_curve(history.t_x - history.T, again),
        ordered_again=int(again.sum()),
        interval_coverage=covered,
        interval_coverage_expected=covered_expected,
    )


def back_test(
    model: type[OrderModel], history: History, *, min_customers: int = 500
) -> tuple[BackTest, Fit[OrderModel], Fit[GammaGamma]]:
    """Fit on what was known at the split, then compare; without a usable order model only the reason."""
    orders = fit_orders(model, Statistics.of(history.x, history.t_x, history.T), min_customers=min_customers)
    spend = fit_spend(history.x, history.mean_spend, min_customers=spend_minimum(min_customers))
    if orders.usable is None:
        return BackTest(status=orders.status, customers=history.x.size), orders, spend
    return compare(orders.usable, spend.usable, history), orders, spend

"""Maximum likelihood for the models of `models`, on de-duplicated sufficient statistics, with an honest status.

Customers with the same (x, t_x, T) are one row with a weight: most of a shop's customers ordered once. The search
runs from several starts on a thinned sample of the rows, then once on all of them from the best: the result is the
full likelihood's maximum, the starts cost little.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from ritorno.value.models import Counts, Floats, GammaGamma, OrderModel, counts, observations

CONVERGED = "converged"
NOT_CONVERGED = "not_converged"
DEGENERATE = "degenerate"
TOO_LITTLE_DATA = "too_little_data"

_START_ROWS = 8_000
_LOG_LIMIT = 14.0
"""Log-parameters are searched within ± this: beyond, a parameter is 0 or ∞ and the model another, simpler one."""
_SHAPE_LIMIT = 1e3
"""A shape parameter beyond this (or below its inverse) says the heterogeneity it describes isn't in the data."""
_GRADIENT_TOLERANCE = 1e-5
"""Largest slope of the mean log-likelihood by a log-parameter that still counts as a maximum."""

_SMALL_SLOPE = 1e-8
"""Where a search ends: the parameters are then exact to more digits than anyone prints."""

M = TypeVar("M")


@dataclass(frozen=True)
class Statistics:
    """Distinct (x, t_x, T) with the number of customers of each."""

    x: Counts
    t_x: Floats
    T: Floats
    weights: Floats

    @classmethod
    def of(cls, x: ArrayLike, t_x: ArrayLike, T: ArrayLike) -> Statistics:  # noqa: N803
        """De-duplicate customers; raises ValueError for impossible rows (see models.observations)."""
        repeats, last, end = observations(x, t_x, T)
        _, first, sizes = distinct_rows(repeats, last, end)
        return cls(repeats[first], last[first], end[first], sizes.astype(np.float64))

    @property
    def customers(self) -> int:
        """How many customers the rows stand for."""
        return int(self.weights.sum())

    def thinned(self, rows: int) -> Statistics:
        """At most `rows` of the rows, the same ones every time, standing for all; itself when there are no more.

        The heaviest half is kept whole (one-time buyers, a few rows for most customers), of the others evenly spaced
        ones whose weights make up for those left out.
        """
        if self.x.size <= rows:
            return self
        order = np.argsort(-self.weights, kind="stable")
        heavy, rest = order[: rows // 2], order[rows // 2 :]
        chosen = rest[np.linspace(0, rest.size - 1, rows - heavy.size).astype(np.intp)]
        scale = self.weights[rest].sum() / self.weights[chosen].sum()
        kept = np.concatenate([heavy, chosen])
        weights = np.concatenate([self.weights[heavy], self.weights[chosen] * scale])
        return Statistics(self.x[kept], self.t_x[kept], self.T[kept], weights)


def distinct_rows(*columns: NDArray[np.generic]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Each row's number among the distinct rows, the first row of each, and how many rows each stands for.

    Hashed column by column (pandas.factorize): ten times faster than sorting records.
    """
    from pandas import factorize  # 0.2 s that only a fit needs

    code = np.zeros(columns[0].size, dtype=np.int64)
    for column in columns:
        part, values = factorize(column)
        code, _ = factorize(code * max(len(values), 1) + part)
    sizes = np.bincount(code)
    first = np.empty(sizes.size, dtype=np.intp)
    first[code[::-1]] = np.arange(code.size - 1, -1, -1)
    return code, first, sizes


@dataclass(frozen=True)
class Fit(Generic[M]):
    """What a fit found, and whether to trust it.

    Attributes:
        status: converged, not_converged (no maximum found), degenerate (a parameter ran to 0 or ∞, or the expectation
            is infinite), too_little_data.
        model: the fitted model, also when degenerate (to be reported, not to be used); None without an estimate.
        log_likelihood: of all customers, at the estimate.
        n: customers that entered.
        detail: one sentence on why, for people.
    """

    status: str
    model: M | None
    log_likelihood: float | None
    n: int
    detail: str

    @property
    def converged(self) -> bool:
        """Whether the model may be used."""
        return self.status == CONVERGED

    @property
    def usable(self) -> M | None:
        """The model if it may be used, else None."""
        return self.model if self.converged else None


Objective = Callable[[Floats], tuple[float, Floats]]


def _maximise(objective: Objective, start: Floats) -> tuple[Floats, float, float]:
    """Log-parameters, mean log-likelihood and largest slope left, from one start."""

    def negative(log_parameters: Floats) -> tuple[float, Floats]:
        value, slope = objective(log_parameters)
        if not (np.isfinite(value) and np.isfinite(slope).all()):
            return 1e10, np.zeros_like(log_parameters)
        return -value, -slope

    limits = [(-_LOG_LIMIT, _LOG_LIMIT)] * start.size
    options = {"maxiter": 1000, "ftol": 1e-15, "gtol": _SMALL_SLOPE, "maxcor": 20}
    found = minimize(negative, start, jac=True, method="L-BFGS-B", bounds=limits, options=options)  # type: ignore[call-overload]
    slope = np.asarray(found.jac, dtype=np.float64)
    return np.asarray(found.x, dtype=np.float64), -float(found.fun), float(np.abs(slope).max())


def _curvature(objective: Objective, at: Floats) -> NDArray[np.float64]:
    """Hessian of the negative objective, by central differences of its slope."""
    step = 1e-4
    columns = [objective(at + step * unit)[1] - objective(at - step * unit)[1] for unit in np.eye(at.size)]
    hessian = -np.stack(columns) / (2 * step)
    return np.asarray((hessian + hessian.T) / 2, dtype=np.float64)


def _polish(sample: Objective, full: Objective, start: Floats) -> tuple[Floats, float, float]:
    """Newton steps on everything with the sample's curvature (learning from each step, BFGS), from the sample's best.

    Some five evaluations instead of forty. Where a step doesn't gain, the slow and sure search goes on from there.
    """
    hessian = _curvature(sample, start)
    if not np.isfinite(hessian).all() or np.linalg.eigvalsh(hessian).min() <= 0:
        return _maximise(full, start)
    inverse = np.linalg.inv(hessian)
    at, (value, slope) = start, full(start)
    for _ in range(30):
        if np.abs(slope).max() < _SMALL_SLOPE:
            return at, value, float(np.abs(slope).max())
        step = inverse @ slope
        step = step / max(1.0, float(np.abs(step).max()))
        if np.abs(at + step).max() > _LOG_LIMIT:
            break
        next_value, next_slope = full(at + step)
        if not next_value >= value - 1e-12:
            break
        change = slope - next_slope  # of the negative objective's slope
        gain = float(step @ change)
        if gain > 0:
            left = np.eye(at.size) - np.outer(step, change) / gain
            inverse = left @ inverse @ left.T + np.outer(step, step) / gain
        at, value, slope = at + step, next_value, next_slope
    return _maximise(full, at)


def _search(sample: Objective, full: Objective, starts: Sequence[Floats]) -> tuple[Floats, float, float] | None:
    """The best of all starts on the sample, then polished on everything; None if nothing finite was found."""
    found = [_maximise(sample, start) for start in starts]
    finite = [result for result in found if result[1] > -1e9]
    if not finite:
        return None
    best = max(finite, key=lambda result: result[1])
    return best if sample is full else _polish(sample, full, best[0])


def _order_objective(model: type[OrderModel], data: Statistics) -> Objective:
    total = data.weights.sum()

    def objective(log_parameters: Floats) -> tuple[float, Floats]:
        candidate = model.of(np.exp(log_parameters))
        value, slope = candidate.log_likelihood_terms(data.x, data.t_x, data.T)
        return float(value @ data.weights / total), (slope @ data.weights) * candidate.values / total

    return objective


def _order_starts(data: Statistics) -> list[Floats]:
    """Starts whose mean rate r/α is the data's, with much and with little heterogeneity and leaving."""
    weeks = max(float(data.T @ data.weights), 1e-6)
    rate = max(float(data.x @ data.weights), 0.5) / weeks
    shapes = [(0.5, 0.8, 2.0), (1.5, 0.3, 6.0), (0.2, 1.5, 1.5)]
    return [np.log([r, r / rate, third, fourth]) for r, third, fourth in shapes]


def _shape_names(model: type[OrderModel]) -> tuple[str, ...]:
    return ("r", "a", "b") if "a" in model.parameter_names() else ("r", "s")


def _runaway(values: dict[str, float], shapes: Sequence[str]) -> str | None:
    """The parameters that ran away, in words, or None."""
    gone = [
        f"{name} = {value:.3g}"
        for name, value in values.items()
        if abs(np.log(value)) > _LOG_LIMIT - 0.1 or (name in shapes and not 1 / _SHAPE_LIMIT < value < _SHAPE_LIMIT)
    ]
    return ", ".join(gone) or None


def fit_orders(model: type[OrderModel], data: Statistics, *, min_customers: int = 500) -> Fit[OrderModel]:
    """Fit an order model by maximum likelihood.

    Args:
        model: MBGNBD, BGNBD or ParetoNBD.
        data: the customers.
        min_customers: with fewer nothing is fitted, status too_little_data.
    """
    n = data.customers
    if n < max(min_customers, 2):
        return Fit(TOO_LITTLE_DATA, None, None, n, f"{n} buyers, {min_customers} are needed")
    if float(data.x @ data.weights) == 0:
        return Fit(TOO_LITTLE_DATA, None, None, n, "nobody has ordered on a second day")
    thinned = data.thinned(_START_ROWS)
    full = _order_objective(model, data)
    sample = full if thinned is data else _order_objective(model, thinned)
    found = _search(sample, full, _order_starts(data))
    if found is None:
        return Fit(NOT_CONVERGED, None, None, n, "the likelihood is not finite anywhere it was looked for")
    log_parameters, mean, slope = found
    fitted = model.of(np.exp(log_parameters))
    values = dict(zip(model.parameter_names(), fitted.values.tolist(), strict=True))
    runaway = _runaway(values, _shape_names(model))
    if runaway:
        return Fit(DEGENERATE, fitted, mean * n, n, f"ran away: {runaway}")
    if slope > _GRADIENT_TOLERANCE:
        return Fit(NOT_CONVERGED, fitted, mean * n, n, f"stopped on a slope of {slope:.2g}")
    return Fit(CONVERGED, fitted, mean * n, n, "a maximum inside the allowed region")


def spend_minimum(min_customers: int) -> int:
    """Customers with repeat orders that a spend model needs: a tenth of the buyers an order model needs."""
    return max(min_customers // 10, 2)


def fit_spend(x: ArrayLike, mean_spend: ArrayLike, *, min_customers: int = 50) -> Fit[GammaGamma]:
    """Fit Gamma-Gamma to customers with a repeat order day worth more than 0; the others are left out.

    Degenerate when p, q or v ran away (a customer's orders all worth the same: p → ∞) or q ≤ 1 (infinite mean).
    """
    repeats, spend = counts(x), np.asarray(mean_spend, dtype=np.float64)
    used = (repeats > 0) & (np.nan_to_num(spend) > 0)
    repeats, spend = repeats[used], spend[used]
    n = int(used.sum())
    if n < max(min_customers, 2):
        return Fit(TOO_LITTLE_DATA, None, None, n, f"{n} customers with repeat orders, {min_customers} are needed")
    scale = float(spend.mean())  # the search shouldn't depend on the currency's unit
    spend = spend / scale
    full = _spend_objective(repeats, spend)
    sample = full
    if n > _START_ROWS:
        chosen = np.linspace(0, n - 1, _START_ROWS).astype(np.intp)
        sample = _spend_objective(repeats[chosen], spend[chosen])
    starts = [np.log([p, q, max(q - 1, 0.5) / p]) for p, q in ((5.0, 4.0), (1.5, 3.0), (20.0, 8.0))]
    found = _search(sample, full, starts)
    if found is None:
        return Fit(NOT_CONVERGED, None, None, n, "the likelihood is not finite anywhere it was looked for")
    log_parameters, mean, slope = found
    p, q, v = (float(value) for value in np.exp(log_parameters))
    fitted = GammaGamma(p, q, v * scale)
    log_likelihood = (mean - float(np.log(scale))) * n
    runaway = _runaway({"p": p, "q": q, "v": v}, ("p", "q"))
    if runaway:
        return Fit(DEGENERATE, fitted, log_likelihood, n, f"ran away: {runaway}")
    if q <= 1:
        return Fit(DEGENERATE, fitted, log_likelihood, n, f"q = {q:.3g} ≤ 1: the mean spend is infinite")
    if slope > _GRADIENT_TOLERANCE:
        return Fit(NOT_CONVERGED, fitted, log_likelihood, n, f"stopped on a slope of {slope:.2g}")
    return Fit(CONVERGED, fitted, log_likelihood, n, "a maximum inside the allowed region")


def _spend_objective(x: Counts, spend: Floats) -> Objective:
    def objective(log_parameters: Floats) -> tuple[float, Floats]:
        values = np.exp(log_parameters)
        terms, slope = GammaGamma(*values.tolist()).log_likelihood_terms(x, spend)
        return float(terms.mean()), slope.mean(axis=1) * values

    return objective

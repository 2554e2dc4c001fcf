"""Shops simulated from the models' own assumptions, customer by customer, knowing nothing of their formulas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Shop:
    """What is known at the end of observation, and the truth."""

    x: NDArray[np.int64]
    t_x: NDArray[np.float64]
    T: NDArray[np.float64]
    mean_spend: NDArray[np.float64]
    alive: NDArray[np.bool_]
    later_orders: NDArray[np.int64]
    later_revenue: NDArray[np.float64]
    weeks_to_next: NDArray[np.float64]


def simulate(
    model: str,
    parameters: tuple[float, float, float, float],
    *,
    customers: int,
    seed: int,
    days: int = 365,
    later: float = 26.0,
    spend: tuple[float, float, float] = (6.25, 3.74, 15.45),
    whole_days: bool = True,
) -> Shop:
    """Customers who start evenly over the first half of `days`, observed to its end and `later` weeks on.

    Times are continuous in the process; with `whole_days` observed ones are rounded to days, as dates are (the number
    of orders stays, two on a day remain two).
    """
    draw = np.random.default_rng(seed)
    T = (days - draw.integers(0, days // 2, customers)) / 7  # noqa: N806
    rate = draw.gamma(parameters[0], 1 / parameters[1], customers)
    if model == "pareto_nbd":
        gone_at = draw.exponential(1 / draw.gamma(parameters[2], 1 / parameters[3], customers))
        leave = np.zeros(customers)
    else:
        leave = draw.beta(parameters[2], parameters[3], customers)
        gone_at = np.full(customers, np.inf)
        if model == "mbg_nbd":
            gone_at[draw.random(customers) < leave] = 0.0
    x, later_orders = np.zeros(customers, np.int64), np.zeros(customers, np.int64)
    t_x, to_next, now = np.zeros(customers), np.full(customers, np.nan), np.zeros(customers)
    open_ = np.arange(customers)
    while open_.size:
        now[open_] += draw.exponential(1, open_.size) / np.maximum(rate[open_], 1e-300)
        open_ = open_[(now[open_] <= T[open_] + later) & (now[open_] < gone_at[open_])]
        known = now[open_] <= T[open_]
        x[open_[known]] += 1
        t_x[open_[known]] = now[open_[known]]
        after = open_[~known]
        first = after[later_orders[after] == 0]
        to_next[first] = now[first] - T[first]
        later_orders[after] += 1
        leaving = draw.random(open_.size) < leave[open_]
        gone_at[open_[leaving]] = now[open_[leaving]]
    p, q, v = spend
    nu = draw.gamma(q, 1 / v, customers)
    with np.errstate(invalid="ignore"):
        mean_spend = np.where(x > 0, draw.gamma(p * np.maximum(x, 1)) / nu / np.maximum(x, 1), np.nan)
        later_revenue = np.where(later_orders > 0, draw.gamma(p * np.maximum(later_orders, 1)) / nu, 0.0)
    if whole_days:
        t_x = np.minimum(np.round(t_x * 7) / 7, T)
    return Shop(x, t_x, T, mean_spend, gone_at > T, later_orders, later_revenue, to_next)

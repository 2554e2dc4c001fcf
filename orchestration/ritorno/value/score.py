"""What the fitted models say of each customer: will he order again, when next, how often, for how much."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ritorno.value.fit import distinct_rows
from ritorno.value.models import Counts, Floats, GammaGamma, OrderModel, observations

DAYS_A_WEEK = 7.0
INTERVAL = (0.1, 0.5, 0.9)
MAX_DAYS = 36_500
"""A next order a hundred years ahead or later is said to be a hundred years ahead: no calendar shows more."""


@dataclass(frozen=True)
class Scores:
    """Per customer; every array has the customers' length.

    Attributes:
        p_alive: probability that he has not left for good.
        orders_90d: expected order days in the next 90 days.
        orders_365d: the same for 365 days.
        discounted_orders_365d: the same, each discounted to today.
        order_value: expected worth of a coming order day; None without a usable spend model.
        value_365d: discounted_orders_365d × order_value; None likewise.
        next_order_days: days to the next order day, whole and ≥ 1, shape (3, n): the 10 %, 50 % and 90 % quantiles
            of a customer who is alive (and orders again before leaving).
    """

    p_alive: Floats
    orders_90d: Floats
    orders_365d: Floats
    discounted_orders_365d: Floats
    order_value: Floats | None
    value_365d: Floats | None
    next_order_days: Counts


def whole_days(weeks: Floats) -> Counts:
    """The day on which a moment that many weeks ahead falls: at least 1 (tomorrow), at most MAX_DAYS."""
    return np.ceil(np.clip(weeks * DAYS_A_WEEK, 1, MAX_DAYS)).astype(np.int64)


def score(
    orders: OrderModel,
    spend: GammaGamma | None,
    x: ArrayLike,
    t_x: ArrayLike,
    T: ArrayLike,  # noqa: N803
    mean_spend: ArrayLike,
    annual_rate: float,
) -> Scores:
    """Score customers. Everything but P(alive) depends on (x, T) only and is computed once per distinct pair.

    Args:
        orders: the fitted order model.
        spend: the fitted spend model, or None: then no value.
        x: repeat order days.
        t_x: weeks from the first to the last order day.
        T: weeks from the first order day to today.
        mean_spend: mean worth of the repeat order days; ignored where x is 0.
        annual_rate: discount rate a year.
    """
    repeats, last, end = observations(x, t_x, T)
    row, first, _ = distinct_rows(repeats, end)
    some_x, some_end = repeats[first], end[first]
    year = 365 / DAYS_A_WEEK
    orders_90d = orders.expected_orders_if_alive(some_x, some_end, 90 / DAYS_A_WEEK)
    orders_365d = orders.expected_orders_if_alive(some_x, some_end, year)
    discounted = orders.discounted_orders_if_alive(some_x, some_end, year, annual_rate, orders_365d)
    days = whole_days(orders.next_order_quantiles(some_x, some_end, INTERVAL))
    alive = orders.p_alive(repeats, last, end)
    order_value = spend.expected_spend(repeats, mean_spend) if spend else None
    discounted_orders = alive * discounted[row]
    return Scores(
        p_alive=alive,
        orders_90d=alive * orders_90d[row],
        orders_365d=alive * orders_365d[row],
        discounted_orders_365d=discounted_orders,
        order_value=order_value,
        value_365d=None if order_value is None else discounted_orders * order_value,
        next_order_days=days[:, row],
    )

"""Buy-till-you-die models of repeat orders, and the Gamma-Gamma model of what an order is worth.

Notation, the same everywhere: `x` repeat order days (order days after the first), `t_x` weeks from the first to the
last order day (0 when x = 0), `T` weeks from the first order day to the end of observation, `t` weeks after that.
Arrays are one-dimensional and of equal length, x integer ≥ 0, 0 ≤ t_x ≤ T; a ValueError says which rule was broken.

All three order models say: while alive, a customer orders as a Poisson process with a rate λ of his own, Gamma(r, α)
over customers. They differ in how one leaves for good:

- BG/NBD (Fader, Hardie & Lee 2005, "Counting your customers the easy way", Marketing Science 24:275): after each
  *repeat* order with probability p ~ Beta(a, b). So one who never ordered again can't have left: P(alive) = 1 for
  x = 0. A trap: never a churn score.
- MBG/NBD (Batislam, Denizel & Filiztekin 2007, IJRM 24:201; Hoppe & Wagner 2007, Marketing JRM 3:75): also after the
  first order.
- Pareto/NBD (Schmittlein, Morrison & Colombo 1987, Management Science 33:1): at any time, with a hazard
  μ ~ Gamma(s, β).

Numerics. The textbook formulas are differences of hypergeometric functions 2F1 that cancel or overflow for busy
customers (x of some hundreds) and have removable singularities at a = 1 and s = 1. The same quantities are integrals
of positive smooth functions, which Gauss quadrature evaluates without either. `tests/value` compares them with the 2F1
forms where these are good (equal to 1e-9), and with adaptive integration where they aren't (1e-6 at the very worst: a
horizon of years for one with 300 orders in four weeks).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, fields
from functools import lru_cache
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh_tridiagonal
from scipy.special import betaln, expit, exprel, gammaln, psi

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

_NODES = 32
_MANY_NODES = 256
_STEEP = 300.0
"""Orders expected in the horizon of one who never leaves; beyond, 32 nodes are off (0.3 % at 1,000, 20 % at 10,000)."""
_CHUNK = 16_384
"""Rows × nodes of a chunk stay in the processor's cache; larger ones are slower and take gigabytes."""
_NEGLIGIBLE = 40.0
"""e^-40 of the integrand's maximum is nothing in double precision."""
_GRID = 256


def counts(values: ArrayLike) -> Counts:
    """Repeat orders as integers; refuses fractions and negative numbers."""
    given = np.asarray(values)
    whole = given.astype(np.int64)
    if given.ndim != 1 or (given != whole).any() or (whole < 0).any():
        raise ValueError("x must be a one-dimensional array of whole numbers ≥ 0")
    return whole


def observations(x: ArrayLike, t_x: ArrayLike, T: ArrayLike) -> tuple[Counts, Floats, Floats]:  # noqa: N803
    """Checked arrays (x, t_x, T).

    Raises:
        ValueError: different lengths, x negative or fractional, not 0 ≤ t_x ≤ T < ∞, or t_x > 0 without a repeat.
    """
    repeats, last, end = counts(x), np.asarray(t_x, dtype=np.float64), np.asarray(T, dtype=np.float64)
    if not repeats.shape == last.shape == end.shape:
        raise ValueError(f"x, t_x and T must be equally long, not {repeats.shape}, {last.shape}, {end.shape}")
    if not (np.isfinite(end).all() and (last >= 0).all() and (last <= end).all()):
        raise ValueError("0 ≤ t_x ≤ T < ∞ must hold in every row")
    if (last[repeats == 0] != 0).any():
        raise ValueError("t_x must be 0 where x is 0: without a repeat order there is no time of it")
    return repeats, last, end


def _by_count(function: Callable[[Floats], Floats], x: Counts) -> Floats:
    """function(x), evaluated once per count: gamma functions are the dear part, and few counts are distinct."""
    if x.size == 0:
        return np.empty(0)
    return function(np.arange(int(x.max()) + 1, dtype=np.float64))[x]


def _chunks(size: int, nodes: int = _NODES) -> Iterator[slice]:
    rows = _CHUNK * _NODES // nodes
    for start in range(0, size, rows):
        yield slice(start, min(start + rows, size))


_LEGENDRE_X, _LEGENDRE_W = np.polynomial.legendre.leggauss(_NODES)
_LEGENDRE_X, _LEGENDRE_W = (_LEGENDRE_X + 1) / 2, _LEGENDRE_W / 2  # on [0, 1]
_DISCOUNT_X, _DISCOUNT_W = np.polynomial.legendre.leggauss(5)
_DISCOUNT_X, _DISCOUNT_W = (_DISCOUNT_X + 1) / 2, _DISCOUNT_W / 2


@lru_cache(maxsize=4)  # seven horizons ask for the same nodes
def _beta_nodes(a: float, b: float, added: tuple[int, ...], count: int) -> tuple[Floats, Floats]:
    """Gauss nodes and weights, shape (len(added), count), for expectations over Beta(a, b + added).

    Golub & Welsch: the nodes are the eigenvalues of the Jacobi matrix, the weights the squared first components of its
    eigenvectors. The matrix is bounded for every a, b > 0: no gamma function can overflow.
    """
    left = a - 1  # exponent of p
    right = np.array(added, dtype=np.float64)[:, None] + b - 1  # exponent of 1 − p
    total = left + right
    # recurrence of the Jacobi polynomials on [−1, 1] with weight (1−y)^right (1+y)^left; its first terms apart,
    # where the general form is 0/0 for left + right of 0 or −1
    k = np.arange(1, count, dtype=np.float64)
    diagonal = np.concatenate(
        [(left - right) / (total + 2), (left**2 - right**2) / ((2 * k + total) * (2 * k + total + 2))], axis=1
    )
    j = k[1:]
    products = 4 * j * (j + left) * (j + right) * (j + total)
    squares = products / ((2 * j + total) ** 2 * (2 * j + total + 1) * (2 * j + total - 1))
    first = 4 * (1 + left) * (1 + right) / ((2 + total) ** 2 * (3 + total))
    beside = np.sqrt(np.concatenate([first, squares], axis=1))
    nodes, weights = np.empty_like(diagonal), np.empty_like(diagonal)
    for row in range(len(added)):  # not one batched eigh: its BLAS threads spin for seconds on a busy machine
        roots, vectors = eigh_tridiagonal(diagonal[row], beside[row])
        nodes[row], weights[row] = np.clip((roots + 1) / 2, 1e-14, 1.0), vectors[0] ** 2
    return nodes, weights


@dataclass(frozen=True)
class OrderModel(ABC):
    """An order model with its parameters (all > 0; times in weeks)."""

    name: ClassVar[str]

    def __post_init__(self) -> None:
        if not all(np.isfinite(value) and value > 0 for value in astuple(self)):
            raise ValueError(f"parameters must be positive and finite: {self}")

    @classmethod
    def parameter_names(cls) -> tuple[str, ...]:
        """The parameters' names, in order."""
        return tuple(field.name for field in fields(cls))

    @property
    def values(self) -> Floats:
        """The parameters' values, in order."""
        return np.array(astuple(self), dtype=np.float64)

    @classmethod
    def of(cls, values: ArrayLike) -> Self:
        """A model from parameter values in order."""
        return cls(*(float(value) for value in np.asarray(values)))

    @abstractmethod
    def log_likelihood_terms(self, x: Counts, t_x: Floats, T: Floats) -> tuple[Floats, Floats]:  # noqa: N803
        """Log-likelihood of each row, shape (n,), and its derivative by each parameter, shape (parameters, n)."""

    @abstractmethod
    def p_alive(self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike) -> Floats:  # noqa: N803
        """Probability that the customer has not left by T."""

    @abstractmethod
    def expected_orders_if_alive(self, x: ArrayLike, T: ArrayLike, t: float) -> Floats:  # noqa: N803
        """Expected order days in (T, T + t] of a customer who is alive at T. Depends on (x, T) only."""

    @abstractmethod
    def next_order_cdf_if_alive(self, x: ArrayLike, T: ArrayLike, t: ArrayLike) -> Floats:  # noqa: N803
        """P(an order in (T, T + t]) of a customer alive at T; `t` is a number or one per row."""

    @abstractmethod
    def next_order_quantiles(self, x: ArrayLike, T: ArrayLike, q: ArrayLike) -> Floats:  # noqa: N803
        """Weeks from T to the next order, quantiles `q` (shape (k,)); result has shape (k, n).

        Of a customer who is alive at T and orders again before leaving. Under BG/NBD and MBG/NBD the second follows
        from the first (one leaves only at an order); under Pareto/NBD it doesn't, and is conditioned on.
        """

    def log_likelihood(self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike) -> Floats:  # noqa: N803
        """Log-likelihood of each customer."""
        return self.log_likelihood_terms(*observations(x, t_x, T))[0]

    def expected_orders(self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike, t: float) -> Floats:  # noqa: N803
        """Expected order days in (T, T + t] given the customer's history."""
        return self.p_alive(x, t_x, T) * self.expected_orders_if_alive(x, T, t)

    def probability_of_order(self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike, t: float) -> Floats:  # noqa: N803
        """P(at least one order day in (T, T + t]) given the customer's history."""
        return self.p_alive(x, t_x, T) * self.next_order_cdf_if_alive(x, T, t)

    def discounted_orders_if_alive(
        self,
        x: ArrayLike,
        T: ArrayLike,  # noqa: N803
        t: float,
        annual_rate: float,
        undiscounted: Floats | None = None,
    ) -> Floats:
        """Expected order days in (T, T + t], each discounted to T at `annual_rate` (0.10 = 10 % a year).

        ∫ e^(−δu) dE(u) = e^(−δt) E(t) + δ ∫ E(u) e^(−δu) du by parts, with δ = ln(1 + annual_rate) per year. The
        integral is a correction of some per cent to a smooth function: five Gauss nodes give it to 1e-6.

        Args:
            x: repeat order days.
            T: weeks observed.
            t: horizon in weeks.
            annual_rate: discount rate a year, > −1.
            undiscounted: E(t) when the caller has it already.

        Raises:
            ValueError: a rate of −100 % or less.
        """
        if annual_rate <= -1:
            raise ValueError(f"annual_rate must be above -1, not {annual_rate}")
        end = self.expected_orders_if_alive(x, T, t) if undiscounted is None else undiscounted
        delta = float(np.log1p(annual_rate)) * 7 / 365
        if delta == 0:
            return end
        total = np.exp(-delta * t) * end
        for node, weight in zip(_DISCOUNT_X * t, _DISCOUNT_W * t, strict=True):
            total = total + delta * weight * np.exp(-delta * node) * self.expected_orders_if_alive(x, T, node)
        return np.asarray(total, dtype=np.float64)


@dataclass(frozen=True)
class _BetaGeometric(OrderModel):
    """What BG/NBD and MBG/NBD share: leaving happens at an order, with probability p ~ Beta(a, b)."""

    r: float
    alpha: float
    a: float
    b: float

    _first_order_counts: ClassVar[int]
    """1 if a customer may leave at the first order already."""

    def _log_odds_gone(self, x: Counts, t_x: Floats, T: Floats) -> Floats:  # noqa: N803
        """Log of P(gone) / P(alive); −∞ where no chance to leave has been yet."""
        n = x + self._first_order_counts
        ratio = np.log1p((T - t_x) / (self.alpha + t_x))
        with np.errstate(divide="ignore", invalid="ignore"):
            odds = _by_count(lambda k: np.log(self.a) - np.log(self.b + k + self._first_order_counts - 1), x)
        return np.where(n > 0, odds + (self.r + x) * ratio, -np.inf)

    def log_likelihood_terms(self, x: Counts, t_x: Floats, T: Floats) -> tuple[Floats, Floats]:  # noqa: N803
        """See OrderModel. Per customer: Γ(r+x)/Γ(r) · α^r · B(a,b+n)/B(a,b) · (α+T)^−(r+x) · (1 + odds gone)."""
        r, alpha, a, b, shift = self.r, self.alpha, self.a, self.b, self._first_order_counts
        log_end, log_last = np.log(alpha + T), np.log(alpha + t_x)
        z = self._log_odds_gone(x, t_x, T)
        gone = expit(z)
        by_count = _by_count(
            lambda k: gammaln(r + k) - gammaln(r) + r * np.log(alpha) + betaln(a, b + k + shift) - betaln(a, b), x
        )
        value = by_count - (r + x) * log_end + np.logaddexp(0, z)
        d_r = _by_count(lambda k: psi(r + k) - psi(r) + np.log(alpha), x) - log_end + gone * (log_end - log_last)
        d_alpha = r / alpha - (r + x) * ((1 - gone) / (alpha + T) + gone / (alpha + t_x))
        d_a = _by_count(lambda k: psi(a + b) - psi(a + b + k + shift), x) + gone / a
        d_b = _by_count(lambda k: psi(a + b) - psi(a + b + k + shift) + psi(b + k + shift) - psi(b), x)
        d_b = d_b - np.where(x + shift > 0, gone / np.maximum(b + x + shift - 1, 1e-300), 0.0)
        return value, np.stack([d_r, d_alpha, d_a, d_b])

    def p_alive(self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike) -> Floats:  # noqa: N803
        """See OrderModel."""
        return np.asarray(expit(-self._log_odds_gone(*observations(x, t_x, T))), dtype=np.float64)

    def _leaving_nodes(self, x: Counts, count: int) -> tuple[Floats, Floats, NDArray[np.intp]]:
        """Gauss nodes and weights for p ~ Beta(a, b + n), per distinct x, and each row's index into them."""
        distinct, index = np.unique(x, return_inverse=True)
        return *_beta_nodes(self.a, self.b + self._first_order_counts, tuple(distinct.tolist()), count), index

    def expected_orders_if_alive(self, x: ArrayLike, T: ArrayLike, t: float) -> Floats:  # noqa: N803
        """See OrderModel: E[(1 − e^(−λpt)) / p], λ ~ Gamma(r+x, α+T) in closed form, p ~ Beta(a, b+n) by Gauss.

        Equals the papers' (a+b+n−1)/(a−1) · [1 − ((α+T)/(α+T+t))^(r+x) · 2F1(r+x, b+n; a+b+n−1; t/(α+T+t))], without
        its singularity at a = 1.
        """
        repeats, end = counts(x), np.asarray(T, dtype=np.float64)
        result = np.zeros(repeats.size)
        if repeats.size == 0 or t == 0:
            return result
        steep = (self.r + repeats) * t > _STEEP * (self.alpha + end)
        for rows, nodes in ((~steep, _NODES), (steep, _MANY_NODES)):
            if rows.any():
                result[rows] = self._orders_until_leaving(repeats[rows], end[rows], t, nodes)
        return result

    def _orders_until_leaving(self, x: Counts, T: Floats, t: float, count: int) -> Floats:  # noqa: N803
        result = np.empty(x.size)
        nodes, weights, index = self._leaving_nodes(x, count)
        weights = weights / nodes
        for part in _chunks(x.size, count):
            rows = index[part]
            shape, rate = (self.r + x[part])[:, None], (self.alpha + T[part])[:, None]
            left = -np.expm1(-shape * np.log1p(nodes[rows] * (t / rate)))
            result[part] = np.einsum("ij,ij->i", left, weights[rows])
        return result

    def next_order_cdf_if_alive(self, x: ArrayLike, T: ArrayLike, t: ArrayLike) -> Floats:  # noqa: N803
        """See OrderModel: Lomax, 1 − ((α+T)/(α+T+t))^(r+x)."""
        hazard = (self.r + counts(x)) * np.log1p(np.asarray(t) / (self.alpha + np.asarray(T, dtype=np.float64)))
        return np.asarray(-np.expm1(-hazard), dtype=np.float64)

    def next_order_quantiles(self, x: ArrayLike, T: ArrayLike, q: ArrayLike) -> Floats:  # noqa: N803
        """See OrderModel: the Lomax distribution's quantiles, (α+T)((1−q)^(−1/(r+x)) − 1), in closed form."""
        level = -np.log1p(-np.asarray(q, dtype=np.float64))[:, None]
        with np.errstate(over="ignore"):  # r near 0 and no repeat: beyond any date, and capped as such
            return np.asarray(
                (self.alpha + np.asarray(T, dtype=np.float64)) * np.expm1(level / (self.r + counts(x))),
                dtype=np.float64,
            )


class BGNBD(_BetaGeometric):
    """BG/NBD: a customer may leave after each repeat order. P(alive) = 1 for x = 0: the trap."""

    name = "bg_nbd"
    _first_order_counts = 0


class MBGNBD(_BetaGeometric):
    """MBG/NBD: a customer may leave after every order, the first included."""

    name = "mbg_nbd"
    _first_order_counts = 1


@dataclass(frozen=True)
class ParetoNBD(OrderModel):
    """Pareto/NBD: a customer may leave at any time, hazard μ ~ Gamma(s, β)."""

    name = "pareto_nbd"

    r: float
    alpha: float
    s: float
    beta: float

    def _gone_integral(self, x: Counts, t_x: Floats, T: Floats) -> tuple[Floats, Floats]:  # noqa: N803
        """Log of I = ∫ over [t_x, T] of f(t) = (α+t)^−(r+x) (β+t)^−(s+1) dt, and −∂I/∂(r,α,s,β)/I, shape (4, n).

        In v = log(min(α, β) + t) the integrand is smooth at every scale; the part beyond t where it is e^-40 of its
        start is dropped, so busy customers keep their nodes where the mass is. The papers' A0 = (r+s+x)·I.
        """
        r, alpha, s, beta = self.r, self.alpha, self.s, self.beta
        low = min(alpha, beta)
        log_value, slopes = np.full(x.size, -np.inf), np.zeros((4, x.size))
        for part in _chunks(x.size):
            shape, start = r + x[part], t_x[part]
            stop = np.minimum(T[part], (alpha + start) * np.exp(np.minimum(_NEGLIGIBLE / shape, 700.0)) - alpha)
            width = np.log1p(np.maximum(stop - start, 0.0) / (low + start))
            t = (low + start)[:, None] * np.exp(width[:, None] * _LEGENDRE_X) - low
            log_alpha, log_beta = np.log(alpha + t), np.log(beta + t)
            log_f = -shape[:, None] * log_alpha - (s + 1) * log_beta + np.log(low + t)
            top = log_f.max(axis=1)
            f = np.exp(log_f - top[:, None]) * _LEGENDRE_W
            mass = f.sum(axis=1)
            with np.errstate(divide="ignore"):
                log_value[part] = top + np.log(mass) + np.log(width)
            slopes[0, part] = (f * log_alpha).sum(axis=1) / mass
            slopes[1, part] = shape * (f / (alpha + t)).sum(axis=1) / mass
            slopes[2, part] = (f * log_beta).sum(axis=1) / mass
            slopes[3, part] = (s + 1) * (f / (beta + t)).sum(axis=1) / mass
        return log_value, slopes

    def log_likelihood_terms(self, x: Counts, t_x: Floats, T: Floats) -> tuple[Floats, Floats]:  # noqa: N803
        """See OrderModel. Per customer Γ(r+x)/Γ(r) · α^r β^s · {(α+T)^−(r+x) (β+T)^−s + s·I}."""
        r, alpha, s, beta = self.r, self.alpha, self.s, self.beta
        log_end, log_end_beta = np.log(alpha + T), np.log(beta + T)
        log_alive = -(r + x) * log_end - s * log_end_beta
        log_integral, slopes = self._gone_integral(x, t_x, T)
        log_gone = np.log(s) + log_integral
        log_sum = np.logaddexp(log_alive, log_gone)
        alive, gone = np.exp(log_alive - log_sum), np.exp(log_gone - log_sum)
        fixed = _by_count(lambda k: gammaln(r + k) - gammaln(r), x) + r * np.log(alpha) + s * np.log(beta)
        d_r = _by_count(lambda k: psi(r + k) - psi(r), x) + np.log(alpha) - alive * log_end - gone * slopes[0]
        d_alpha = r / alpha - alive * (r + x) / (alpha + T) - gone * slopes[1]
        d_s = np.log(beta) - alive * log_end_beta + gone * (1 / s - slopes[2])
        d_beta = s / beta - alive * s / (beta + T) - gone * slopes[3]
        return fixed + log_sum, np.stack([d_r, d_alpha, d_s, d_beta])

    def p_alive(self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike) -> Floats:  # noqa: N803
        """See OrderModel."""
        repeats, last, end = observations(x, t_x, T)
        log_alive = -(self.r + repeats) * np.log(self.alpha + end) - self.s * np.log(self.beta + end)
        odds = log_alive - np.log(self.s) - self._gone_integral(repeats, last, end)[0]
        return np.asarray(expit(odds), dtype=np.float64)

    def expected_orders_if_alive(self, x: ArrayLike, T: ArrayLike, t: float) -> Floats:  # noqa: N803
        """See OrderModel: (r+x)/(α+T) · (β+T)/(s−1) · [1 − ((β+T)/(β+T+t))^(s−1)], continuous through s = 1."""
        end = np.asarray(T, dtype=np.float64)
        log_growth = np.log1p(t / (self.beta + end))
        weeks = (self.beta + end) * log_growth * exprel(-(self.s - 1) * log_growth)
        return np.asarray((self.r + counts(x)) / (self.alpha + end) * weeks, dtype=np.float64)

    def _next_order_survival(self, x: Counts, T: Floats, upper: Floats, points: Floats) -> Floats:  # noqa: N803
        """∫ over Lomax survival w from 1 − points·upper to 1 of the probability of still being alive then.

        w = ((α+T)/(α+T+u))^(r+x) is uniform for the next order of a customer who can't leave; being alive at u then
        weighs it with ((β+T)/(β+T+u))^s. Cumulated by the midpoint rule on `points`, shape (n, len(points) − 1).
        """
        middle = 1 - upper[:, None] * (points[1:] + points[:-1]) / 2
        u = (self.alpha + T)[:, None] * np.expm1(-np.log(middle) / (self.r + x)[:, None])
        alive = np.exp(-self.s * np.log1p(u / (self.beta + T)[:, None]))
        return np.asarray(np.cumsum(alive * np.diff(points), axis=1) * upper[:, None], dtype=np.float64)

    def next_order_cdf_if_alive(self, x: ArrayLike, T: ArrayLike, t: ArrayLike) -> Floats:  # noqa: N803
        """See OrderModel; P(order before leaving and within t), numerically."""
        repeats, end = counts(x), np.asarray(T, dtype=np.float64)
        weeks = np.broadcast_to(np.asarray(t, dtype=np.float64), repeats.shape)
        upper = -np.expm1(-(self.r + repeats) * np.log1p(weeks / (self.alpha + end)))
        grid = np.linspace(0, 1, _GRID + 1)
        result = np.empty(repeats.size)
        for part in _chunks(repeats.size):
            result[part] = self._next_order_survival(repeats[part], end[part], upper[part], grid)[:, -1]
        return result

    def next_order_quantiles(self, x: ArrayLike, T: ArrayLike, q: ArrayLike) -> Floats:  # noqa: N803
        """See OrderModel: the cumulated distribution on a grid of the Lomax survival, inverted by interpolation."""
        repeats, end = counts(x), np.asarray(T, dtype=np.float64)
        levels = np.asarray(q, dtype=np.float64)
        grid = 1 - (1 - np.linspace(0, 1, _GRID + 1)) ** 2  # finer towards the long tail
        result = np.empty((levels.size, repeats.size))
        for part in _chunks(repeats.size):
            shape, rate = self.r + repeats[part], self.alpha + end[part]
            mass = self._next_order_survival(repeats[part], end[part], np.ones(shape.size), grid)
            for number, level in enumerate(levels):
                target = level * mass[:, -1]
                place = (mass < target[:, None]).sum(axis=1).clip(max=_GRID - 1)
                rows = np.arange(shape.size)
                above, below = mass[rows, place], np.where(place > 0, mass[rows, place - 1], 0.0)
                share = (target - below) / np.maximum(above - below, 1e-300)
                w = 1 - (grid[place] + share * (grid[place + 1] - grid[place]))
                result[number, part] = rate * np.expm1(-np.log(np.maximum(w, 1e-12)) / shape)
        return result


@dataclass(frozen=True)
class GammaGamma:
    """Gamma-Gamma: what an order day is worth (Fader & Hardie 2013, "The Gamma-Gamma model of monetary value").

    A customer's order days are worth Gamma(p, ν) each, ν ~ Gamma(q, v) over customers, independent of how often he
    orders. Unit: the money's. `x` counts the repeat order days whose mean is `mean_spend`.
    """

    p: float
    q: float
    v: float

    def __post_init__(self) -> None:
        if not all(np.isfinite(value) and value > 0 for value in astuple(self)):
            raise ValueError(f"parameters must be positive and finite: {self}")

    def log_likelihood_terms(self, x: Counts, mean_spend: Floats) -> tuple[Floats, Floats]:
        """Log-likelihood of each customer (x ≥ 1, mean_spend > 0), shape (n,), and derivatives by p, q, v, (3, n)."""
        p, q, v = self.p, self.q, self.v
        k = np.maximum(x, 1)
        log_x, log_z, log_sum = np.log(k), np.log(mean_spend), np.log(v + k * mean_spend)
        fixed = _by_count(lambda n: gammaln(p * n + q) - gammaln(np.maximum(p * n, 1e-300)), k) - gammaln(q)
        value = fixed + q * np.log(v) + (p * k - 1) * log_z + p * k * log_x - (p * k + q) * log_sum
        psi_sum = _by_count(lambda n: psi(p * n + q), k)
        d_p = k * (psi_sum - _by_count(lambda n: psi(np.maximum(p * n, 1e-300)), k) + log_z + log_x - log_sum)
        d_q = psi_sum - psi(q) + np.log(v) - log_sum
        d_v = q / v - (p * k + q) / np.exp(log_sum)
        return value, np.stack([d_p, d_q, d_v])

    def log_likelihood(self, x: ArrayLike, mean_spend: ArrayLike) -> Floats:
        """Log-likelihood of each customer.

        Raises:
            ValueError: a customer without a repeat order day, or with a mean that isn't positive.
        """
        repeats, spend = counts(x), np.asarray(mean_spend, dtype=np.float64)
        if (repeats < 1).any() or not (spend > 0).all():
            raise ValueError("Gamma-Gamma needs x ≥ 1 and mean spend > 0")
        return self.log_likelihood_terms(repeats, spend)[0]

    def expected_spend(self, x: ArrayLike, mean_spend: ArrayLike) -> Floats:
        """Expected worth of a coming order day: p (v + x·mean) / (p·x + q − 1).

        A mean that is negative or missing counts as 0 spent; with x = 0 it is the population's mean p·v/(q−1).

        Raises:
            ValueError: q ≤ 1, where the population's mean is infinite.
        """
        if self.q <= 1:
            raise ValueError(f"the expected spend is infinite for q = {self.q} ≤ 1")
        repeats = counts(x)
        spend = np.maximum(np.nan_to_num(np.asarray(mean_spend, dtype=np.float64)), 0.0)
        return np.asarray(self.p * (self.v + repeats * spend) / (self.p * repeats + self.q - 1), dtype=np.float64)


ORDER_MODELS: dict[str, type[OrderModel]] = {model.name: model for model in (MBGNBD, BGNBD, ParetoNBD)}
"""Order models by the name that the var `value_model` takes."""

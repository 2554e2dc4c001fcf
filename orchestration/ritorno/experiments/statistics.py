"""The formulas: pure functions of counts, means and centred sums of squares; each names its source.

Nothing here draws random numbers, so the same data gives the same figures. Distributions are those of scipy.special
(scipy.stats is the same functions behind a second of imports).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

ALWAYS_VALID_EVENTS = 50
"""Tuning of the always-valid boundary: it is narrowest at some eight times as many converters. Any value is valid."""
MIN_EXPECTED = 5.0
"""Fewer expected in a cell of the two-by-two table, and neither z nor χ² may be read (Cochran 1954, Biometrics 10)."""


@dataclass(frozen=True)
class Sample:
    """Amounts of n people: their mean, and Σ (x − mean)²."""

    n: int
    mean: float
    squares: float

    @property
    def variance(self) -> float:
        """Unbiased; NaN for fewer than two people."""
        return self.squares / (self.n - 1) if self.n > 1 else math.nan


@dataclass(frozen=True)
class Estimate:
    """A difference with its interval and the p-value of no difference."""

    difference: float
    low: float
    high: float
    p_value: float


def pooled_z(converters: int, people: int, base_converters: int, base_people: int) -> float:
    """z of two proportions, with the variance pooled as it is if there is no difference.

    Fleiss, Levin & Paik 2003, Statistical Methods for Rates and Proportions, 3rd ed., p. 54 (without the continuity
    correction). NaN where nobody or everybody converted: then nothing speaks for or against.
    """
    if not people or not base_people:
        return math.nan
    pooled = (converters + base_converters) / (people + base_people)
    variance = pooled * (1 - pooled) * (1 / people + 1 / base_people)
    if variance <= 0:
        return math.nan
    return (converters / people - base_converters / base_people) / math.sqrt(variance)


def two_sided(z: float) -> float:
    """P(|Z| ≥ |z|) of a standard normal Z."""
    return float(2 * special.ndtr(-abs(z)))


def wilson(converters: int, people: int, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927, JASA 22, p. 209–212)."""
    z = float(-special.ndtri((1 - confidence) / 2))
    share = converters / people
    centre = (share + z * z / (2 * people)) / (1 + z * z / people)
    half = z / (1 + z * z / people) * math.sqrt(share * (1 - share) / people + z * z / (4 * people * people))
    low = 0.0 if converters == 0 else max(centre - half, 0.0)
    high = 1.0 if converters == people else min(centre + half, 1.0)
    return low, high


def newcombe(
    converters: int, people: int, base_converters: int, base_people: int, confidence: float
) -> tuple[float, float]:
    """Interval of the difference of two proportions, from the Wilson interval of each.

    Newcombe 1998, Statistics in Medicine 17, p. 873–890, method 10: holds its level for few people and shares near 0,
    where Wald's is too short.
    """
    share, base = converters / people, base_converters / base_people
    low, high = wilson(converters, people, confidence)
    base_low, base_high = wilson(base_converters, base_people, confidence)
    return (
        share - base - math.hypot(share - low, base_high - base),
        share - base + math.hypot(high - share, base - base_low),
    )


def conversion_fixed(
    converters: int, people: int, base_converters: int, base_people: int, confidence: float
) -> Estimate:
    """Pooled z test with Newcombe's interval: for one look, at the end."""
    low, high = newcombe(converters, people, base_converters, base_people, confidence)
    z = pooled_z(converters, people, base_converters, base_people)
    return Estimate(converters / people - base_converters / base_people, low, high, two_sided(z))


def welch(sample: Sample, base: Sample, confidence: float) -> Estimate:
    """Difference of means without assuming equal variances.

    Welch 1947, Biometrika 34, p. 28–35; degrees of freedom by Satterthwaite 1946, Biometrics Bulletin 2, p. 110–114.
    """
    difference = sample.mean - base.mean
    if sample.n < 2 or base.n < 2:
        return Estimate(difference, math.nan, math.nan, math.nan)
    part, base_part = sample.variance / sample.n, base.variance / base.n
    error = math.sqrt(part + base_part)
    if error == 0:
        return Estimate(difference, math.nan, math.nan, math.nan)
    freedom = (part + base_part) ** 2 / (part**2 / (sample.n - 1) + base_part**2 / (base.n - 1))
    half = float(-special.stdtrit(freedom, (1 - confidence) / 2)) * error
    p_value = float(2 * special.stdtr(freedom, -abs(difference) / error))
    return Estimate(difference, difference - half, difference + half, p_value)


def theta(cross: Sequence[float], squares: Sequence[float]) -> float:
    """CUPED's coefficient: covariance of spend with spend before, over the variance of spend before, within arms.

    Deng, Xu, Kohavi & Walker 2013, WSDM, p. 123–132, eq. 4. Each arm's sums are centred at its own means, so that an
    effect on spend does not enter. 0 where nobody spent anything before, which leaves spend as it is.
    """
    total = math.fsum(squares)
    return math.fsum(cross) / total if total > 0 else 0.0


def adjusted(spend: Sample, before: Sample, cross: float, coefficient: float) -> Sample:
    """Spend less `coefficient` × spend before: the same expected difference between arms, and less noise."""
    squares = spend.squares - 2 * coefficient * cross + coefficient**2 * before.squares
    return Sample(spend.n, spend.mean - coefficient * before.mean, max(squares, 0.0))


def variance_reduction(sample: Sample, base: Sample, adjusted_sample: Sample, adjusted_base: Sample) -> float:
    """Share of the difference's variance that CUPED took away; below 0 if it made it worse."""
    if min(sample.n, base.n) < 2:
        return math.nan
    before = sample.variance / sample.n + base.variance / base.n
    after = adjusted_sample.variance / sample.n + adjusted_base.variance / base.n
    return 1 - after / before if before > 0 else math.nan


def information(converters: int, people: int) -> float:
    """The clock of the always-valid figures: people × odds of having converted.

    The z of "converted by now", seen as people convert, is a Brownian motion over the square root of its time in this
    clock: its correlation between two looks is √(odds then / odds now). Seldom conversions make it their number.
    """
    return converters / (1 - converters / people) if 0 < converters < people else 0.0


def always_valid_multiplier(clock: float, alpha: float) -> float:
    """Standard errors to either side that hold at every look at once with probability 1 − alpha.

    Normal mixture boundary: Robbins 1970, Annals of Mathematical Statistics 41, p. 1397–1409; as asymptotic confidence
    sequence Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024, Annals of Statistics 52, Theorem 2.2; inverted it is
    the mSPRT of Johari, Koomen, Pekelis & Walsh 2022, Operations Research 70. Infinite before the first conversion.
    """
    if clock <= 0:
        return math.inf
    r = clock / ALWAYS_VALID_EVENTS
    return math.sqrt((1 + 1 / r) * (math.log1p(r) - 2 * math.log(alpha)))


def always_valid_p(z: float, clock: float) -> float:
    """The smallest alpha whose boundary |z| has reached now; whenever one stops it is ≤ alpha with chance ≤ alpha."""
    if math.isnan(z) or clock <= 0:
        return 1.0
    r = clock / ALWAYS_VALID_EVENTS
    return min(1.0, math.exp(0.5 * math.log1p(r) - z * z / 2 * r / (1 + r)))


def always_valid(difference: float, error: float, z: float, clock: float, confidence: float) -> Estimate:
    """Interval and p-value of a difference that may be looked at every day."""
    half = always_valid_multiplier(clock, 1 - confidence) * error if error > 0 else math.inf
    if not math.isfinite(half):
        return Estimate(difference, math.nan, math.nan, 1.0)
    return Estimate(difference, difference - half, difference + half, always_valid_p(z, clock))


def conversion_always_valid(
    converters: int, people: int, base_converters: int, base_people: int, confidence: float
) -> Estimate:
    """Difference of two proportions that may be looked at every day."""
    share, base = converters / people, base_converters / base_people
    error = math.sqrt(share * (1 - share) / people + base * (1 - base) / base_people)
    clock = information(converters + base_converters, people + base_people)
    z = pooled_z(converters, people, base_converters, base_people)
    return always_valid(share - base, error, z, clock, confidence)


def mean_always_valid(sample: Sample, base: Sample, clock: float, confidence: float) -> Estimate:
    """Difference of two means that may be looked at every day; the clock is that of the conversions."""
    difference = sample.mean - base.mean
    if sample.n < 2 or base.n < 2:
        return Estimate(difference, math.nan, math.nan, math.nan)
    error = math.sqrt(sample.variance / sample.n + base.variance / base.n)
    return always_valid(difference, error, difference / error if error > 0 else math.nan, clock, confidence)


_QUANTILES = np.array([1e-15, 1e-9, 1e-6, 1e-4, 1e-3, 0.01, 0.05, 0.1, 0.25, 0.4, 0.5])
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)


def probabilities_best(converters: Sequence[int], people: Sequence[int]) -> list[float]:
    """Probability of each arm to have the highest conversion, from a uniform prior Beta(1, 1) for each.

    ∫ density of the arm × Π distribution functions of the others, by Gauss–Legendre between the arms' quantiles (for
    two arms Miller's closed sum, Evan Miller 2014, "Formulas for Bayesian A/B Testing", which a test compares).
    """
    a = np.array(converters, dtype=np.float64) + 1
    b = np.array(people, dtype=np.float64) - np.array(converters, dtype=np.float64) + 1
    shares = np.concatenate([_QUANTILES, 1 - _QUANTILES[:-1]])
    cuts = np.unique(np.concatenate([[0.0, 1.0], special.betaincinv(a[:, None], b[:, None], shares).ravel()]))
    half = np.diff(cuts) / 2
    x = ((cuts[:-1] + half)[:, None] + half[:, None] * _NODES).ravel()
    weight = (half[:, None] * _WEIGHTS).ravel()
    density = np.exp(
        special.xlogy(a[:, None] - 1, x) + special.xlog1py(b[:, None] - 1, -x) - special.betaln(a, b)[:, None]
    )
    below = special.betainc(a[:, None], b[:, None], x)
    best = [float(np.sum(weight * density[i] * np.prod(np.delete(below, i, axis=0), axis=0))) for i in range(a.size)]
    return [min(max(value, 0.0), 1.0) for value in best]


@dataclass(frozen=True)
class SampleRatio:
    """Were as many people assigned to each arm as planned? p_value is NaN where too few were assigned to say."""

    chi_square: float
    p_value: float


def sample_ratio(assigned: Sequence[int], planned: Sequence[float]) -> SampleRatio:
    """Pearson's χ² of the numbers assigned against the planned shares, k − 1 degrees of freedom.

    Fabijan, Gupchup, Gupta, Omhover, Qin, Vermeer & Dmitriev 2019, KDD, p. 2156–2164. What the plan leaves to nobody
    counts as an arm that nobody is in; somebody in an arm of share 0 is certain to be against the plan.
    """
    observed, shares = [float(n) for n in assigned], list(planned)
    rest = 1 - math.fsum(shares)
    if rest > 1e-6:
        observed, shares = [*observed, 0.0], [*shares, rest]
    total = math.fsum(observed)
    if any(share <= 0 < n for n, share in zip(observed, shares, strict=True)):
        return SampleRatio(math.inf, 0.0)
    cells = [(n, total * share) for n, share in zip(observed, shares, strict=True) if share > 0]
    if len(cells) < 2 or min(expected for _, expected in cells) < MIN_EXPECTED:
        return SampleRatio(math.nan, math.nan)
    chi_square = math.fsum((n - expected) ** 2 / expected for n, expected in cells)
    return SampleRatio(chi_square, float(special.chdtrc(len(cells) - 1, chi_square)))


def minimum_detectable_effect(
    baseline: float, people: int, base_people: int, *, alpha: float, power: float, always_valid_looks: bool
) -> float:
    """The smallest true increase in conversion that the test finds with chance `power`, for these arms.

    Fleiss, Levin & Paik 2003, p. 72: critical value × the pooled error + the power's quantile × the error under the
    effect, solved for the effect. Needs no outcome, so that it can be stated before the end. Looked at every day the
    boundary at the expected number of converters takes the place of the normal quantile: more is found on the way. NaN
    where not even everybody converting would be found.
    """
    if not people or not base_people or not 0 < baseline < 1:
        return math.nan
    both = people + base_people

    def shortfall(effect: float) -> float:
        share = baseline + effect
        pooled = (people * share + base_people * baseline) / both
        critical = float(-special.ndtri(alpha / 2))
        if always_valid_looks:
            critical = always_valid_multiplier(both * pooled / (1 - pooled), alpha)
        null = math.sqrt(pooled * (1 - pooled) * (1 / people + 1 / base_people))
        error = math.sqrt(share * (1 - share) / people + baseline * (1 - baseline) / base_people)
        return critical * null + float(special.ndtri(power)) * error - effect

    most = 1 - baseline
    return float(optimize.brentq(shortfall, 0.0, most)) if shortfall(most) < 0 else math.nan


def is_countable(converters: int, people: int, base_converters: int, base_people: int) -> bool:
    """Does every cell of the two-by-two table expect at least MIN_EXPECTED?"""
    if not people or not base_people:
        return False
    pooled = (converters + base_converters) / (people + base_people)
    return min(people, base_people) * min(pooled, 1 - pooled) >= MIN_EXPECTED

"""The log-rank test and the restricted mean survival time, from counts per group and day."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc


@dataclass(frozen=True)
class Counts:
    """How many of each group had the event, or were last seen without it, on each day.

    Attributes:
        days: ascending, shape (days,).
        events: shape (groups, days).
        censored: shape (groups, days).
    """

    days: NDArray[np.float64]
    events: NDArray[np.float64]
    censored: NDArray[np.float64]

    @property
    def at_risk(self) -> NDArray[np.float64]:
        """Watched for at least that long without the event before, shape (groups, days)."""
        gone: NDArray[np.float64] = (self.events + self.censored)[:, ::-1]
        return np.cumsum(gone, axis=1)[:, ::-1]

    def against_the_others(self, group: int) -> Counts:
        """Two groups: this one, and all others together."""
        return Counts(self.days, _and_others(self.events, group), _and_others(self.censored, group))


def _and_others(counts: NDArray[np.float64], group: int) -> NDArray[np.float64]:
    return np.stack([counts[group], counts.sum(axis=0) - counts[group]])


@dataclass(frozen=True)
class LogRank:
    """A log-rank test; without two comparable groups chi2 and p_value are None.

    Attributes:
        expected: events of each group if all died alike.
        df: groups that can be compared, less one.
    """

    expected: NDArray[np.float64]
    chi2: float | None
    df: int
    p_value: float | None


def log_rank(counts: Counts) -> LogRank:
    """Whether the groups' curves could be one, in the form of Klein & Moeschberger (2003), eq. 7.3.3 to 7.3.7.

    With ties the variance is the hypergeometric one (Mantel 1966).
    """
    happened = counts.events.sum(axis=0) > 0
    at_risk, events = counts.at_risk[:, happened], counts.events[:, happened]
    everyone, deaths = at_risk.sum(axis=0), events.sum(axis=0)
    share = at_risk / everyone
    expected = (share * deaths).sum(axis=1)
    # of one person left there is nothing to compare: the factor is 0 of 0
    spread = deaths * (everyone - deaths) / np.where(everyone > 1, everyone - 1, 1)
    variance = np.diag((share * spread).sum(axis=1)) - (share * spread) @ share.T
    comparable = np.diag(variance) > 1e-12
    covariance = variance[np.ix_(comparable, comparable)]
    df = int(np.linalg.matrix_rank(covariance, hermitian=True)) if comparable.any() else 0
    if df == 0:
        return LogRank(expected, None, 0, None)
    excess = (events.sum(axis=1) - expected)[comparable]
    statistic = float(excess @ np.linalg.pinv(covariance, hermitian=True) @ excess)
    return LogRank(expected, statistic, df, float(chdtrc(df, statistic)))


@dataclass(frozen=True)
class RestrictedMean:
    """Mean time to the event, at most the horizon; days and error are None where the curve ends before it."""

    days: float | None
    std_error: float | None


def restricted_mean(
    days: NDArray[np.float64], events: NDArray[np.float64], censored: NDArray[np.float64], horizon: float
) -> RestrictedMean:
    """The area below one group's Kaplan–Meier curve up to the horizon (Klein & Moeschberger 2003, p. 118).

    Its variance is the sum over event days of (area from there on)² · d / (n (n − d)). A curve that still stands above
    0 when the last one was seen, before the horizon, has no such mean.
    """
    at_risk = np.cumsum((events + censored)[::-1])[::-1]
    seen = at_risk > 0
    days, events, at_risk = days[seen], events[seen], at_risk[seen]
    if not days.size:
        return RestrictedMean(None, None)
    survival = np.cumprod(1 - events / at_risk)
    if days[-1] < horizon and survival[-1] > 0:
        return RestrictedMean(None, None)
    inside = days < horizon
    edges = np.concatenate([days[inside], [horizon]])
    pieces = survival[inside] * np.diff(edges)
    area = pieces.sum() + (edges[0] if edges.size else horizon)
    beyond = np.cumsum(pieces[::-1])[::-1]  # the area from each day on
    left = (at_risk - events)[inside]
    term = np.where(left > 0, events[inside] / (at_risk[inside] * np.where(left > 0, left, 1)), 0)
    return RestrictedMean(float(area), math.sqrt(float((beyond**2 * term).sum())))

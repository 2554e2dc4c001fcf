"""Is a figure of this run out of line with earlier runs? Pure: figures in, judgement out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

METRICS: Mapping[str, bool] = {
    "rows": False,
    "recent_rows_per_day": True,
    "null_rate": True,
    "min": True,
    "max": True,
    "mean": True,
    "distribution": True,
}
"""Known metrics, and whether they need a column."""

NUMBER_LIMITS = frozenset({"min_ratio", "max_ratio", "max_rise", "max_fall", "max_change"})
DISTRIBUTION_LIMITS = frozenset({"max_total_variation", "max_psi"})
BASELINES = ("median", "last")

PSI_FLOOR = 1e-4
"""A share of 0 in a population stability index would be infinite: the usual floor."""

Shares = Mapping[str, float]
Figure = float | Shares | None
"""A metric's value: a number, shares by value for a distribution, None where there was nothing to measure."""


@dataclass(frozen=True)
class DriftRule:
    """What a figure is compared with and how far it may move.

    Attributes:
        metric: one of METRICS.
        column: the column measured; a date or time for recent_rows_per_day.
        window_days: days up to as-of that recent_rows_per_day looks at.
        baseline: `median` of the earlier runs, or the `last` one.
        min_history: with fewer earlier runs there is no judgement yet.
        history: how many earlier runs are looked at, the newest first.
        min_baseline: a smaller baseline is no judgement: ten rows halve without anything being wrong.
        limits: min_ratio, max_ratio (figure / baseline), max_rise, max_fall, max_change (differences);
            max_total_variation, max_psi for distributions.
    """

    metric: str
    column: str | None = None
    window_days: int = 7
    baseline: str = "median"
    min_history: int = 1
    history: int = 28
    min_baseline: float = 0.0
    limits: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        allowed = DISTRIBUTION_LIMITS if self.metric == "distribution" else NUMBER_LIMITS
        if METRICS[self.metric] and not self.column:
            raise ValueError("needs a column")
        if not METRICS[self.metric] and self.column:
            raise ValueError("takes no column")
        if self.baseline not in BASELINES:
            raise ValueError(f"baseline must be one of {', '.join(BASELINES)}")
        if self.min_history < 1 or self.history < self.min_history or self.window_days < 1:
            raise ValueError("needs window_days >= 1 and history >= min_history >= 1")
        if not self.limits or not set(self.limits) <= allowed:
            raise ValueError(f"needs a limit, of {', '.join(sorted(allowed))}")

    @property
    def key(self) -> str:
        """What the metric store knows the figure by."""
        window = f",{self.window_days}d" if self.metric == "recent_rows_per_day" else ""
        return f"{self.metric}({self.column or ''}{window})"


@dataclass(frozen=True)
class Judgement:
    """The verdict on one figure, in words a person reads without the code."""

    success: bool
    observed: str
    expected: str
    judged: bool = True


def judge(rule: DriftRule, figure: Figure, earlier: Sequence[Figure]) -> Judgement:
    """Compare this run's figure with those of earlier runs.

    Args:
        rule: how.
        figure: this run's.
        earlier: those of earlier runs, the newest first; None where a run had nothing to measure.

    Returns:
        A pass that says so when there is nothing to measure or too little history.
    """
    known = [value for value in earlier[: rule.history] if value is not None]
    limits = ", ".join(f"{name} {limit:g}" for name, limit in sorted(rule.limits.items()))
    if figure is None:
        return Judgement(True, "nothing to measure", limits, judged=False)
    if len(known) < rule.min_history:
        shown = _show(figure)
        return Judgement(
            True, f"{shown}; no history yet ({len(known)} of {rule.min_history} earlier runs)", limits, judged=False
        )
    if isinstance(figure, Mapping):
        return _judge_shares(rule, figure, [value for value in known if isinstance(value, Mapping)], limits)
    return _judge_number(rule, figure, [float(value) for value in known if not isinstance(value, Mapping)], limits)


def _judge_number(rule: DriftRule, figure: float, earlier: Sequence[float], limits: str) -> Judgement:
    baseline = earlier[0] if rule.baseline == "last" else median(earlier)
    observed = f"{figure:g}, {_name(rule, len(earlier))} {baseline:g}"
    if baseline < rule.min_baseline:
        return Judgement(True, f"{observed}; too small to judge", limits, judged=False)
    broken = sorted(name for name, limit in rule.limits.items() if _exceeds(name, limit, figure, baseline))
    return Judgement(not broken, observed + (f": breaks {', '.join(broken)}" if broken else ""), limits)


def _exceeds(name: str, limit: float, figure: float, baseline: float) -> bool:
    change = figure - baseline
    if name in {"min_ratio", "max_ratio"}:
        if baseline <= 0:  # a table that was empty until now: no ratio to speak of
            return False
        return figure / baseline < limit if name == "min_ratio" else figure / baseline > limit
    # binary fractions: 0.3 - 0.2 is a hair above 0.1, which is no drift
    return {"max_rise": change, "max_fall": -change, "max_change": abs(change)}[name] > limit + 1e-12


def _judge_shares(rule: DriftRule, figure: Shares, earlier: Sequence[Shares], limits: str) -> Judgement:
    baseline = earlier[0] if rule.baseline == "last" else _median_shares(earlier)
    measured = {"max_total_variation": total_variation(figure, baseline), "max_psi": psi(figure, baseline)}
    broken = sorted(name for name, limit in rule.limits.items() if measured[name] > limit + 1e-12)
    distances = ", ".join(f"{name.removeprefix('max_')} {measured[name]:.4f}" for name in sorted(rule.limits))
    moves = sorted(
        ((figure.get(key, 0.0) - baseline.get(key, 0.0), key) for key in figure.keys() | baseline.keys()),
        key=lambda move: (-abs(move[0]), move[1]),
    )
    largest = ", ".join(f"{key} {change * 100:+.1f} points" for change, key in moves[:3])
    observed = f"{distances} from {_name(rule, len(earlier))}; largest moves: {largest}"
    return Judgement(not broken, observed + (f": breaks {', '.join(broken)}" if broken else ""), limits)


def _median_shares(earlier: Sequence[Shares]) -> Shares:
    keys = {key for shares in earlier for key in shares}
    middle = {key: median([shares.get(key, 0.0) for shares in earlier]) for key in keys}
    total = sum(middle.values())
    return {key: value / total for key, value in middle.items()} if total else earlier[0]


def total_variation(left: Shares, right: Shares) -> float:
    """Half the sum of absolute differences: the share that would have to move, 0 to 1."""
    return sum(abs(left.get(key, 0.0) - right.get(key, 0.0)) for key in left.keys() | right.keys()) / 2


def psi(actual: Shares, baseline: Shares) -> float:
    """Population stability index; above 0.25 is commonly called a shift."""
    total = 0.0
    for key in actual.keys() | baseline.keys():
        new, old = max(actual.get(key, 0.0), PSI_FLOOR), max(baseline.get(key, 0.0), PSI_FLOOR)
        total += (new - old) * math.log(new / old)
    return total


def _name(rule: DriftRule, runs: int) -> str:
    return "last run" if rule.baseline == "last" else f"median of {runs} earlier run{'s' if runs > 1 else ''}"


def _show(figure: float | Shares) -> str:
    if not isinstance(figure, Mapping):
        return f"{figure:g}"
    largest = sorted(figure.items(), key=lambda item: (-item[1], item[0]))[:3]
    return ", ".join(f"{key} {share * 100:.1f} %" for key, share in largest)

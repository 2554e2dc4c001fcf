"""One campaign: each variant, and all of them together, against the holdout, and what may be concluded in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from ritorno.experiments import statistics as st
from ritorno.experiments.statistics import Estimate, Sample, SampleRatio

HOLDOUT, VARIANT, ALL_VARIANTS = "holdout", "variant", "all_variants"
FIXED_END, ALWAYS_VALID = "fixed_end", "always_valid"
UNKNOWN = Estimate(math.nan, math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Policy:
    """The policy vars that decide on a conclusion."""

    peeking: str = FIXED_END
    alpha: float = 0.05
    power: float = 0.8
    sample_ratio_alarm: float = 0.001
    currency: str = "EUR"


@dataclass(frozen=True)
class Campaign:
    """What holds for all arms.

    Attributes:
        end: the last day on which an order counts; None: open ended, each person has days of his own.
        is_complete: the end lies on or before as-of.
    """

    key: str
    end: date | None
    is_complete: bool


@dataclass(frozen=True)
class Arm:
    """Sums over the people assigned to an arm.

    Attributes:
        cross: Σ (spend − mean)(spend before − mean).
        baseline_converters: who ordered in as many days before the assignment as count after it.
    """

    name: str
    role: str
    people: int
    converters: int
    baseline_converters: int
    planned_share: float | None
    orders: Sample
    spend: Sample
    before: Sample
    cross: float


@dataclass(frozen=True)
class Result:
    """An arm's row: estimates against the holdout, unknown where there is nothing to compare or it is too early."""

    arm: Arm
    method: str
    confidence: float
    ratio: SampleRatio
    is_ratio_alarm: bool | None
    status: str
    verdict: str
    detectable: float = math.nan
    baseline: float = math.nan
    conversion: Estimate = UNKNOWN
    z: float = math.nan
    orders: Estimate = UNKNOWN
    spend: Estimate = UNKNOWN
    theta: float = math.nan
    variance_reduction: float = math.nan
    cuped: Estimate = UNKNOWN
    beats_holdout: float = math.nan
    best: float = math.nan

    @property
    def may_be_read(self) -> bool:
        """False where increments must not be stated: arms that can't be compared, or an end that hasn't come."""
        return self.status in ("better", "worse", "undecided")

    @property
    def incremental_orders(self) -> Estimate:
        """Orders of everybody in the arm that would not have come without the campaign."""
        return _times(self.orders, self.arm.people) if self.may_be_read else UNKNOWN

    @property
    def incremental_revenue(self) -> Estimate:
        """Net revenue of everybody in the arm that would not have come without the campaign, by CUPED."""
        return _times(self.cuped, self.arm.people) if self.may_be_read else UNKNOWN


@dataclass(frozen=True)
class _Setting:
    """What the rows of one campaign share."""

    campaign: Campaign
    policy: Policy
    method: str
    ratio: SampleRatio
    alarm: bool | None
    theta: float
    baseline: float
    best: dict[str, float] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """May figures be shown today?"""
        return self.method == ALWAYS_VALID or self.campaign.is_complete


def compare(campaign: Campaign, arms: Sequence[Arm], policy: Policy) -> list[Result]:
    """One result per arm, in the order given.

    Several variants share the holdout: each is judged at alpha / number of variants (Bonferroni), all of them together
    at alpha, and the intervals have the level that the verdict uses.
    """
    own = [arm for arm in arms if arm.role != ALL_VARIANTS]
    holdout = next((arm for arm in own if arm.role == HOLDOUT), None)
    variants = sum(arm.role == VARIANT for arm in own)
    ratio = _ratio(own)
    people = sum(arm.people for arm in own)
    setting = _Setting(
        campaign,
        policy,
        method=FIXED_END if policy.peeking == FIXED_END and campaign.end is not None else ALWAYS_VALID,
        ratio=ratio,
        alarm=None if math.isnan(ratio.p_value) else ratio.p_value < policy.sample_ratio_alarm,
        theta=st.theta([arm.cross for arm in own], [arm.before.squares for arm in own]),
        baseline=sum(arm.baseline_converters for arm in own) / people if people else math.nan,
        best=_best(own),
    )
    return [
        _reference(setting, arm)
        if arm.role == HOLDOUT
        else _against(setting, arm, holdout, policy.alpha / (variants if arm.role == VARIANT else 1))
        for arm in arms
    ]


def _ratio(arms: Sequence[Arm]) -> SampleRatio:
    planned = [arm.planned_share for arm in arms if arm.planned_share is not None]
    if len(planned) < len(arms):
        return SampleRatio(math.nan, math.nan)
    return st.sample_ratio([arm.people for arm in arms], planned)


def _best(everybody: Sequence[Arm]) -> dict[str, float]:
    arms = [arm for arm in everybody if arm.people]
    if len(arms) < 2:
        return {}
    best = st.probabilities_best([arm.converters for arm in arms], [arm.people for arm in arms])
    return dict(zip((arm.name for arm in arms), best, strict=True))


def _reference(setting: _Setting, arm: Arm) -> Result:
    """The holdout's own row."""
    return Result(
        arm, setting.method, 1 - setting.policy.alpha, setting.ratio, setting.alarm, "reference",
        "The holdout: what the variants are compared with.",
        baseline=setting.baseline,
        best=setting.best.get(arm.name, math.nan) if setting.is_open else math.nan,
    )  # fmt: skip


def _against(setting: _Setting, arm: Arm, holdout: Arm | None, alpha: float) -> Result:
    stated = Result(
        arm, setting.method, 1 - alpha, setting.ratio, setting.alarm, "no_holdout",
        "Nobody was held out: nothing can be said about what the campaign caused.",
        baseline=setting.baseline,
    )  # fmt: skip
    if holdout is None or not holdout.people or not arm.people:
        return stated
    detectable = st.minimum_detectable_effect(
        setting.baseline, arm.people, holdout.people,
        alpha=alpha, power=setting.policy.power, always_valid_looks=setting.method == ALWAYS_VALID,
    )  # fmt: skip
    estimates = _estimates(setting, arm, holdout, 1 - alpha) if setting.is_open else {}
    status = _status(setting, arm, holdout, estimates.get("conversion"), alpha)
    result = Result(
        arm, setting.method, 1 - alpha, setting.ratio, setting.alarm, status, "",
        baseline=setting.baseline, detectable=detectable, **estimates,
    )  # fmt: skip
    return replace(result, verdict=_verdict(setting, result))


def _estimates(setting: _Setting, arm: Arm, holdout: Arm, confidence: float) -> dict[str, Any]:
    counts = (arm.converters, arm.people, holdout.converters, holdout.people)
    own = st.adjusted(arm.spend, arm.before, arm.cross, setting.theta)
    base = st.adjusted(holdout.spend, holdout.before, holdout.cross, setting.theta)
    clock = st.information(arm.converters + holdout.converters, arm.people + holdout.people)

    def mean(sample: Sample, other: Sample) -> Estimate:
        if setting.method == FIXED_END:
            return st.welch(sample, other, confidence)
        return st.mean_always_valid(sample, other, clock, confidence)

    conversion = st.conversion_fixed if setting.method == FIXED_END else st.conversion_always_valid
    return {
        "conversion": conversion(*counts, confidence),
        "z": st.pooled_z(*counts),
        "orders": mean(arm.orders, holdout.orders),
        "spend": mean(arm.spend, holdout.spend),
        "theta": setting.theta,
        "variance_reduction": st.variance_reduction(arm.spend, holdout.spend, own, base),
        "cuped": mean(own, base),
        "beats_holdout": st.probabilities_best(counts[::2], counts[1::2])[0],
        "best": setting.best.get(arm.name, math.nan),
    }


def _status(setting: _Setting, arm: Arm, holdout: Arm, conversion: Estimate | None, alpha: float) -> str:
    """The first that applies."""
    if setting.alarm:
        return "srm_alarm"
    if conversion is None:
        return "running"
    if not st.is_countable(arm.converters, arm.people, holdout.converters, holdout.people):
        return "too_few"
    if conversion.p_value <= alpha and conversion.difference > 0:
        return "better"
    if conversion.p_value <= alpha and conversion.difference < 0:
        return "worse"
    return "undecided" if setting.campaign.is_complete else "running"


def _verdict(setting: _Setting, result: Result) -> str:
    end = setting.campaign.end
    power = f"{100 * setting.policy.power:.3g} %"
    detectable = (
        " With so few people not even everybody ordering could be told from chance."
        if math.isnan(result.detectable)
        else f" An increase of {100 * result.detectable:.2f} points would be found with {power} chance."
    )
    if result.status == "srm_alarm":
        return (
            f"No conclusion: the arms are not as large as planned (χ² p = {result.ratio.p_value:.2g}), so who is in"
            " them was not left to chance. Find the cause, or correct the plan in campaign_arm_shares.csv."
        )
    if result.status == "running":
        if result.method == FIXED_END:
            return f"Too early: nothing may be concluded before {end}.{detectable}"
        return f"No difference proven so far; looking every day is allowed.{detectable}"
    if result.status == "too_few":
        return f"Too few people or orders to tell (fewer than {st.MIN_EXPECTED:.0f} expected in a cell).{detectable}"
    interval = (
        f"{_points(result.conversion.difference)} ({100 * result.confidence:.4g} % interval"
        f" {_points(result.conversion.low)} to {_points(result.conversion.high)})"
    )
    money = _money(result.incremental_revenue, setting.policy.currency)
    if result.status == "undecided":
        return f"No effect shown, which does not prove that there is none: conversion {interval}.{detectable}{money}"
    word = "More" if result.status == "better" else "Fewer"
    return f"{word} people ordered because of the campaign: conversion {interval}.{money}"


def _points(share: float) -> str:
    return f"{100 * share:+.2f} points"


def _money(revenue: Estimate, currency: str) -> str:
    if math.isnan(revenue.low):
        return ""
    return f" Incremental revenue {revenue.difference:,.2f} {currency} ({revenue.low:,.2f} to {revenue.high:,.2f})."


def _times(estimate: Estimate, people: int) -> Estimate:
    return Estimate(people * estimate.difference, people * estimate.low, people * estimate.high, estimate.p_value)

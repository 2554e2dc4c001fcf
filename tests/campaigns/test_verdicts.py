"""What may be concluded: each status, its words, and what is withheld with it."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date

import pytest

from ritorno.experiments.compare import Arm, Campaign, Policy, compare
from ritorno.experiments.statistics import Sample

OVER = Campaign("files:c", date(2024, 3, 31), True)
RUNNING = Campaign("files:c", date(2024, 4, 30), False)
OPEN = Campaign("files:c", None, False)


def arm(name, role, people, converters, share=None, spend=1.0):
    amounts = Sample(people, spend, 30.0 * people)
    return Arm(name, role, people, converters, people // 10, share, Sample(people, 0.1, people), amounts, amounts, 9.0)


def arms(converters=120, base=40, shares=(0.33, 0.67)):
    return [arm("holdout", "holdout", 500, base, shares[0]), arm("a", "variant", 1000, converters, shares[1], 2.0)]


@pytest.mark.parametrize(
    ("campaign", "given", "policy", "status"),
    [
        (OVER, arms(), Policy(), "better"),
        (OVER, arms(60, 60), Policy(), "worse"),
        (OVER, arms(81, 40), Policy(), "undecided"),
        (OVER, arms(6, 3), Policy(), "too_few"),
        (OVER, arms(3000, 40)[1:], Policy(), "no_holdout"),
        (OVER, [arm("holdout", "holdout", 0, 0, 0.33), arms()[1]], Policy(), "no_holdout"),
        (OVER, arms(shares=(0.5, 0.5)), Policy(), "srm_alarm"),
        (RUNNING, arms(600, 40), Policy(), "running"),
        (RUNNING, arms(600, 40), Policy(peeking="always_valid"), "better"),
        (RUNNING, arms(120, 40), Policy(peeking="always_valid"), "running"),
        (OVER, arms(120, 40), Policy(peeking="always_valid"), "undecided"),
        (OPEN, arms(600, 40), Policy(), "better"),
        (OPEN, arms(120, 40), Policy(), "running"),
        (RUNNING, arms(shares=(0.5, 0.5)), Policy(), "srm_alarm"),
    ],
)
def test_each_status_is_reached(campaign, given, policy, status):
    result = compare(campaign, given, policy)[-1]
    assert result.status == status
    stated = status in ("better", "worse", "undecided")
    assert math.isnan(result.incremental_revenue.low) is not stated
    assert math.isnan(result.incremental_orders.difference) is not stated


def test_before_the_end_only_the_detectable_effect_is_stated():
    holdout, variant = compare(RUNNING, arms(600, 40), Policy())
    assert math.isnan(variant.conversion.p_value)
    assert math.isnan(variant.cuped.low)
    assert math.isnan(variant.beats_holdout)
    assert math.isnan(holdout.best)
    assert variant.detectable > 0
    assert variant.verdict.startswith("Too early: nothing may be concluded before 2024-04-30. An increase of 5.14")
    # the outcome so far does not enter it
    assert compare(RUNNING, arms(1, 40), Policy())[1].detectable == variant.detectable
    assert compare(OVER, arms(1, 40), Policy())[1].detectable == variant.detectable


def test_the_verdict_says_the_figures_and_what_to_do_about_an_alarm():
    better = compare(OVER, arms(), Policy(currency="GBP"))[1]
    assert better.verdict == (
        "More people ordered because of the campaign: conversion +4.00 points (95 % interval +0.71 points to +6.99"
        " points). Incremental revenue 999.60 GBP (410.41 to 1,588.79)."
    )
    alarm = compare(OVER, arms(shares=(0.5, 0.5)), Policy())[1]
    assert alarm.is_ratio_alarm
    assert "p = 4" in alarm.verdict
    assert "campaign_arm_shares.csv" in alarm.verdict


def test_without_a_plan_the_sample_ratio_is_not_judged():
    result = compare(OVER, arms(shares=(None, 0.67)), Policy())[1]
    assert result.is_ratio_alarm is None
    assert result.status == "better"


def test_several_variants_are_each_judged_at_a_stricter_level_than_all_together():
    holdout, a = arms(shares=(0.2, 0.4))
    given = [
        arm("all_variants", "all_variants", 2000, 240),
        replace(holdout, planned_share=0.2),
        a,
        replace(a, name="b"),
    ]
    together, reference, one, other = compare(OVER, given, Policy())
    assert (together.confidence, one.confidence, other.confidence) == (0.95, 0.975, 0.975)
    assert together.status == "better"
    assert one.conversion.p_value == pytest.approx(0.0180, abs=5e-5)
    assert one.status == "better"
    third = compare(OVER, [replace(x, planned_share=None) for x in [*given, replace(a, name="c")]], Policy())[-1]
    assert (third.confidence, third.status) == (pytest.approx(1 - 0.05 / 3), "undecided")
    assert math.isnan(together.best)
    assert reference.best + one.best + other.best == pytest.approx(1)
    assert reference.status == "reference"
    assert math.isnan(reference.conversion.p_value)


def test_an_arm_that_lost_everybody_is_said_so_and_beats_nobody():
    holdout, variant = arms()
    empty = Arm("b", "variant", 0, 0, 0, None, *[Sample(0, math.nan, 0.0)] * 3, 0.0)
    results = compare(OVER, [holdout, variant, empty], Policy())
    assert results[2].status == "no_holdout"
    assert math.isnan(results[2].best)
    assert results[0].best + results[1].best == pytest.approx(1)

"""Log-rank and restricted mean against scipy, a plain integration, and a trial that textbooks print."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import CensoredData, chi2, logrank

from ritorno.survival.compare import Counts, log_rank, restricted_mean
from tests.support import Project
from tests.support.examples import many

Watched = tuple[int, bool]  # days, event

# Freireich et al. (1963), remission of leukaemia in weeks: 6-MP against placebo
TREATED: list[Watched] = [
    *[(t, True) for t in (6, 6, 6, 7, 10, 13, 16, 22, 23)],
    *[(t, False) for t in (6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)],
]
PLACEBO: list[Watched] = [(t, True) for t in (1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23)]


def counts(groups: Sequence[Sequence[Watched]]) -> Counts:
    days = sorted({day for group in groups for day, _ in group})
    return Counts(
        np.array(days, dtype=float),
        np.array([[sum(1 for d, e in g if d == day and e) for day in days] for g in groups], dtype=float),
        np.array([[sum(1 for d, e in g if d == day and not e) for day in days] for g in groups], dtype=float),
    )


def censored(group: Sequence[Watched]) -> Any:
    return CensoredData(uncensored=[d for d, e in group if e], right=[d for d, e in group if not e])


def plain_mean(group: Sequence[Watched], horizon: int) -> float | None:
    """Day by day: the share that lives through each day, added up."""
    alive, total = 1.0, 0.0
    for day in range(horizon):
        risk = sum(1 for d, _ in group if d >= day)
        if risk == 0 and alive > 0:
            return None
        died = sum(1 for d, e in group if d == day and e)
        alive *= 1 - died / risk if risk else 0
        total += alive
    return total if any(d >= horizon for d, _ in group) or alive == 0 else None


def test_the_leukaemia_trial_gives_the_printed_log_rank_and_means() -> None:
    found = log_rank(counts([TREATED, PLACEBO]))
    assert found.chi2 == pytest.approx(16.79, abs=0.005)
    assert found.df == 1
    assert found.expected == pytest.approx([19.25, 10.75], abs=0.005)
    both = counts([TREATED, PLACEBO])
    placebo = restricted_mean(both.days, both.events[1], both.censored[1], 23)
    # nobody of the placebo group was censored: a plain mean with its plain error
    times = np.array([d for d, _ in PLACEBO])
    assert placebo.days == pytest.approx(times.mean())
    assert placebo.std_error == pytest.approx(times.std() / math.sqrt(times.size))


lives = st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=25)


@settings(max_examples=many(25), deadline=None)
@given(first=lives, second=lives)
def test_two_groups_equal_scipy(first: list[Watched], second: list[Watched]) -> None:
    found = log_rank(counts([first, second]))
    theirs = logrank(censored(first), censored(second)) if any(e for _, e in first + second) else None
    if found.chi2 is None:
        assert theirs is None or not math.isfinite(theirs.statistic)
        return
    assert theirs is not None
    assert found.chi2 == pytest.approx(theirs.statistic**2)
    assert found.p_value == pytest.approx(theirs.pvalue)


@settings(max_examples=many(25), deadline=None)
@given(groups=st.lists(lives, min_size=2, max_size=5), moved=st.randoms())
def test_any_number_of_groups_equals_the_textbooks_sums_in_any_order(groups: list[list[Watched]], moved: Any) -> None:
    found = log_rank(counts(groups))
    shuffled = list(groups)
    moved.shuffle(shuffled)
    again = log_rank(counts(shuffled))
    assert (again.df, again.chi2) == (found.df, pytest.approx(found.chi2) if found.chi2 is not None else None)
    k = len(groups)
    excess, spread = np.zeros(k), np.zeros((k, k))
    for day in {d for g in groups for d, e in g if e}:
        risk = np.array([sum(1 for d, _ in g if d >= day) for g in groups], dtype=float)
        died = np.array([sum(1 for d, e in g if d == day and e) for g in groups], dtype=float)
        n, d = risk.sum(), died.sum()
        excess += died - d * risk / n
        if n > 1:
            share = risk / n
            spread += d * (n - d) / (n - 1) * (np.diag(share) - np.outer(share, share))
    if found.chi2 is None:
        assert np.allclose(spread, 0)
        return
    # any solution of the singular system serves: the excess lies in its image
    solved, *_ = np.linalg.lstsq(spread, excess, rcond=1e-9)
    assert found.chi2 == pytest.approx(float(excess @ solved), abs=1e-7)
    assert found.df == np.linalg.matrix_rank(spread, tol=1e-9)
    assert found.p_value == pytest.approx(chi2.sf(found.chi2, found.df))


@settings(max_examples=many(40), deadline=None)
@given(group=lives, horizon=st.integers(1, 35))
def test_the_restricted_mean_is_the_area_below_the_curve(group: list[Watched], horizon: int) -> None:
    one = counts([group])
    found = restricted_mean(one.days, one.events[0], one.censored[0], horizon)
    expected = plain_mean(group, horizon)
    assert found.days == (pytest.approx(expected) if expected is not None else None)
    if found.days is not None and found.std_error is not None:
        assert 0 <= found.std_error <= horizon


def test_the_error_of_the_restricted_mean_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    truth = 30 * (1 - math.exp(-60 / 30))
    hits = 0
    for _ in range(300):
        lived, watched = rng.exponential(30, 150), rng.uniform(20, 200, 150)
        days = np.minimum(lived, watched)
        order = np.argsort(days)
        found = restricted_mean(days[order], (lived <= watched)[order] * 1.0, (lived > watched)[order] * 1.0, 60)
        assert found.days is not None
        assert found.std_error is not None
        hits += abs(found.days - truth) < 1.96 * found.std_error
    assert 0.91 < hits / 300 < 0.98


def test_nobody_to_compare_gives_no_test() -> None:
    assert log_rank(counts([[(3, True)], []])).chi2 is None
    assert log_rank(counts([[(3, False)], [(4, False)]])).chi2 is None
    assert log_rank(counts([[(3, True)]])).df == 0


def test_the_mart_compares_every_group_with_the_others_and_all_at_once() -> None:
    project = Project.compile(survival_horizon_days=20)
    con = project.connect({})
    types = {
        "curve": "varchar",
        "cut_value": "varchar",
        "subject": "varchar",
        "t_days": "integer",
        "is_event": "boolean",
    }
    groups = {"treated": TREATED, "placebo": PLACEBO, "new": [(1, False)]}
    rows = [
        {
            "curve": curve,
            "cut_value": name if curve == "trial" else "all",
            "subject": f"{name}{n}",
            "t_days": d,
            "is_event": e,
        }
        for curve in ("trial", "plain")
        for name, group in groups.items()
        for n, (d, e) in enumerate(group)
    ]
    types |= {"t_days": "integer", "is_event": "boolean"}
    project.give(con, "int_survival__durations", types, rows)
    project.run(con, "survival_comparisons", as_of="2024-03-31", given=["int_survival__durations"])
    found = {(row["curve"], row["cut_value"]): row for row in project.query(con, "from marts.survival_comparisons")}
    assert set(found) == {("plain", "all"), *(("trial", name) for name in ("all", *groups))}
    plain, everyone = found["plain", "all"], found["trial", "all"]
    assert (plain["log_rank_chi2"], plain["subjects"], plain["events"]) == (None, 43, 30)
    assert everyone["log_rank_df"] == 2
    treated, new = found["trial", "treated"], found["trial", "new"]
    alone = log_rank(counts([TREATED, [*PLACEBO, *groups["new"]]]))
    assert (treated["log_rank_chi2"], treated["p_value"]) == (pytest.approx(alone.chi2), pytest.approx(alone.p_value))
    assert treated["expected_events"] == pytest.approx(alone.expected[0])
    assert treated["restricted_mean_days"] == pytest.approx(plain_mean(TREATED, 20))
    assert treated["ci_low"] < treated["restricted_mean_days"] < treated["ci_high"] <= 20
    assert (new["restricted_mean_days"], new["ci_low"], new["events"]) == (None, None, 0)

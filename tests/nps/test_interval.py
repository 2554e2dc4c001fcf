"""The NPS and its interval, on the SQL that ships."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import Project
from tests.support.examples import many

TYPES = {
    "response_key": "varchar", "respondent_key": "varchar", "survey": "varchar", "scale": "varchar",
    "nps_group": "varchar", "responded_at": "timestamp", "responded_date": "date", "rfm_segment": "varchar",
    "lifecycle_state": "varchar", "has_subscription": "varchar", "business_line": "varchar",
}  # fmt: skip
counts = st.integers(0, 12)


def _nps(groups, as_of="2024-03-31"):
    project = Project.compile()
    con = project.connect({})
    rows = [
        {"response_key": f"r{n}", "respondent_key": who, "survey": "s", "scale": "0-10", "nps_group": group,
         "responded_at": f"{day} 10:00:00", "responded_date": day, "rfm_segment": "x", "lifecycle_state": "new",
         "has_subscription": "false", "business_line": "b2c"}
        for n, (who, group, day) in enumerate(groups)
    ]  # fmt: skip
    project.give(con, "int_nps__responses", TYPES, rows)
    project.run(con, "nps", as_of=as_of, given=["int_nps__responses"])
    return project.query(con, f"select * from {project.relation('nps')} where cut = 'all' order by period_end")


@settings(max_examples=many(20), deadline=None, suppress_health_check=list(HealthCheck))
@given(counts, counts, counts)
def test_score_and_interval_are_those_of_rocks_2016(promoters, passives, detractors):
    groups = ["promoter"] * promoters + ["passive"] * passives + ["detractor"] * detractors
    rows = _nps([(f"p{n}", group, "2024-02-10") for n, group in enumerate(groups)])
    n = len(groups)
    if not n:
        assert rows == []
        return
    row = next(row for row in rows if row["period_type"] == "month" and str(row["period_start"]) == "2024-02-01")
    up, down = (promoters + 0.75) / (n + 3), (detractors + 0.75) / (n + 3)
    half = 1.959963984540054 * math.sqrt((up + down - (up - down) ** 2) / (n + 3))
    score = (promoters - detractors) / n
    assert row["nps"] == pytest.approx(score)
    assert row["ci_low"] == pytest.approx(min(score, max(-1, up - down - half)))
    assert row["ci_high"] == pytest.approx(max(score, min(1, up - down + half)))
    silent = next(row for row in rows if row["period_type"] == "month" and str(row["period_start"]) == "2024-03-01")
    assert (silent["responses"], silent["nps"], silent["ci_low"], silent["is_complete"]) == (0, None, None, True)


def test_one_vote_a_person_the_latest_of_the_period_and_no_score_while_it_runs():
    answers = [("ann", "detractor", "2024-02-01"), ("ann", "promoter", "2024-02-09"), ("bob", "passive", "2024-02-09")]
    answers += [("ann", "detractor", "2024-03-05")]
    rows = _nps(answers, as_of="2024-03-10")
    found = {(r["period_type"], str(r["period_end"])): (r["responses"], r["answers"], r["nps"]) for r in rows}
    assert found["month", "2024-02-29"] == (2, 3, 0.5)
    assert found["month", "2024-03-31"] == (1, 1, None)
    assert found["trailing_90d", "2024-02-29"] == (2, 3, 0.5)
    assert found["trailing_90d", "2024-03-10"] == (2, 4, -0.5)
    assert found["year", "2024-12-31"] == (2, 4, None)

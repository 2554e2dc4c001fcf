"""`expect` of a segment's YAML: the share of all people that should be members, checked before anything is published.

An empty segment is no error by itself (a shop may have nobody who paused); it is the error of an audience that would
send it, or of `min_share` above 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import duckdb

from ritorno.quality.results import CheckResult
from ritorno.segments.definitions import Segment

STAGE = "segments"
CHECK = "share_is_expected"


def check(
    warehouse: duckdb.DuckDBPyConnection, segments: Sequence[Segment], policy: Mapping[str, Any], day: date
) -> list[CheckResult]:
    """One result a segment, on its members after grace, cooldown and groups."""
    sizes = dict[str, tuple[int, int]](
        (segment, (size, people))
        for segment, size, people in warehouse.execute(
            "select segment, size, people from segment_state.sizes where date = ?", [day]
        ).fetchall()
    )
    least = int(policy["segment_expect_min_customers"])
    return [judge(segment, *sizes.get(segment.name, (0, 0)), least) for segment in segments]


def judge(segment: Segment, size: int, people: int, least: int) -> CheckResult:
    """Whether `size` of `people` is what the segment expects; with fewer than `least` people a share says nothing."""
    expect = segment.meta.expect
    judged = people >= least
    share = size / people if people else 0.0
    success = not judged or expect.min_share <= share <= expect.max_share
    why = "" if judged else f" (not judged below {least} people)"
    return CheckResult(
        stage=STAGE,
        table=segment.name,
        check_name=CHECK,
        kind="expectation",
        expectation=CHECK,
        column=None,
        severity=expect.severity,
        success=success,
        judged=judged,
        observed=f"{size} of {people} people, {share:.2%}{why}",
        expected=f"{expect.min_share:.2%} to {expect.max_share:.2%}",
        reason=f"{segment.path}: look at `ritorno segment diff {segment.name}`, mend the definition or `expect`.",
        rows_checked=people,
        rows_failed=None,
    )

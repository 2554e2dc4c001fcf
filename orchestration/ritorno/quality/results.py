"""What a check says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check of one run.

    Attributes:
        stage: `raw` or `marts`, also the table's schema.
        table: the table's name.
        check_name: as `expected_checks` announced it.
        kind: `expectation` (Great Expectations) or `drift` (against earlier runs).
        expectation: Great Expectations' type, or the drift metric.
        column: the column checked, if one.
        severity: `critical` or `warning`.
        success: whether it holds; a check that could not be judged passes and says so.
        judged: false for an empty optional table or too little history.
        observed: what was found.
        expected: what was asked for.
        reason: why the check exists.
        rows_checked: how many rows were looked at, where the check counts rows.
        rows_failed: how many broke it.
    """

    stage: str
    table: str
    check_name: str
    kind: str
    expectation: str
    column: str | None
    severity: str
    success: bool
    judged: bool
    observed: str
    expected: str
    reason: str
    rows_checked: int | None = None
    rows_failed: int | None = None

    @property
    def blocks(self) -> bool:
        """Whether the run must stop."""
        return not self.success and self.severity == "critical"

    @property
    def message(self) -> str:
        """One line for a person."""
        what = f"{self.expectation}({self.column})" if self.column else self.expectation
        verdict = "" if self.success else f", expected {self.expected}. {self.reason}"
        return f"{self.stage}.{self.table}: {what}: {self.observed}{verdict}"


def blocking(results: Sequence[CheckResult]) -> list[CheckResult]:
    """The results that stop a run."""
    return [result for result in results if result.blocks]

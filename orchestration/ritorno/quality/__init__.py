"""Checks on raw tables and marts: expectations, drift against earlier runs, their history and Data Docs."""

from ritorno.quality.expectations import ExpectedCheck, expected_checks
from ritorno.quality.results import CheckResult, blocking
from ritorno.quality.run import run_suites

__all__ = ["CheckResult", "ExpectedCheck", "blocking", "expected_checks", "run_suites"]

"""Expectation suites as people write them: `expectations/<schema>.<table>.yml`, one file a table.

A suite has Great Expectations entries under `expectations:` and comparisons with earlier runs under `drift:`; each
says why it exists. This module reads and checks their shape without importing Great Expectations (7 s), so that
Dagster can declare the checks cheaply; a misspelt expectation or argument is refused by `gx.build`, still before
anything is checked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import yaml

from ritorno.documents import load_yaml
from ritorno.errors import UnusableInput
from ritorno.home import PROJECT_ROOT
from ritorno.quality.drift import DISTRIBUTION_LIMITS, METRICS, NUMBER_LIMITS, DriftRule

Stage = Literal["raw", "marts"]
STAGES: tuple[str, ...] = get_args(Stage)
SEVERITIES = ("critical", "warning")
FOLDER = PROJECT_ROOT / "expectations"

_SUITE_KEYS = {"description", "optional", "columns", "expectations", "drift"}
_EXPECTATION_KEYS = {"type", "name", "kwargs", "severity", "reason"}
_DRIFT_KEYS = {
    "metric",
    "name",
    "column",
    "window_days",
    "baseline",
    "min_history",
    "history",
    "severity",
    "reason",
    "min_baseline",
}
_LIMITS = NUMBER_LIMITS | DISTRIBUTION_LIMITS
_AS_OF = re.compile(r"\{as_of(?:\s*([+-])\s*(\d+)d)?\}")


class ExpectedCheck(NamedTuple):
    """A check that a stage will report, known before it runs."""

    table: str
    check_name: str
    severity: str
    reason: str


@dataclass(frozen=True)
class Expectation:
    """One Great Expectations entry.

    Attributes:
        check_name: unique within the table, made of letters, digits and underscores.
        type: Great Expectations' name, `expect_…`.
        kwargs: its arguments; text may hold `{as_of}`, `{as_of-30d}`.
        severity: `critical` stops the run, `warning` is shown.
        reason: why it exists.
    """

    check_name: str
    type: str
    kwargs: Mapping[str, Any]
    severity: str
    reason: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns its arguments name."""
        named = [self.kwargs.get(key) for key in ("column", "column_A", "column_B")]
        return tuple(name for name in [*named, *self.kwargs.get("column_list", ())] if name is not None)


@dataclass(frozen=True)
class Drift:
    """One comparison with earlier runs."""

    check_name: str
    rule: DriftRule
    severity: str
    reason: str


@dataclass(frozen=True)
class Suite:
    """What is expected of one table.

    Attributes:
        path: the file, for messages.
        stage: `raw` or `marts`, also the schema.
        table: the table's name.
        optional: an empty table is fine; then only the drift entries are judged.
        columns: SQL expressions read instead of (or beside) the table's columns: raw CSV columns are text.
    """

    path: Path
    stage: str
    table: str
    optional: bool
    columns: Mapping[str, str]
    expectations: Sequence[Expectation]
    drift: Sequence[Drift] = field(default_factory=tuple)

    @property
    def label(self) -> str:
        """The table with its schema."""
        return f"{self.stage}.{self.table}"


def with_as_of(value: Any, as_of: date) -> Any:  # noqa: ANN401  arguments are any YAML
    """The value with `{as_of}`, `{as_of-30d}`, `{as_of+1d}` replaced by ISO dates, at any depth."""
    if isinstance(value, str):

        def shifted(match: re.Match[str]) -> str:
            sign, days = match.groups()
            return (as_of + timedelta(days=int(f"{sign}{days}") if sign else 0)).isoformat()

        return _AS_OF.sub(shifted, value)
    if isinstance(value, Mapping):
        return {key: with_as_of(item, as_of) for key, item in value.items()}
    if isinstance(value, list):
        return [with_as_of(item, as_of) for item in value]
    return value


def load_suites(stage: str, folder: Path = FOLDER) -> list[Suite]:
    """The suites of a stage, by table name.

    Raises:
        UnusableInput: a file can't be read, or an entry has a wrong shape; the message names both.
    """
    if stage not in STAGES:
        raise UnusableInput(f"stage '{stage}' is unknown: {' or '.join(STAGES)}")
    for path in sorted([*folder.glob("*.yml"), *folder.glob("*.yaml")]):
        prefix, _, table = path.stem.partition(".")
        if prefix not in STAGES or not table or path.suffix != ".yml":
            raise UnusableInput(f"{path}: name it <raw or marts>.<table>.yml, so that it is known what it checks")
    return [_load(path, stage) for path in sorted(folder.glob(f"{stage}.*.yml"))]


def expected_checks(stage: str, folder: Path = FOLDER) -> list[ExpectedCheck]:
    """What `run_suites` will report for a stage, without importing Great Expectations."""
    found: list[ExpectedCheck] = []
    for suite in load_suites(stage, folder):
        entries: list[Expectation | Drift] = [*suite.expectations, *suite.drift]
        found += [ExpectedCheck(suite.table, entry.check_name, entry.severity, entry.reason) for entry in entries]
    return found


def _load(path: Path, stage: str) -> Suite:
    try:
        content = load_yaml(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise UnusableInput(f"{path}: is no YAML: {error}") from error
    if not isinstance(content, dict):
        raise UnusableInput(f"{path}: expected a mapping with {', '.join(sorted(_SUITE_KEYS))}")
    _refuse_unknown(path, "the suite", content, _SUITE_KEYS)
    taken: set[str] = set()
    return Suite(
        path=path,
        stage=stage,
        table=path.stem.partition(".")[2],
        optional=bool(content.get("optional", False)),
        columns=dict(content.get("columns") or {}),
        expectations=tuple(_expectation(path, entry, taken) for entry in content.get("expectations") or ()),
        drift=tuple(_drift(path, entry, taken) for entry in content.get("drift") or ()),
    )


def _expectation(path: Path, entry: Mapping[str, Any], taken: set[str]) -> Expectation:
    kind = entry.get("type")
    if not isinstance(kind, str):
        raise UnusableInput(f"{path}: an expectation has no type: {dict(entry)}")
    where = f"expectation {kind}"
    _refuse_unknown(path, where, entry, _EXPECTATION_KEYS)
    kwargs = entry.get("kwargs") or {}
    if not isinstance(kwargs, Mapping):
        raise UnusableInput(f"{path}: {where}: kwargs must be a mapping")
    parts = [kind.removeprefix("expect_"), *(str(kwargs[key]) for key in ("column", "column_A") if key in kwargs)]
    return Expectation(
        check_name=_check_name(path, entry.get("name") or "__".join(parts), taken),
        type=kind,
        kwargs=kwargs,
        severity=_severity(path, where, entry),
        reason=_reason(path, where, entry),
    )


def _drift(path: Path, entry: Mapping[str, Any], taken: set[str]) -> Drift:
    metric = entry.get("metric")
    where = f"drift {metric}" + (f" of {entry['column']}" if entry.get("column") else "")
    if metric not in METRICS:
        raise UnusableInput(f"{path}: {where}: unknown metric; known: {', '.join(METRICS)}")
    _refuse_unknown(path, where, entry, _DRIFT_KEYS | _LIMITS)
    try:
        limits = {key: float(entry[key]) for key in entry if key in _LIMITS}
        rule = DriftRule(
            metric=str(metric),
            column=entry.get("column"),
            window_days=int(entry.get("window_days", 7)),
            baseline=entry.get("baseline", "median"),
            min_history=int(entry.get("min_history", 1)),
            history=int(entry.get("history", 28)),
            min_baseline=float(entry.get("min_baseline", 0)),
            limits=limits,
        )
    except (TypeError, ValueError) as error:
        raise UnusableInput(f"{path}: {where}: {error}") from error
    parts = ["drift", metric, *([entry["column"]] if entry.get("column") else [])]
    return Drift(
        check_name=_check_name(path, entry.get("name") or "__".join(parts), taken),
        rule=rule,
        severity=_severity(path, where, entry),
        reason=_reason(path, where, entry),
    )


def _refuse_unknown(path: Path, where: str, entry: Mapping[str, Any], known: set[str] | frozenset[str]) -> None:
    unknown = sorted(set(entry) - known)
    if unknown:
        raise UnusableInput(f"{path}: {where}: unknown {', '.join(unknown)}; known: {', '.join(sorted(known))}")


def _severity(path: Path, where: str, entry: Mapping[str, Any]) -> str:
    severity = entry.get("severity")
    if severity not in SEVERITIES:
        raise UnusableInput(f"{path}: {where}: severity is {severity!r}, must be critical (stops the run) or warning")
    return str(severity)


def _reason(path: Path, where: str, entry: Mapping[str, Any]) -> str:
    reason = str(entry.get("reason") or "").strip()
    if not reason:
        raise UnusableInput(f"{path}: {where}: says no reason why it exists")
    return reason


def _check_name(path: Path, wanted: str, taken: set[str]) -> str:
    name = re.sub(r"[^A-Za-z0-9_]+", "_", wanted)
    if name in taken:
        raise UnusableInput(f"{path}: two checks are called {name}: give one of them a name")
    taken.add(name)
    return name

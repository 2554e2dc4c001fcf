"""What an edited segment would have changed: both definitions on the same data, today and on past days.

Everything is rebuilt in a scratch home that is thrown away; of the real home only the raw tables and the state are
read. Compared is eligibility, which is what a definition says; grace, cooldown and groups follow from the meta and are
applied to whichever definition there is.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from ritorno.dbt import DbtProject, Manifest
from ritorno.errors import UnusableInput
from ritorno.home import PROJECT_ROOT, Home
from ritorno.policy import Policy, load_policy
from ritorno.publishing import published_run
from ritorno.scratch import build, closure, scratch_home
from ritorno.segments.definitions import FOLDER, segment_names
from ritorno.session import yesterday

_KEPT_PARTS = re.compile(r"[0-9]+(?:[.,-][0-9]+)*")


@dataclass(frozen=True)
class Definitions:
    """The two definitions compared; an empty `before` is a segment that wasn't there."""

    name: str
    before: str
    after: str
    before_is: str
    after_is: str


@dataclass(frozen=True)
class DayDiff:
    """What changes on a day: reason by customer key."""

    day: date
    before: Mapping[str, str]
    after: Mapping[str, str]

    @property
    def enters(self) -> dict[str, str]:
        """Whom the new definition means and the old one doesn't."""
        return {key: reason for key, reason in sorted(self.after.items()) if key not in self.before}

    @property
    def leaves(self) -> dict[str, str]:
        """Whom the old definition means and the new one doesn't."""
        return {key: reason for key, reason in sorted(self.before.items()) if key not in self.after}


@dataclass(frozen=True)
class Diff:
    """The comparison, for people and for pull requests."""

    definitions: Definitions
    days: Sequence[DayDiff] = field(default_factory=tuple)

    def as_json(self) -> dict[str, Any]:
        """As data."""
        return {
            "segment": self.definitions.name,
            "before": self.definitions.before_is,
            "after": self.definitions.after_is,
            "days": [
                {
                    "date": day.day.isoformat(),
                    "before": len(day.before),
                    "after": len(day.after),
                    "enters": _listed(day.enters),
                    "leaves": _listed(day.leaves),
                    "enters_by_reason": by_reason(day.enters),
                    "leaves_by_reason": by_reason(day.leaves),
                }
                for day in self.days
            ],
        }


def _listed(people: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"customer_key": key, "reason": reason} for key, reason in people.items()]


def by_reason(people: Mapping[str, str]) -> dict[str, int]:
    """How many for each reason, dates and numbers aside; the most frequent first."""
    counts = Counter(_KEPT_PARTS.sub("…", reason) for reason in people.values())
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def definitions_of(name: str, manifest: Manifest, *, against: str = "HEAD", sql: Path | None = None) -> Definitions:
    """The two definitions: the file as it stands against git's, or another file against it as it stands.

    Raises:
        UnusableInput: there is no such segment, revision or file.
    """
    known = segment_names(manifest)
    if name not in known:
        raise UnusableInput(f"segment {name}: there is no {FOLDER}{name}.sql. Known: {', '.join(known)}")
    path = str(manifest["nodes"][f"model.ritorno.{name}"]["original_file_path"])
    stands = (PROJECT_ROOT / path).read_text(encoding="utf-8")
    if sql is not None:
        try:
            return Definitions(name, stands, sql.read_text(encoding="utf-8"), path, str(sql))
        except (OSError, UnicodeDecodeError) as error:
            raise UnusableInput(f"--sql {sql}: can't be read ({error})") from None
    return Definitions(name, _from_git(against, path), stands, f"{path} at {against}", path)


def _from_git(revision: str, path: str) -> str:
    def git(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", *arguments], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)

    if git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").returncode != 0:
        raise UnusableInput(f"--against {revision}: git knows no such revision. Give a branch, tag or commit")
    shown = git("show", f"{revision}:{path}")
    return shown.stdout if shown.returncode == 0 else ""  # it wasn't there: everybody enters


def compare(home: Home, found: Definitions, days: Sequence[date], policy: Policy | None = None) -> Diff:
    """Evaluate both definitions as of each day, in a scratch home that is removed afterwards."""
    policy = policy or load_policy()
    if not home.warehouse.is_file():
        raise UnusableInput(f"no warehouse at {home.warehouse}: refresh first, so that there is data to compare on")
    with scratch_home(home, "segment-diff") as scratch:
        project = DbtProject(scratch, policy.overrides)
        return Diff(found, tuple(_on_day(project, scratch, found, day, policy) for day in days))


def default_day(home: Home) -> date:
    """Today, as the home knows it: the day published last, else yesterday."""
    run = published_run(home)
    return run.as_of if run else yesterday(load_policy().values)


def _on_day(project: DbtProject, scratch: Home, found: Definitions, day: date, policy: Policy) -> DayDiff:
    before = project.compile_inline(found.before, day, found.before_is) if found.before else None
    after = project.compile_inline(found.after, day, found.after_is)
    needed = {parent for definition in (before, after) if definition for parent in definition[1]}
    build(project, day, policy, "segment-diff", only=closure(project.manifest(), needed))
    with duckdb.connect(str(scratch.warehouse), read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        return DayDiff(
            day,
            _people(con, before[0], found.before_is) if before else {},
            _people(con, after[0], found.after_is),
        )


def _people(con: duckdb.DuckDBPyConnection, sql: str, where: str) -> dict[str, str]:
    try:
        rows = con.execute(f"select customer_key, reason from (\n{sql}\n) as definition").fetchall()
    except duckdb.Error as error:
        raise UnusableInput(f"{where}: {str(error).splitlines()[0]}") from error
    people = dict(rows)
    if len(people) != len(rows):
        raise UnusableInput(f"{where}: a customer_key stands in more than one row; a segment has one row each")
    return people

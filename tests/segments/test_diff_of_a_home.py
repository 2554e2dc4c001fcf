"""`ritorno segment diff` from a home with raw rows to what it says: git's definition against an edited one."""

from __future__ import annotations

import subprocess
from datetime import date
from hashlib import sha256
from io import StringIO
from pathlib import Path

import duckdb
import pytest
from rich.console import Console

from ritorno.dbt import DbtProject
from ritorno.errors import UnusableInput
from ritorno.home import PROJECT_ROOT, Home
from ritorno.policy import load_policy
from ritorno.segments import diff, terminal
from ritorno.state import open_state
from tests.support import Project

AT_RISK_SINCE = date(2026, 6, 27)
MEANS = "where customers.is_at_risk\n"
FILE = Path("models/segments/at_risk.sql")
RAW = {
    "customers": [
        {"customer_id": name, "email": f"{name}@example.org", "created_at": "2025-01-01T09:00:00Z"}
        for name in ("anna", "ben", "cleo")
    ],
    "orders": [
        {"order_id": f"{name}-{day}", "customer_id": name, "ordered_at": f"{day}T10:00:00Z", "total": "50",
         "currency": "EUR", "status": "paid"}
        for name, days in {
            # of the past day Anna's return is still to come
            "anna": ["2026-03-28", "2026-07-05"], "ben": ["2026-06-20"], "cleo": ["2026-03-01", "2026-03-28"],
        }.items()
        for day in days
    ],
}  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home").ensure()
    with duckdb.connect(str(found.warehouse)) as con:
        con.execute("set timezone = 'UTC'")
        Project.compile().load_raw(con, RAW)
    with open_state(found):
        pass
    return found


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose only commit has the definition that ships; the file in it may be edited."""
    root = tmp_path / "repository"
    file = root / FILE
    file.parent.mkdir(parents=True)
    file.write_text((PROJECT_ROOT / FILE).read_text(encoding="utf-8"), encoding="utf-8")
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "nothing"], ["tag", "before"],
                    ["add", "."], ["commit", "-q", "-m", "at risk"]):  # fmt: skip
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *command], cwd=root, check=True)
    monkeypatch.setattr(diff, "PROJECT_ROOT", root)
    return root


def contents(home: Home) -> dict[str, str]:
    return {file.name: sha256(file.read_bytes()).hexdigest() for file in (home.warehouse, home.state)}


@pytest.mark.slow
def test_an_edit_is_compared_with_git_on_a_past_day_and_the_home_stays_as_it_was(home: Home, repository: Path) -> None:
    manifest = DbtProject(home).manifest()
    file = repository / FILE
    stands = file.read_text(encoding="utf-8")
    assert stands.count(MEANS) == 1
    file.write_text(stands.replace(MEANS, MEANS.rstrip() + " and customers.orders > 1\n"), encoding="utf-8")

    with pytest.raises(UnusableInput, match="--against nowhere: git knows no such revision"):
        diff.definitions_of("at_risk", manifest, against="nowhere")
    assert diff.definitions_of("at_risk", manifest, against="before").before == ""  # everybody enters

    before = contents(home)
    found = diff.definitions_of("at_risk", manifest, against="HEAD")
    policy = load_policy(PROJECT_ROOT, {"lifecycle_method": "fixed"})
    result = diff.compare(home, found, [AT_RISK_SINCE], policy)
    (day,) = result.as_json()["days"]
    assert (day["before"], day["after"], day["enters"]) == (2, 1, [])
    (anna,) = day["leaves"]
    assert anna["reason"] == "At risk since 2026-06-27: the last order was on 2026-03-28, longer ago than usual."
    assert day["leaves_by_reason"] == {"At risk since …: the last order was on …, longer ago than usual.": 1}

    out = StringIO()
    terminal.print_diff(result, Console(file=out, width=200))
    said = out.getvalue()
    assert "2026-06-27" in said
    assert anna["customer_key"] in said
    assert "at HEAD" in said
    assert contents(home) == before
    assert list(home.tmp.iterdir()) == []

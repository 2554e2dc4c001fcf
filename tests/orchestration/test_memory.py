"""How much memory DuckDB may take, wherever a refresh opens it."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ritorno import pipeline, sql
from ritorno.home import PROJECT_ROOT, Home


def memory_of(home: Path) -> str:
    run: Any = SimpleNamespace(home=Home.at(home).ensure())
    with pipeline.warehouse(run) as con:
        return cast("tuple[str]", con.execute("select current_setting('memory_limit')").fetchone())[0]


def test_landing_and_steps_are_held_to_the_memory_that_was_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RITORNO_MEMORY", "1GiB")
    assert memory_of(tmp_path) == "1.0 GiB"


def test_untold_it_is_what_dbt_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RITORNO_MEMORY", raising=False)
    told = re.search(r"RITORNO_MEMORY', '(.*?)'", (PROJECT_ROOT / "profiles.yml").read_text(encoding="utf-8"))
    assert told is not None
    assert told[1] == sql.MEMORY
    assert memory_of(tmp_path) == "2.3 GiB"

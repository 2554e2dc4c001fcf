"""Published runs for the report's tests: a real one through the command line, and bare ones by contract."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import yaml
from filelock import FileLock

from ritorno.home import PROJECT_ROOT, Home

AS_OF = date(2026, 6, 17)
"""In the middle of a month, so that some periods aren't over."""


def real_home(shared: Path) -> Home:
    """A small shop, simulated, refreshed and published through the command line, once for all test processes."""
    home = Home(shared / "report-home")
    environment = {**os.environ, "RITORNO_HOME": str(home.root), "DBT_TARGET_PATH": str(shared / "report-target")}

    def ritorno(*arguments: str) -> None:
        command = [sys.executable, "-c", "from ritorno.cli import main; main()", *arguments]
        subprocess.run(command, check=True, env=environment, capture_output=True, text=True, timeout=600)

    with FileLock(shared / "report-home.lock"):
        if not home.published.exists():
            shop = shared / "report-shop"
            ritorno("simulate", str(shop), "--customers", "500", "--years", "1.5", "--seed", "5", "--end", str(AS_OF))
            ritorno("refresh", "--raw", str(shop / "raw"), "--as-of", AS_OF.isoformat())
    return home


Table = tuple[Mapping[str, str], list[dict[str, Any]]]


def bare_run(folder: Path, marts: Mapping[str, Table], as_of: date = AS_OF) -> Path:
    """A run folder as publishing leaves it, with the given marts: name → (column types, rows)."""
    folder.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(":memory:") as con:
        con.execute(f"attach '{folder / 'marts.duckdb'}' as published")
        con.execute("create schema published.marts")
        for name, (types, rows) in marts.items():
            columns = ", ".join(f'"{column}" {type_}' for column, type_ in types.items())
            con.execute(f"create table published.marts.{name} ({columns})")
            for row in rows:
                names = ", ".join(f'"{column}"' for column in row)
                marks = ", ".join("?" for _ in row)
                con.execute(f"insert into published.marts.{name} ({names}) values ({marks})", list(row.values()))
        con.execute(
            "create table published.marts.published_run as select 'run-1' as run_id, ?::date as as_of_date, "
            "timestamp '2026-06-18 05:00:00' as published_at, 'GBP' as reporting_currency, mart, "
            "cast(rows as bigint) as row_count from (select unnest(?) as mart, unnest(?) as rows)",
            [as_of, list(marts) or [None], [len(rows) for _, rows in marts.values()] or [None]],
        )
    return folder


def contracts() -> dict[str, dict[str, str]]:
    """Column types of every mart, from its contract."""
    files = sorted((PROJECT_ROOT / "models" / "marts").glob("*/_*.yml"))
    models = [model for file in files for model in yaml.safe_load(file.read_text(encoding="utf-8")).get("models", [])]
    return {model["name"]: {column["name"]: column["data_type"] for column in model["columns"]} for model in models}

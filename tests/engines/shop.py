"""A simulated shop with all the dirt there is, which every engine must read alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb

from ritorno import sql

END = date(2025, 6, 30)
ODD = [
    *["now", "today", "tomorrow", "epoch", "infinity", "-infinity", "NaN", "Jan 5 2024", "20240105", "2024-02-30"],
    *["2024-02-29", "2024-1-5", "2024-01-05T10:00", "2024-01-05 10:00:00.123456+02", "2024-01-05T10:00:00Z", "12:00"],
    *["1e3", "1.5e1", "12,5", ".5", "5.", "+7", "--7", "0x10", " 3 ", "3.7", "1_000", "inf", "12345678901234567890"],
    *["true", "t", "TRUE", "yes", "ja", "0", "{}", '{"a": 1}', '{"a": }', "null", "99999999999999999.9999"],
]
"""What people type into date, number and other columns, and what one of the engines is known to read as more."""


COLUMNS = ("ordered_at", "total", "is_test", "cancelled_at")
LENIENT: Mapping[str, Any] = {"quarantine_limit": 0.9}  # most of the odd rows are unreadable on purpose


def dirty_shop(folder: Path) -> dict[str, Path]:
    """The raw files of 200 customers of a year, with each odd text in every typed column of orders."""
    from ritorno.simulate import simulate

    raw = simulate(folder, customers=200, seed=5, years=1.0, end=END).raw
    add_odd_orders(raw, [(text, column) for text in ODD for column in COLUMNS])
    return {"files": raw}


def add_odd_orders(raw: Path, odd: Sequence[tuple[str, str]]) -> None:
    """One more file of orders, each with an odd text in one typed column: unreadable on one engine, so on the other."""
    lines = [",".join(["order_id", *COLUMNS])]
    for number, (text, odd_column) in enumerate(odd):
        quoted = '"' + text.replace('"', '""') + '"'
        row = {"ordered_at": "2025-06-01", "total": "10", odd_column: quoted}
        lines.append(",".join([f"odd-{number}", *(row.get(column, "") for column in COLUMNS)]))
    (raw / "orders" / "zz-odd.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def a_fortieth_of_online_retail(file: Path, slice_: Path, end: date) -> Path:
    """A real shop's year that ends at `end`: all lines of 109 customers, and every fortieth invoice of nobody."""
    later = (end - date(2010, 12, 9)).days
    with duckdb.connect() as con:
        con.execute(
            f"""
            copy (
                select * replace (strftime(cast("InvoiceDate" as timestamp) + interval {later} day, '%Y-%m-%d %H:%M:%S')
                    as "InvoiceDate")
                from {sql.text(str(file))}
                where coalesce(cast("Customer ID" as bigint), try_cast("Invoice" as bigint), 7) % 40 = 7
            ) to {sql.text(str(slice_))} (format parquet)
            """
        )
    return slice_


def refreshed(
    sources: Mapping[str, Path], home: Path, engine: str, policy: Mapping[str, Any] = LENIENT, as_of: date = END
) -> Path:
    """Refresh a new home on an engine; returns the file that it published."""
    command = ["refresh", "--as-of", as_of.isoformat(), "--home", str(home), "--engine", engine]
    command += [f"--source={system}={path}" for system, path in sources.items()]
    command += ["--vars", json.dumps(policy)] if policy else []
    _run("from ritorno.cli import main; main()", *command)
    return home / "published" / "ritorno.duckdb"


def built(
    sources: Mapping[str, Path],
    home: Path,
    engine: str,
    models: Sequence[str],
    as_of: date = END,
    policy: Mapping[str, Any] = LENIENT,
) -> Path:
    """Build some models on an engine, with all that they read and no checks; returns the home's warehouse."""
    code = "from tests.engines.shop import build_named; build_named()"
    named = json.dumps({system: str(path) for system, path in sources.items()})
    _run(code, named, str(home), engine, as_of.isoformat(), json.dumps(policy), *models)
    return home / "warehouse.duckdb"


def _run(code: str, *arguments: str) -> None:
    """In a process of its own: a Spark session is the process's, and so is Dagster's idea of the home."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def build_named() -> None:
    """What `built` starts: raw files by system, home, engine, as-of day, policy and models are the command line's."""
    from ritorno import pipeline, snapshots
    from ritorno.dbt import stages
    from ritorno.errors import RitornoError
    from ritorno.home import Home
    from ritorno.scratch import closure
    from ritorno.session import Run, active

    named, root, engine, as_of, policy, *models = sys.argv[1:]
    home = Home(Path(root)).ensure()
    os.environ["RITORNO_HOME"] = root
    run = Run(pipeline.make_request(home=home, as_of=as_of, sources=json.loads(named), overrides=policy, engine=engine))
    with run.recorded(), active(run):
        manifest = run.dbt.parsed and run.dbt.manifest()
        pipeline.land(run)
        found = stages(manifest)
        wanted = closure(manifest, {model if "." in model else f"model.ritorno.{model}" for model in models})
        spans: list[tuple[str, float, float]] = []
        for stage in found.dbt:
            try:
                told = list(pipeline.build(run, stage, [node for node in stage.nodes if node in wanted], manifest))
            except RitornoError as error:
                raise SystemExit(str(error)) from error
            spans += [_span(event["data"]["node_info"]) for event, _ in told]
            for step in found.steps[stage.number]:
                if f"step.{step.name}" in wanted:
                    pipeline.run_step(run, step, manifest)
        snapshots.keep(home)
    if "RITORNO_BENCH_SPANS" in os.environ:
        Path(os.environ["RITORNO_BENCH_SPANS"]).write_text(json.dumps(spans), encoding="utf-8")


def _span(node: Mapping[str, Any]) -> tuple[str, float, float]:
    """When a model began and ended, seconds since 1970."""
    began, ended = (
        datetime.fromisoformat(str(node[f"node_{end}_at"])).replace(tzinfo=UTC).timestamp()
        for end in ("started", "finished")
    )
    return str(node["node_name"]), began, ended

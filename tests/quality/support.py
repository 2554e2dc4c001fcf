"""A home with a small warehouse, and suites written on the spot."""

import shutil
from datetime import date
from textwrap import dedent

import duckdb

from ritorno.home import Home
from ritorno.quality import run_suites
from ritorno.quality.expectations import FOLDER

AS_OF = date(2024, 3, 31)


def home_with(path, *statements):
    home = Home(path).ensure()
    with duckdb.connect(str(home.warehouse)) as con:
        con.execute("create schema if not exists raw; create schema if not exists marts")
        for statement in statements:
            con.execute(statement)
    return home


def suite_folder(path, **suites):
    """Suites by `marts__orders="yaml"`."""
    folder = path / "expectations"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in suites.items():
        (folder / f"{name.replace('__', '.', 1)}.yml").write_text(dedent(text), encoding="utf-8")
    return folder


def check(home, folder, stage="marts", run_id="run-1", as_of=AS_OF, **options):
    """Results by check name."""
    return {r.check_name: r for r in run_suites(home, stage, run_id, as_of, folder=folder, **options)}


def replace(home, statement):
    with duckdb.connect(str(home.warehouse)) as con:
        con.execute(statement)


def shipped(folder, stage, *tables):
    """The project's own suites of some tables, in a folder."""
    folder.mkdir()
    for table in tables:
        shutil.copy(FOLDER / f"{stage}.{table}.yml", folder)
    return folder


def green_and_red_with_all_faults(tmp_path, tables, good, faults):
    """The shipped suites of marts pass on good tables, and each check fails once all the faults are in."""
    folder = shipped(tmp_path / "expectations", "marts", *tables)
    found = check(home_with(tmp_path / "good", good), folder)
    assert {name: result.observed for name, result in found.items() if not result.success} == {}
    judged = {name for name in found if not name.startswith("drift")}
    assert judged == set(faults)
    bad = check(home_with(tmp_path / "bad", good, *faults.values()), folder)
    assert {name for name, result in bad.items() if not result.success} == judged

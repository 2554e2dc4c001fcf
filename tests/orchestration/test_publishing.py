"""Publishing on a real DuckDB file: whole or not at all, and never two runs mixed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from ritorno import publishing
from ritorno.home import Home
from ritorno.publishing import FILE, FILE_FOR_BI, Mart, PublishedRun, publish, published_run

MARTS = [Mart("customers", "marts", "One row per customer."), Mart("orders", "marts", "It's one row per order.")]
DAY = date(2024, 3, 31)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home").ensure()
    fill(home, 1)
    return home


def fill(home: Home, rows: int) -> None:
    """A warehouse whose two marts have as many rows as the run's number."""
    with duckdb.connect(str(home.warehouse)) as con:
        con.execute("create schema if not exists marts")
        for mart in MARTS:
            con.execute(
                f"create or replace table marts.{mart.name} as "
                f"select i as id, cast(i as decimal(18, 2)) as revenue from range({rows}) as numbers (i)"
            )


def rows(path: Path, sql: str) -> Sequence[tuple[object, ...]]:
    with duckdb.connect(str(path), read_only=True) as con:
        return con.execute(sql).fetchall()


def test_what_is_published_equals_the_warehouse_and_every_row_names_its_run_and_day(home: Home) -> None:
    fill(home, 5)
    run = publish(home, MARTS, "run-1", DAY)
    assert run.row_counts == {"customers": 5, "orders": 5}
    assert rows(home.published / FILE, "select * from marts.marts.orders order by id")[0] == (0, 0, "run-1", DAY)
    assert rows(home.published / FILE, "select count(*) from marts.marts.customers") == [(5,)]


def test_bi_can_say_schema_dot_mart_in_the_file_made_for_it(home: Home) -> None:
    publish(home, MARTS, "run-1", DAY)
    assert rows(home.published / FILE_FOR_BI, "select id from marts.customers") == [(0,)]
    assert (home.published / FILE).samefile(home.published / FILE_FOR_BI)


def test_the_parquet_files_say_the_same_and_carry_run_and_day_in_their_metadata(home: Home) -> None:
    publish(home, MARTS, "run-1", DAY)
    file = pq.ParquetFile(home.published / "parquet" / "customers.parquet")
    assert file.read().to_pylist()[0]["published_run_id"] == "run-1"
    metadata = file.metadata.metadata
    assert (metadata[b"run_id"], metadata[b"as_of"]) == (b"run-1", b"2024-03-31")


def test_a_table_tells_which_run_the_file_belongs_to_and_comments_say_what_a_mart_is(home: Home) -> None:
    publish(home, MARTS, "run-1", DAY)
    found = rows(home.published / FILE_FOR_BI, "select mart, run_id, as_of_date, row_count from marts.published_run")
    assert sorted(found) == [("customers", "run-1", DAY, 1), ("orders", "run-1", DAY, 1)]
    comments = rows(home.published / FILE_FOR_BI, "select comment from duckdb_tables() where table_name = 'orders'")
    assert comments == [("It's one row per order. [run run-1, as of 2024-03-31]",)]


def test_the_file_is_in_the_format_that_drivers_from_1_0_on_read(home: Home) -> None:
    publish(home, MARTS, "run-1", DAY)
    header = (home.published / FILE).read_bytes()[:20]
    assert header[8:12] == b"DUCK"
    assert int.from_bytes(header[12:20], "little") == 64  # 65 is 1.2's, which 1.1 refuses


def test_the_manifest_has_counts_sizes_and_hashes_of_every_file(home: Home) -> None:
    run = publish(home, MARTS, "run-1", DAY)
    assert published_run(home) == run
    assert set(run.sha256) == {
        FILE, FILE_FOR_BI, "parquet/customers.parquet", "parquet/orders.parquet", "parquet/published_run.parquet",
    }  # fmt: skip
    assert all((home.published / name).stat().st_size == size for name, size in run.bytes.items())


@pytest.mark.parametrize("point", ["_copy_marts", "_sync_tree", "_point_to"])
def test_a_publish_that_dies_anywhere_leaves_the_old_run_and_the_next_one_cleans_up(
    home: Home, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    publish(home, MARTS, "run-1", DAY)
    fill(home, 2)
    with monkeypatch.context() as patch:

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(publishing, point, die)
        with pytest.raises(KeyboardInterrupt):
            publish(home, MARTS, "run-2", DAY)
    assert rows(home.published / FILE_FOR_BI, "select count(*) from marts.customers") == [(1,)]
    publish(home, MARTS, "run-3", DAY)
    assert rows(home.published / FILE_FOR_BI, "select count(*) from marts.customers") == [(2,)]
    assert not [path for path in home.runs.iterdir() if path.name.startswith(".")]
    assert not list(home.root.glob(".published-*"))


def test_a_draft_is_seen_by_nobody_and_removed_where_it_is_not_shown(home: Home) -> None:
    publish(home, MARTS, "run-1", DAY)
    fill(home, 3)
    drafted = publishing.draft(home, MARTS, "run-2", DAY)
    fill(home, 4)  # what comes later is no part of it
    assert [folder.name for folder in home.runs.glob("[!.]*")] == ["run-1"]
    assert published_run(home) == PublishedRun.read(home.runs / "run-1")
    publishing.remove_unfinished(home)
    assert [folder.name for folder in home.runs.iterdir()] == ["run-1"]
    fill(home, 3)
    drafted = publishing.draft(home, MARTS, "run-2", DAY)
    shown = publishing.show(home, drafted)
    assert shown.row_counts == {"customers": 3, "orders": 3}
    assert published_run(home) == shown
    assert [folder.name for folder in home.runs.glob(".*")] == []


def test_the_last_runs_are_kept_and_never_the_published_one_removed(home: Home) -> None:
    for number in range(1, 6):
        publish(home, MARTS, f"run-{number}", DAY, keep_runs=3)
    assert sorted(path.name for path in home.runs.iterdir()) == ["run-3", "run-4", "run-5"]
    home.published.unlink()
    home.published.symlink_to(Path("runs") / "run-3", target_is_directory=True)
    assert publishing.remove_old_runs(home, 1) == ["run-4"]
    assert sorted(path.name for path in home.runs.iterdir()) == ["run-3", "run-5"]
    assert PublishedRun.read(home.published) is not None


def test_the_pointer_is_relative_so_that_a_home_can_be_moved(home: Home, tmp_path: Path) -> None:
    publish(home, MARTS, "run-1", DAY)
    moved = home.root.rename(tmp_path / "elsewhere")
    assert rows(moved / "published" / FILE_FOR_BI, "select id from marts.orders") == [(0,)]


READER = """
import sys, time, duckdb
path, held_path = sys.argv[1], sys.argv[2]
held = duckdb.connect(held_path, read_only=True)
before = held.execute("select run_id from marts.published_run limit 1").fetchone()
seen, problems = set(), []
print("ready", flush=True)
while True:
    with duckdb.connect(path, read_only=True) as con:
        found = con.execute(
            "select published_run_id, count(*) from marts.customers group by 1 "
            "union all select published_run_id, count(*) from marts.orders group by 1").fetchall()
    if len(found) != 2 or found[0] != found[1] or found[0][0] != f"run-{found[0][1]}":
        problems.append(found)
    seen.add(found[0][0])
    if held.execute("select run_id from marts.published_run limit 1").fetchone() != before:
        problems.append("held changed")
    if found[0][0] == "run-12":
        break
print(len(seen), problems, flush=True)
"""


def test_readers_see_one_whole_run_at_any_time_while_runs_are_published_and_removed(home: Home) -> None:
    publish(home, MARTS, "run-1", DAY)
    held = home.runs / "run-1" / FILE_FOR_BI
    command = [sys.executable, "-c", READER, str(home.published / FILE_FOR_BI), str(held)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
        for number in range(2, 13):
            fill(home, number)
            publish(home, MARTS, f"run-{number}", DAY, keep_runs=2)
        output, _ = reader.communicate(timeout=60)
    count, problems = output.split(" ", 1)
    assert problems.strip() == "[]"
    assert int(count) >= 2
    assert not held.exists()  # removed under the reader that held it open

"""What lands, what doesn't, and what a second landing does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from ritorno.contract import raw_tables
from ritorno.errors import UnusableInput
from ritorno.landing import LandingReport, Source, forget, land, newest_order_date, parse_source, rejected_rows
from ritorno.landing import tables as table_module
from ritorno.sql import names

from .conftest import Put, Rows

ORDERS = "order_id,ordered_at,total\n1,2024-01-01,10.00\n2,2024-01-02,20.00\n"
Refresh = Callable[[], LandingReport]


def rows(con: duckdb.DuckDBPyConnection, sql: str) -> Rows:
    return con.execute(sql).fetchall()


def orders(con: duckdb.DuckDBPyConnection) -> Rows:
    return rows(con, "select order_id, total from raw.orders order by all")


def types(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    return dict(rows(con, "select column_name, data_type from duckdb_columns() where table_name = 'orders'"))


def test_csv_lands_as_text_with_file_line_and_batch(con, put: Put, refresh: Refresh) -> None:
    path = put("orders.csv", ORDERS)
    report = refresh()
    found = rows(con, "select order_id, total, _ritorno_file, _ritorno_line, _ritorno_batch from raw.orders order by 1")
    assert found == [("1", "10.00", str(path), 2, 1), ("2", "20.00", str(path), 3, 1)]
    assert (report.rows, report.rejected, report.warnings) == (2, 0, ())


def test_every_declared_table_and_column_exists_after_landing(con, put: Put, refresh: Refresh) -> None:
    put("orders.csv", ORDERS)
    refresh()
    for table in raw_tables():
        con.execute(f"select {names(table.column_names)}, _ritorno_batch from {table.relation}")


def test_column_names_match_trimmed_and_in_any_case(con, put: Put, refresh: Refresh) -> None:
    put("orders.csv", '\ufeff Order_ID ,"ORDERED_AT",Total\n1,2024-01-01,10.00\n')
    refresh()
    assert orders(con) == [("1", "10.00")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_delimiters_and_line_ends_are_recognised(con, put: Put, refresh: Refresh, delimiter: str, end: str) -> None:
    lines = ["order_id,ordered_at,total,note", '1,2024-01-01,10.00,"a;b,c|d\te"', "2,2024-01-02,20.00,"]
    text = end.join(lines[:1] + [line.replace(",", delimiter) for line in lines[2:]] + [""])
    text = text.replace(lines[0], lines[0].replace(",", delimiter))
    text += delimiter.join(["1", "2024-01-01", "10.00", '"a;b,c|d\te"'])
    put("orders.csv", text)
    refresh()
    found = rows(con, "select order_id, total, note from raw.orders order by 1")
    assert found == [("1", "10.00", "a;b,c|d\te"), ("2", "20.00", None)]


def test_a_delimiter_is_chosen_by_the_columns_it_yields_not_by_the_values(con, put: Put, refresh: Refresh) -> None:
    put("orders.csv", "order_id;ordered_at;total\n1;2024-01-01;12,50\n2;2024-01-01;13,50\n")
    refresh()
    assert orders(con) == [("1", "12,50"), ("2", "13,50")]


def test_parquet_keeps_its_types_and_numbers_its_rows_from_one(con, parquet: Put, refresh: Refresh) -> None:
    parquet("orders.parquet", "select i::bigint as order_id, timestamp '2024-01-01' as ordered_at, "
            "1.50::decimal(18,2) as total from range(3) t(i)")  # fmt: skip
    refresh()
    found = types(con)
    assert (found["order_id"], found["ordered_at"], found["total"]) == ("BIGINT", "TIMESTAMP", "DECIMAL(18,2)")
    assert rows(con, "select order_id, _ritorno_line from raw.orders order by 1") == [(0, 1), (1, 2), (2, 3)]


def test_a_column_whose_type_differs_between_deliveries_becomes_text(con, put: Put, parquet: Put, refresh) -> None:
    parquet("orders/1.parquet", "select 1 as order_id, date '2024-01-01' as ordered_at, 1.50::decimal(18,2) as total")
    put("orders/2.csv", "order_id,ordered_at,total\nA2,2024-01-02,2.5\n")
    refresh()
    assert orders(con) == [("1", "1.50"), ("A2", "2.5")]
    assert types(con)["ordered_at"] == "VARCHAR"


def test_the_order_of_deliveries_of_different_type_does_not_matter(tmp_path: Path, put: Put, parquet: Put) -> None:
    query = "select 1 as order_id, date '2024-01-01' as ordered_at, 1.50::decimal(18,2) as total"
    files = [parquet("orders/1.parquet", query), put("orders/2.csv", "order_id,ordered_at,total\nA2,2024-01-02,2.5\n")]
    found = []
    for order in (files, files[::-1]):
        with duckdb.connect() as con:
            for file in order:
                folder = tmp_path / f"delivery{len(found)}{file.stem}" / "orders"
                folder.mkdir(parents=True)
                (folder / file.name).write_bytes(file.read_bytes())
                land(con, [Source("files", folder.parent)])
            found.append((orders(con), types(con)["ordered_at"]))
    assert found[0] == found[1]


def test_an_empty_column_takes_the_type_of_the_first_values(con, parquet: Put, refresh: Refresh) -> None:
    base = "select 1 as order_id, date '2024-01-01' as ordered_at, 1.0::double as total"
    parquet("orders/1.parquet", f"{base}, null::integer as tax")
    parquet("orders/2.parquet", f"{base}, 1.5::double as tax")
    parquet("orders/3.parquet", f"{base}, null::varchar as tax")
    refresh()
    assert types(con)["tax"] == "DOUBLE"
    assert sorted(rows(con, "select tax from raw.orders"), key=str) == [(1.5,), (None,), (None,)]


def test_whole_numbers_that_pandas_made_floats_keep_their_name_as_ids(con, put: Put, parquet: Put, refresh) -> None:
    parquet("orders.parquet", "select 1 as order_id, date '2024-01-01' as ordered_at, 1.0::double as total, "
            "unnest([17850.0::double, null]) as customer_id")  # fmt: skip
    put("customers.csv", "customer_id\n17850\n")
    refresh()
    joined = "select count(*) from raw.orders o join raw.customers c on o.customer_id::varchar = c.customer_id"
    assert rows(con, joined) == [(1,)]


def test_unknown_columns_are_kept_and_reported(con, put: Put, refresh: Refresh) -> None:
    put("orders.csv", "order_id,ordered_at,total,Gift Wrap\n1,2024-01-01,10,yes\n")
    report = refresh()
    assert rows(con, 'select "Gift Wrap" from raw.orders') == [("yes",)]
    assert any("Gift Wrap" in warning for warning in report.warnings)


def test_batches_of_a_folder_add_up_and_a_second_landing_reads_nothing(con, put: Put, refresh, monkeypatch) -> None:
    put("orders/2024-01.csv", ORDERS)
    put("orders/2024-02.csv", "order_id,ordered_at,total\n3,2024-02-01,30\n")
    assert [(file.action, file.batch) for file in refresh().files] == [("landed", 1), ("landed", 2)]
    monkeypatch.setattr("ritorno.landing.run.plan_file", lambda *_: pytest.fail("a known file was read"))
    monkeypatch.setattr("ritorno.landing.run.sha256_of", lambda *_: pytest.fail("a known file was hashed"))
    assert [file.action for file in refresh().files] == ["unchanged", "unchanged"]
    assert len(orders(con)) == 3


def test_a_touched_file_is_hashed_once_and_not_landed_again(con, put: Put, refresh: Refresh, monkeypatch) -> None:
    path = put("orders.csv", ORDERS)
    refresh()
    os.utime(path, ns=(time.time_ns(), time.time_ns() + 10**9))
    assert refresh().files[0].action == "unchanged"
    monkeypatch.setattr("ritorno.landing.run.sha256_of", lambda *_: pytest.fail("hashed again"))
    assert refresh().files[0].action == "unchanged"
    assert rows(con, "select count(*), max(batch) from landing.files") == [(1, 1)]


def test_a_changed_file_replaces_the_rows_of_its_path_and_the_ledger_keeps_history(con, put: Put, refresh) -> None:
    put("orders/a.csv", ORDERS)
    put("orders/b.csv", "order_id,ordered_at,total\n9,2024-02-01,90\n")
    refresh()
    put("orders/a.csv", "order_id,ordered_at,total\n1,2024-01-01,11.00\nbroken\n")
    report = refresh()
    assert [file.action for file in report.files] == ["replaced", "unchanged"]
    assert orders(con) == [("1", "11.00"), ("9", "90")]
    history = rows(con, "select batch, status, rows, rejected, ended_at is null, run_id from landing.files order by 1")
    assert history == [
        (1, "superseded", 2, 0, False, "run-1"),
        (2, "landed", 1, 0, True, "run-1"),
        (3, "landed", 1, 1, True, "run-1"),
    ]


def test_a_mended_file_leaves_no_rejects_behind(con, put: Put, refresh: Refresh) -> None:
    put("orders.csv", ORDERS + "broken\n")
    refresh()
    assert rejected_rows(con) == {("files", "orders"): 1}
    put("orders.csv", ORDERS)
    refresh()
    assert rejected_rows(con) == {}


def test_a_removed_file_changes_nothing_until_it_is_forgotten(con, put: Put, refresh: Refresh) -> None:
    put("orders/a.csv", ORDERS)
    gone = put("orders/b.csv", "order_id,ordered_at,total\n9,2024-02-01,90\nbroken\n")
    refresh()
    gone.unlink()
    refresh()
    assert len(orders(con)) == 3
    assert forget(con, gone) == 1
    assert len(orders(con)) == 2
    assert rejected_rows(con) == {}
    assert rows(con, "select status from landing.files where file like '%b.csv'") == [("forgotten",)]
    put("orders/b.csv", "order_id,ordered_at,total\n9,2024-02-01,90\n")
    assert [file.batch for file in refresh().read] == [3]


def test_forgetting_what_never_landed_names_the_nearest(con, put: Put, refresh: Refresh) -> None:
    path = put("orders.csv", ORDERS)
    refresh()
    with pytest.raises(UnusableInput, match=rf"order\.csv: no landed file.*Did you mean '{path}'"):
        forget(con, path.with_name("order.csv"))


def test_the_same_content_under_two_paths_lands_twice(con, put: Put, refresh: Refresh) -> None:
    put("orders.csv", ORDERS)
    put("orders/again.csv", ORDERS)
    refresh()
    assert rows(con, "select count(*), count(distinct _ritorno_batch) from raw.orders") == [(4, 2)]


def test_a_switched_folder_link_replaces_its_rows(con, tmp_path: Path) -> None:
    for release, total in (("r1", "1"), ("r2", "2")):
        (tmp_path / release).mkdir()
        (tmp_path / release / "orders.csv").write_text(f"order_id,ordered_at,total\n1,2024-01-01,{total}\n")
    link = tmp_path / "current"
    for release in ("r1", "r2"):
        link.unlink(missing_ok=True)
        link.symlink_to(release)
        land(con, [Source("files", link)])
    assert orders(con) == [("1", "2")]


def test_a_dropped_raw_table_is_landed_again(con, put: Put, refresh: Refresh) -> None:
    put("orders.csv", ORDERS)
    refresh()
    con.execute("drop table raw.orders")
    refresh()
    assert len(orders(con)) == 2


def test_names_with_glob_characters_are_taken_literally(con, put: Put, parquet: Put, refresh: Refresh) -> None:
    put("orders/a[1].csv", ORDERS)
    put("orders/a1.csv", "order_id,ordered_at,total\n3,2024-01-01,1\n")
    parquet("orders/b*.parquet", "select '4' as order_id, '2024-01-01' as ordered_at, '1' as total")
    parquet("orders/bb.parquet", "select '5' as order_id, '2024-01-01' as ordered_at, '1' as total")
    refresh()
    assert [order for order, _ in orders(con)] == ["1", "2", "3", "4", "5"]


def test_quotes_in_names_of_files_and_columns_are_no_sql(con, put: Put, refresh: Refresh) -> None:
    put('orders/o\'brien "x".csv', 'order_id,ordered_at,total,"a""b\'c"\n1,2024-01-01,1,z\n')
    refresh()
    assert rows(con, """select "a""b'c" from raw.orders""") == [("z",)]


def test_unknown_names_are_reported_with_the_nearest_table_and_hidden_ones_are_not(put: Put, refresh) -> None:
    put("orders.csv", ORDERS)
    put("order_item.csv", "x")
    put("customers.xlsx", "x")
    put("orders.d/x.csv", "x")
    put(".DS_Store", "x")
    put("_SUCCESS", "")
    text = "\n".join(refresh().warnings)
    assert "order_item" in text
    assert "Did you mean 'order_items'?" in text
    assert "customers.xlsx: not read, since it is not named .csv or .parquet" in text
    assert "orders.d" in text
    assert "DS_Store" not in text
    assert "SUCCESS" not in text


def test_lines_are_right_beyond_200_000_rows_although_insertion_order_is_not_kept(con, raw: Path, refresh) -> None:
    (raw / "orders").mkdir()
    query = "select i as order_id, date '2024-01-01' as ordered_at, i % 97 as total, repeat('x', 40) as note"
    duckdb.execute(f"copy ({query} from range(300000) t(i)) to '{raw}/orders/a.csv' (header)")
    duckdb.execute(f"copy ({query} from range(300000) t(i)) to '{raw}/orders/b.parquet' (row_group_size 20000)")
    refresh()
    wrong = (
        "select count(*), count(*) filter ("
        "_ritorno_line <> order_id::bigint + case when _ritorno_file like '%csv' then 2 else 1 end) from raw.orders"
    )
    assert rows(con, wrong) == [(600_000, 0)]


def test_lines_are_right_beyond_200_000_rows_with_broken_blank_and_long_ones(con, raw: Path, refresh) -> None:
    expected, line = {}, 2
    with (raw / "orders.csv").open("w") as file:
        file.write("order_id,ordered_at,total,note\n")
        for order in range(220_000):
            if order % 1000 == 7:
                file.write("\nbroken,row\n")
                line += 2
            note = '"two\nlines"' if order % 500 == 3 else "x"
            file.write(f"{order},2024-01-01,1,{note}\n")
            expected[str(order)] = line
            line += 1 + note.count("\n")
    report = refresh()
    assert report.rejected == 220
    assert dict(rows(con, "select order_id, _ritorno_line from raw.orders")) == expected


def test_a_file_that_is_still_being_written_is_refused_and_nothing_of_it_lands(con, put, refresh, monkeypatch) -> None:
    path = put("orders.csv", ORDERS)
    refresh()
    put("orders.csv", ORDERS + "3,2024-01-03,30\n")
    read = table_module._replace_rows

    def grow(*arguments) -> None:
        read(*arguments)
        with path.open("a") as file:
            file.write("4,2024-01-04,40\n")

    monkeypatch.setattr(table_module, "_replace_rows", grow)
    with pytest.raises(UnusableInput, match=r"orders\.csv: the file changed while it was being read.*rename it"):
        refresh()
    assert len(orders(con)) == 2
    assert rows(con, "select count(*) from landing.files") == [(1,)]
    monkeypatch.undo()
    refresh()
    assert len(orders(con)) == 4


def test_tables_that_a_loader_left_are_adopted(con) -> None:
    con.execute("create schema raw")
    con.execute("create table raw.orders as select 1 as Order_ID, now() as ordered_at, 1.5 as total")
    assert land(con, []).files == ()
    assert rows(con, "select order_id, email, _ritorno_file from raw.orders") == [(1, None, None)]
    land(con, [])


def test_files_beside_a_loaders_rows_leave_them_alone(con, put: Put, refresh: Refresh) -> None:
    con.execute("create schema raw")
    con.execute("create table raw.orders as select 7 as order_id, date '2024-01-01' as ordered_at, 1.5 as total")
    put("orders.csv", ORDERS)
    refresh()
    assert [order for order, _ in orders(con)] == ["1", "2", "7"]


def test_a_system_with_one_raw_table_takes_a_file_of_any_name(con, tmp_path: Path) -> None:
    path = tmp_path / "anything.csv"
    path.write_text(
        "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country\n1,A,x,1,2010,1,,UK\n"
    )
    land(con, [parse_source(f"online_retail={path}")])
    assert rows(con, 'select "Invoice", "Customer ID", "_ritorno_line" from raw.online_retail__lines') == [
        ("1", None, 2)
    ]


def test_the_newest_order_is_known_before_and_after_dbt(con, put: Put, refresh: Refresh) -> None:
    put("orders.csv", ORDERS + "3,not a date,1\n")
    refresh()
    assert str(newest_order_date(con)) == "2024-01-02"
    con.execute("create schema intermediate")
    con.execute("create table intermediate.int_canonical__orders as select date '2024-05-01' as event_date, "
                "'current' as row_status")  # fmt: skip
    assert str(newest_order_date(con)) == "2024-05-01"

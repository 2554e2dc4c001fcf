"""Every refusal names the file, what was found and the remedy, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from ritorno.errors import UnusableInput
from ritorno.landing import LandingReport, Source, land, parse_source

from .conftest import Put

Refresh = Callable[[], LandingReport]
ORDERS = "order_id,ordered_at,total\n1,2024-01-01,10.00\n"
PARQUET = "select '1' as order_id, date '2024-01-01' as ordered_at, 1.5 as total"


def contents(con: duckdb.DuckDBPyConnection) -> list[list[tuple[object, ...]]]:
    return [
        con.execute(f"select * from {table} order by all").fetchall()
        for table in ("raw.orders", "raw.order_items", "landing.files", "landing.rejects")
    ]


def refused(con: duckdb.DuckDBPyConnection, refresh: Refresh, *parts: str) -> None:
    """The refresh is refused, the message has these parts, and nothing changed."""
    has_landed = con.execute("select count(*) from duckdb_tables() where schema_name = 'raw'").fetchone() != (0,)
    before = contents(con) if has_landed else None
    with pytest.raises(UnusableInput) as caught:
        refresh()
    for part in parts:
        assert part in str(caught.value)
    if before is not None:
        assert contents(con) == before
    else:
        assert con.execute("select count(*) from duckdb_tables() where schema_name = 'raw'").fetchone() == (0,)
        assert con.execute("select count(*) from landing.files").fetchone() == (0,)


BAD_CSV = {
    "empty": (b"", ["the file is empty (0 bytes)", "first line", "Deliver it with a header"]),
    "only blanks": (b"\n \n", ["the file is empty", "header"]),
    "required column missing": (
        b"order_id,orderd_at,total\n1,2024-01-01,1\n",
        [
            "'ordered_at' of orders is missing",
            "found: order_id, orderd_at, total",
            "Did you mean 'orderd_at'?",
            "deliver the file again",
        ],
    ),
    "total and order_items missing": (
        b"order_id,ordered_at\n1,2024-01-01\n",
        ["the column 'total' or the table 'order_items'", "found: ", "Add one of them"],
    ),
    "no header": (
        b"1,2024-01-01,10\n2,2024-01-02,20\n",
        ["line 1", "none of the columns of orders", "1, 2024-01-01, 10", "must name the columns"],
    ),
    "duplicate names": (
        b"order_id,ordered_at,total, Total \n1,2024-01-01,1,2\n",
        ["'total' occurs 2 times", "found: order_id, ordered_at, total, Total", "Keep one of them"],
    ),
    "a name missing": (
        b",order_id,ordered_at,total\n0,1,2024-01-01,1\n",
        ["column 1 of the header has no name", "found: (no name), order_id", "leave it out"],
    ),
    "bookkeeping": (
        b"order_id,ordered_at,total,_ritorno_line\n1,2024-01-01,1,1\n",
        ["'_ritorno_line'", "Rename it"],
    ),
    "latin-1": (
        "order_id,ordered_at,total,note\n1,2024-01-01,1,ok\n2,2024-01-01,1,Grüße\n".encode("latin-1"),
        ["line 3", "0xFC", "not UTF-8", "Save the file as UTF-8"],
    ),
    "latin-1 header": (
        "order_id,ordered_at,total,größe\n1,2024-01-01,1,ok\n".encode("latin-1"),
        ["line 1", "0xF6", "Save the file as UTF-8"],
    ),
    "utf-16": (ORDERS.encode("utf-16"), ["UTF-16", "Save it as UTF-8"]),
    "utf-16 without mark": (ORDERS.encode("utf-16-le"), ["line 1", "NUL byte", "Export the table as CSV"]),
    "cut in a character": (ORDERS.encode() + "ü".encode()[:1], ["line 3", "cut off", "Deliver it again"]),
    "spreadsheet": (b"PK\x03\x04rest", ["spreadsheet (xlsx)", "Export the sheet as CSV"]),
    "parquet named csv": (b"PAR1....PAR1", ["a Parquet file", "Name it .parquet"]),
    "gzip": (b"\x1f\x8b\x08\x00", ["gzip-compressed", "Decompress"]),
    "binary": (ORDERS.encode() + b"\x00\x01\x02\n", ["line 3", "NUL byte", "Export the table"]),
    "old mac": (ORDERS.replace("\n", "\r").encode(), ["carriage returns", "Save it as CSV"]),
    "another delimiter": (
        b"order_id:ordered_at:total\n1:2:3\n",
        ["none of the columns", "found, but: order_id:ordered_at:total"],
    ),
}


@pytest.mark.parametrize("case", BAD_CSV)
@pytest.mark.parametrize("first", [True, False], ids=["first landing", "later landing"])
def test_a_csv_that_is_none_is_refused_by_name_with_the_remedy(con, put: Put, refresh, case: str, first: bool) -> None:
    content, parts = BAD_CSV[case]
    if not first:
        put("orders/0.csv", ORDERS)
        refresh()
    put("orders/1.csv", ORDERS)
    path = put("orders/2.csv", content)
    refused(con, refresh, str(path), *parts)


def test_parquet_that_is_none_is_refused_by_name_with_the_remedy(con, put: Put, parquet: Put, refresh) -> None:
    put("orders/0.csv", ORDERS)
    refresh()
    path = parquet("orders/1.parquet", f"{PARQUET} from range(100000)")
    whole = path.read_bytes()
    for content, parts in (
        (b"", ["empty (0 bytes)", "Deliver it again"]),
        (whole[:-100], ["cut off or damaged", "No magic bytes", "Deliver it again in full"]),
        (ORDERS.encode(), ["begins with b'orde'", "Name a CSV file .csv"]),
        (b"PAR1", ["cut off or damaged", "Deliver it again in full"]),
    ):
        path.write_bytes(content)
        refused(con, refresh, str(path), *parts)


def test_a_damaged_page_inside_a_parquet_file_changes_nothing(con, put: Put, parquet: Put, refresh) -> None:
    put("orders/0.csv", ORDERS)
    refresh()
    path = parquet("orders/1.parquet", "select i::varchar || md5(i::varchar) as order_id, date '2024-01-01' as "
                   "ordered_at, 1.5 as total from range(20000) t(i)")  # fmt: skip
    content = bytearray(path.read_bytes())
    content[100:4000] = bytes(3900)
    path.write_bytes(content)
    put("orders/00.csv", ORDERS)
    refused(con, refresh, str(path), "cut off or damaged", "Deliver it again")


def test_parquet_with_wrong_columns_is_refused_by_name(con, parquet: Put, refresh: Refresh) -> None:
    path = parquet("orders.parquet", "select 1 as order_id, 2 as Total, 3 as nested")
    refused(con, refresh, str(path), "'ordered_at' of orders is missing", "found: order_id, Total, nested")
    path = parquet("orders.parquet", """select 1 as order_id, 2 as "total", 3 as " TOTAL" """)
    refused(con, refresh, str(path), "'total' occurs 2 times", "Keep one of them")


def test_orders_without_total_land_when_lines_come_with_them(con, put: Put, refresh: Refresh) -> None:
    put("orders.csv", "order_id,ordered_at\n1,2024-01-01\n")
    put("order_items.csv", "order_id,product_id,quantity,unit_price\n1,p,1,10\n")
    assert refresh().rows == 2


def test_refunds_without_order_and_customer_are_refused(con, put: Put, refresh: Refresh) -> None:
    put("orders.csv", ORDERS)
    path = put("refunds.csv", "refund_id,refunded_at,amount\n1,2024-01-01,1\n")
    refused(con, refresh, str(path), "the column 'order_id' or the column 'customer_id'", "Add one of them")


def test_without_orders_the_run_stops_and_says_what_was_there(con, put: Put, refresh: Refresh, raw: Path) -> None:
    put("order.csv", ORDERS)
    put("customers.csv", "customer_id\n1\n")
    refused(con, refresh, str(raw), "required table orders is missing", "found: customers.csv",
            "Did you mean 'orders'?", "Put orders.csv")  # fmt: skip


def test_without_files_and_without_a_loaders_orders_the_run_stops(con) -> None:
    with pytest.raises(UnusableInput, match=r'raw\."orders": the required table is missing.*Give --raw DIR'):
        land(con, [])


def test_a_loaders_table_without_a_required_column_is_refused(con) -> None:
    con.execute("create schema raw")
    con.execute("create table raw.orders as select 1 as order_id, 2 as order_at, 3 as total")
    with pytest.raises(UnusableInput, match=r"'ordered_at' is missing.*found: order_at.*Did you mean 'order_at'"):
        land(con, [])
    con.execute("create or replace table raw.orders as select 1 as order_id, 2 as ordered_at")
    with pytest.raises(UnusableInput, match="the column 'total' or the table 'order_items'"):
        land(con, [])


def test_a_view_in_raw_is_refused_with_the_remedy(con) -> None:
    con.execute("create schema raw")
    con.execute("create view raw.orders as select 1 as order_id, now() as ordered_at, 3 as total")
    with pytest.raises(UnusableInput, match=r"it is a view.*create table raw"):
        land(con, [])


def test_a_dangling_link_is_refused_by_name(con, put: Put, raw: Path, refresh: Refresh) -> None:
    put("orders.csv", ORDERS)
    (raw / "customers.csv").symlink_to("nowhere.csv")
    refused(con, refresh, str(raw / "customers.csv"), "No such file", "Check that it exists")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("orders.csv", ["expected SYSTEM=PATH", "online_retail=lines.parquet"]),
        ("=x", ["expected SYSTEM=PATH"]),
        ("online_retial=x", ["no source system 'online_retial'", "Did you mean 'online_retail'?", "models/staging/"]),
    ],
)
def test_a_source_that_is_none_is_refused(text: str, parts: list[str]) -> None:
    with pytest.raises(UnusableInput) as caught:
        parse_source(text)
    for part in parts:
        assert part in str(caught.value)


def test_a_source_path_that_fits_nothing_is_refused(con, tmp_path: Path, put: Put) -> None:
    with pytest.raises(UnusableInput, match="nowhere: no such file or folder"):
        land(con, [Source("files", tmp_path / "nowhere")])
    with pytest.raises(UnusableInput, match=r"'order' is no raw table.*Did you mean 'orders'\?.*one of: orders,"):
        land(con, [Source("files", put("order.csv", ORDERS))])
    with pytest.raises(UnusableInput, match=r"orders\.xlsx: not named \.csv or \.parquet. Export"):
        land(con, [Source("files", put("orders.xlsx", "x"))])


def test_a_file_of_nothing_but_broken_rows_says_so_instead_of_filling_quarantine(con, put: Put, refresh, monkeypatch):
    monkeypatch.setattr("ritorno.landing.plan.MAX_REJECTS", 3)
    path = put("orders.csv", ORDERS + "x\n" * 10)
    refused(
        con, refresh, f"{path}, line 6", "more than 3 broken rows", "1 fields where the header names 3", "delimiter"
    )

"""The marts reproduce what is known about Online Retail II (shared/data/README.md), odd lines included."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from tests.orders.online_retail import FILE, RETURNS_COUNTED, RETURNS_IGNORED, STRICT, warehouse
from tests.support import Project

AS_OF = "2010-12-09"
MARTS = ("orders", "order_items", "refunds", "excluded_orders", "products")
needs_the_file = pytest.mark.skipif(FILE is None, reason="../shared/data/online_retail_II_y2009_2010.parquet is absent")


def built(policy: dict[str, Any], as_of: str = AS_OF, lines: str = "true") -> duckdb.DuckDBPyConnection:
    project = Project.compile(**policy)
    con = warehouse(project, lines)
    checks = ("int_orders__accounts", "int_orders__reconciliation", "int_online_retail__accounts")
    project.run(con, *MARTS, *checks, as_of=as_of)
    return con


@pytest.fixture(scope="module")
def returns_ignored() -> Iterator[duckdb.DuckDBPyConnection]:
    with built(RETURNS_IGNORED) as con:
        yield con


@pytest.fixture(scope="module")
def returns_counted() -> Iterator[duckdb.DuckDBPyConnection]:
    with built(RETURNS_COUNTED) as con:
        yield con


def one(con: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = con.execute(sql).fetchone()
    assert row is not None
    return row


@needs_the_file
def test_customers_orders_and_revenue_are_the_published_ones(returns_ignored: duckdb.DuckDBPyConnection) -> None:
    known = "from marts.orders where customer_key is not null"
    assert one(returns_ignored, f"select count(distinct customer_key), count(*) {known}") == (4312, 19213)
    exact = one(
        returns_ignored,
        """
        select sum(quantity * unit_price) from marts.order_items
        where order_key in (select order_key from marts.orders where customer_key is not null)
        """,
    )[0]
    assert round(exact, 2) == Decimal("8832003.27")
    # 14 of the lines are priced 0.001: money is rounded to cents per order, which takes 1.4 cents off the sum
    assert one(returns_ignored, f"select sum(net_revenue) {known}")[0] == exact - 14 * Decimal("0.001")


@needs_the_file
def test_repeat_customers_gaps_and_second_orders_are_the_published_ones(
    returns_ignored: duckdb.DuckDBPyConnection,
) -> None:
    returns_ignored.execute("create or replace temp view known as from marts.orders where customer_key is not null")
    repeat = "select count(distinct customer_key) from known where order_number = 2"
    assert one(returns_ignored, repeat) == (2893,)
    gaps = """
        with days as (select distinct customer_key, order_date from known),
        gaps as (
            select order_date - lag(order_date) over (partition by customer_key order by order_date) as gap from days
        )
        select count(gap), quantile_cont(gap, 0.5), quantile_cont(gap, 0.75), quantile_cont(gap, 0.9) from gaps
    """
    assert one(returns_ignored, gaps) == (12687, 28, 58, 113)
    within_90_days = """
        select count(*) filter (second_date - first_date <= 90), count(*)
        from (
            select min(order_date) as first_date, min(order_date) filter (order_number = 2) as second_date
            from known group by customer_key
        )
        where date '2010-12-09' - first_date >= 90
    """
    assert one(returns_ignored, within_90_days) == (1705, 3377)


@needs_the_file
def test_free_orders_and_returns_count_by_default(returns_counted: duckdb.DuckDBPyConnection) -> None:
    known = "from marts.orders where customer_key is not null"
    assert one(returns_counted, f"select count(distinct customer_key), count(*) {known}") == (4314, 19215)
    assert one(returns_counted, "select sum(amount), count(order_key) from marts.refunds") == (Decimal("483794.70"), 0)


@needs_the_file
def test_69_customers_have_only_returns(returns_counted: duckdb.DuckDBPyConnection) -> None:
    sql = "select count(distinct customer_key) from marts.refunds anti join marts.orders using (customer_key)"
    assert one(returns_counted, sql) == (69,)


@needs_the_file
def test_104_customers_have_bought_net_nothing_or_less(returns_counted: duckdb.DuckDBPyConnection) -> None:
    # free orders are the two customers more: they have a net of 0 without any priced line
    sql = """
        select count(*) filter (net <= 0), count(*) from (
            select sum(amount) as net from (
                select customer_key, net_revenue as amount from marts.orders where total > 0
                union all
                select customer_key, -amount from marts.refunds
            )
            where customer_key is not null
            group by customer_key
        )
    """
    assert one(returns_counted, sql) == (104, 4381)


@needs_the_file
def test_anonymous_orders_are_revenue_of_nobody(returns_ignored: duckdb.DuckDBPyConnection) -> None:
    sql = "select count(*) > 0, count(order_number) from marts.orders where customer_key is null"
    assert one(returns_ignored, sql) == (True, 0)


@needs_the_file
def test_adjustments_and_returns_of_nobody_are_listed_as_no_orders(returns_ignored: duckdb.DuckDBPyConnection) -> None:
    found = returns_ignored.execute(
        "select status, reason, count(*) from marts.excluded_orders where status is not null group by all order by all"
    ).fetchall()
    assert found == [("adjustment", "invalid_status", 3), ("credit_note", "invalid_status", 220)]


@needs_the_file
def test_no_line_and_no_order_is_lost_and_revenue_reconciles(returns_counted: duckdb.DuckDBPyConnection) -> None:
    lines = one(
        returns_counted,
        "select landed_lines, order_lines + return_lines + fee_lines + unreadable_lines, order_item_rows - order_lines"
        " from intermediate.int_online_retail__accounts",
    )
    assert lines == (525461, 525461, 0)
    orders = one(
        returns_counted,
        "select landed - current_orders, current_orders - valid - excluded from intermediate.int_orders__accounts",
    )
    assert orders == (0, 0)
    broken = "left_amount != right_amount or differences > 0"
    sql = f"select count(*) from intermediate.int_orders__reconciliation where {broken}"
    assert one(returns_counted, sql) == (0,)


@needs_the_file
@pytest.mark.parametrize(
    "lines", ['hash("Invoice") % 5 = 0', pytest.param("true", marks=pytest.mark.soak)], ids=["a fifth", "all"]
)
def test_a_run_as_of_a_past_day_equals_a_run_on_the_data_cut_at_that_day(lines: str) -> None:
    with (
        built(RETURNS_COUNTED, as_of="2010-06-30", lines=lines) as whole,
        built(RETURNS_COUNTED, as_of="2010-06-30", lines=f"{lines} and InvoiceDate < '2010-07-01'") as cut,
    ):
        assert one(whole, "select count(*) from marts.orders")[0] > 1000
        for mart in MARTS:
            sql = f"select * from marts.{mart} order by all"
            assert whole.execute(sql).fetchall() == cut.execute(sql).fetchall(), mart


def line(invoice: str | None, **values: Any) -> dict[str, Any]:
    return {
        "Invoice": invoice,
        "StockCode": "85123A",
        "Description": "HOLDER",
        "Quantity": "2",
        "InvoiceDate": "2010-07-01 00:30:00",
        "Price": "2.5",
        "Customer ID": "13085.0",
        "Country": "United Kingdom",
        **values,
    }


def test_unreadable_lines_are_reported_among_the_lines_whatever_invoice_they_stand_on() -> None:
    project = Project.compile(**RETURNS_COUNTED)
    rows = [
        line("1"),
        line("1", Quantity="2.5"),
        line("C2", Price="2,5o", Quantity="-1"),
        line("C2", Quantity="-1"),
        line(None),
        line("3", InvoiceDate="yesterday"),
    ]
    con = project.connect({"online_retail__lines": rows})
    project.run(con, "int_orders__items", "int_canonical__refunds", "int_online_retail__accounts", as_of=AS_OF)
    bad = con.execute(
        "select bad_column, bad_value from intermediate.int_canonical__order_items"
        " where row_status = 'quarantined' order by source_line"
    ).fetchall()
    assert bad == [("Quantity", "2.5"), ("Price", "2,5o"), ("Invoice", "null"), ("InvoiceDate", "yesterday")]
    assert one(con, "select count(*) from intermediate.int_orders__items") == (1,)
    assert one(con, "select refund_id, amount from intermediate.int_canonical__refunds") == ("C2", Decimal("2.5"))
    accounts = one(
        con,
        "select landed_lines, order_lines, return_lines, unreadable_lines"
        " from intermediate.int_online_retail__accounts",
    )
    assert accounts == (6, 1, 1, 4)


def test_an_invoice_begins_with_its_earliest_time_in_london_and_a_customer_lives_where_it_last_ordered() -> None:
    project = Project.compile(**RETURNS_COUNTED)
    rows = [
        line("1", InvoiceDate="2010-07-01 00:31:00"),
        line("1"),
        line("2", InvoiceDate="2010-08-01 10:00:00", Country="France"),
        line("3", InvoiceDate="2010-12-10 10:00:00", Country="Spain"),
        line("C4", InvoiceDate="2010-09-01 10:00:00", Country="EIRE", Quantity="-1"),
    ]
    con = project.connect({"online_retail__lines": rows})
    project.run(con, "int_canonical__orders", "int_canonical__customers", as_of=AS_OF)
    ordered = one(
        con,
        "select ordered_at::varchar, event_date::varchar from intermediate.int_canonical__orders where order_id = '1'",
    )
    assert ordered == ("2010-06-30 23:30:00", "2010-07-01")
    assert one(con, "select customer_id, country from intermediate.int_canonical__customers") == ("13085", "France")


def test_a_positive_line_on_a_return_nets_within_it_and_a_newer_file_replaces_an_invoice() -> None:
    project = Project.compile(**RETURNS_COUNTED)
    rows = [
        line("C1", Quantity="-4"),
        line("C1", Quantity="1"),
        line("C1", Quantity="-4", _ritorno_batch=2),
        line("C1", Quantity="1", _ritorno_batch=2),
    ]
    con = project.connect({"online_retail__lines": rows})
    project.run(con, "int_canonical__refunds", as_of=AS_OF)
    assert one(con, "select count(*), sum(amount) from intermediate.int_canonical__refunds") == (1, Decimal("7.5"))


def test_fee_codes_are_left_out_of_orders_when_the_policy_lists_them() -> None:
    project = Project.compile(**STRICT)
    con = project.connect({"online_retail__lines": [line("1"), line("1", StockCode="POST"), line("2", StockCode="M")]})
    project.run(con, "int_orders__items", "int_canonical__orders", "int_online_retail__accounts", as_of=AS_OF)
    assert one(con, "select count(*) from intermediate.int_orders__items") == (1,)
    assert one(con, "select count(*) from intermediate.int_canonical__orders") == (1,)
    assert one(con, "select fee_lines from intermediate.int_online_retail__accounts") == (2,)

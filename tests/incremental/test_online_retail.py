"""Online Retail II day by day: orders, returns and adjustments as a real shop sent them."""

from __future__ import annotations

import os
from datetime import date, timedelta

import pytest

from tests.incremental.shop import Warehouse
from tests.orders.online_retail import FILE, RETURNS_COUNTED
from tests.support import Project

BEGIN, DAYS = date(2010, 11, 1), int(os.environ.get("RITORNO_SOAK_DAYS", "38"))


@pytest.mark.soak
@pytest.mark.skipif(FILE is None, reason="../shared/data/online_retail_II_y2009_2010.parquet is absent")
def test_online_retail_day_by_day_is_the_same_as_built_in_full() -> None:
    warehouse = Warehouse(Project.compile(**RETURNS_COUNTED, incremental="always", incremental_max_share=1.0))
    warehouse.con.execute("set threads = 2")
    warehouse.con.execute("drop table raw.online_retail__lines")
    shares = []
    for number in range(DAYS):
        as_of = BEGIN + timedelta(days=number)
        warehouse.con.execute(
            f"""
            create or replace view raw.online_retail__lines as
            select *, 'lines.parquet' as _ritorno_file, file_row_number + 1 as _ritorno_line, {number} as _ritorno_batch
            from read_parquet('{FILE}', file_row_number = true)
            where cast("InvoiceDate" as date) <= date '{as_of}'
            """
        )
        run = warehouse.refresh({}, as_of)
        assert run["mode"] == ("incremental" if number else "full")
        if number:
            shares.append(run["touched_customers"] / run["customers"])
        assert warehouse.differences(as_of) == {}, as_of
    assert max(shares, default=0) < 0.1  # a day touches the customers of a day

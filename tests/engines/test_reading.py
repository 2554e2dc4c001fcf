"""What the readers of raw text say on DuckDB, which the other engines are held against."""

from __future__ import annotations

from datetime import datetime

import duckdb
import pytest

from tests.engines.rendering import render

POLICY = {"business_timezone": "Europe/Berlin", "raw_timezone": "UTC"}
NOON = datetime(2024, 7, 24, 12)


def read(zone: str, *texts: str) -> list[datetime | None]:
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'; create table given (k integer, t varchar)")
        con.executemany("insert into given values (?, ?)", list(enumerate(texts)))
        expression = render(f"{{{{ read_instant('t', '{zone}') }}}}", "duckdb", POLICY)
        return [instant for (instant,) in con.execute(f"select {expression} from given order by k").fetchall()]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_a_zones_name_in_one_row_moves_no_other_row(zone: str) -> None:
    # DuckDB 1.5: cast(… as timestamptz) reads the row after it in Berlin's time
    plain = read(zone, "2024-07-24 14:00:00")
    assert read(zone, "2024-07-24 14:00:00 Europe/Berlin", "2024-07-24 14:00:00") == [None, *plain]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
@pytest.mark.parametrize(
    "text",
    [
        *["2024-07-24T12:00:00Z", "2024-07-24 12:00:00 UTC", "2024-07-24T12:00Z", "2024-07-24 14:00:00+02"],
        *["2024-07-24T14:00+02:00", "2024-07-24 06:30:00.0-0530"],
    ],
)
def test_an_offset_wins_over_the_policys_zone(text: str, zone: str) -> None:
    assert read(zone, text) == [NOON]


@pytest.mark.parametrize("text", ["2024-07-24 12:00+16", "2024-07-24 12:00:00+02:00:30", "2024-07-24 12:00:00+1"])
def test_an_offset_that_no_place_has_is_not_left_out(text: str) -> None:
    assert read("UTC", text) == read("Asia/Tokyo", text) == [None]

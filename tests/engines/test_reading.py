"""What the readers of raw text say on DuckDB, which the other engines are held against."""

from __future__ import annotations

from datetime import datetime

import duckdb
import pytest

from tests.engines.macros import TEXTS, almost_values, literal
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


def test_text_that_is_read_the_quick_way_is_the_same_text() -> None:
    """DuckDB's trim takes off every kind of Unicode's spaces, but no tab and no line's end."""
    odd = [chr(code) for code in range(1, 0x3001) if not chr(code).isalnum()]
    values = [*TEXTS, *almost_values(1000), *odd, *(f"{blank}a{blank}b{blank}" for blank in odd)]
    rows = ", ".join(f"({literal(value, 'duckdb')})" for value in values)
    read = "{{ read_string('t') }} is distinct from {{ read_text('t') }}"
    with duckdb.connect() as con:
        sql = render(
            f"select t from (values (cast(null as varchar)), {rows}) as given (t) where {read}", "duckdb", POLICY
        )
        assert con.execute(sql).fetchall() == []

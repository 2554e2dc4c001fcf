"""CSV rows: values survive, broken rows are found, and every row is somewhere."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ritorno.landing import Source, land
from ritorno.landing.csv_files import DELIMITERS, Dialect, Reject, Row, scan, split
from tests.support.examples import many

HEADER = ["order_id", "ordered_at", "total", "note"]
# Everything that CSV can trip over, much more often than by chance.
QUOTE, CR, LF, TAB = '"', "\r", "\n", "\t"
TRICKY = st.sampled_from(
    [QUOTE, CR, LF, TAB, *"',;| ab0\\#", '""', "\r\n", "ü", "日本", "\U0001f600", "\ufeff", "NULL"]
)
VALUES = st.lists(TRICKY, max_size=6).map("".join) | st.text(
    st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=8
)


def written(rows: list[list[str]], delimiter: str, end: str, quoting: int) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows([HEADER, *rows])
    return buffer.getvalue()


@pytest.fixture
def warehouse() -> Iterator[duckdb.DuckDBPyConnection]:
    """One for all examples: each replaces the file of the one before."""
    with duckdb.connect() as con:
        con.execute("set threads = 1")
        con.execute("set preserve_insertion_order = false")
        yield con


def landed(
    con: duckdb.DuckDBPyConnection, folder: Path, text: str
) -> tuple[list[tuple[str, ...]], list[tuple[int, str | None, str, str]]]:
    (folder / "orders.csv").write_bytes(text.encode())
    land(con, [Source("files", folder)], scratch=folder.parent / "tmp")
    rows = con.execute(f"select {', '.join(HEADER)} from raw.orders order by _ritorno_line").fetchall()
    assert con.execute("select count(distinct _ritorno_line) from raw.orders").fetchone() == (len(rows),)
    rejects = con.execute("select line, column_name, value, reason from landing.rejects order by line").fetchall()
    return rows, rejects


@settings(max_examples=many(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=6),
    delimiter=st.sampled_from(DELIMITERS),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
@example(values=[("a\r\nb", '"', ""), ("", "", "")], delimiter=",", end="\r\n", quoting=csv.QUOTE_MINIMAL)
@example(values=[('5" pipe', "a\n\nb", "x")], delimiter=";", end="\n", quoting=csv.QUOTE_MINIMAL)
def test_every_value_that_a_csv_can_hold_survives(
    warehouse, raw, values, delimiter: str, end: str, quoting: int
) -> None:
    if any("\r" in value for row in values for value in row):
        quoting = csv.QUOTE_ALL  # Python 3.11 leaves a bare carriage return unquoted
    rows = [[f"id{at}", *row] for at, row in enumerate(values)]
    found, rejects = landed(warehouse, raw, written(rows, delimiter, end, quoting))
    assert rejects == []
    assert found == [tuple(value if value else None for value in row) for row in rows]


BROKEN = [
    ["x"],
    ["x", "2024-01-01", "1"],
    ["x", "2024-01-01", "1", "n", "more"],
    ['"x"y', "2024-01-01", "1", "n"],
    ["x", "2024-01-01", '"1', "n"],
    ["x", "2024-01-01", "1", '"never closed'],
]


@settings(max_examples=many(80), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    items=st.lists(st.sampled_from(BROKEN) | st.tuples(VALUES, VALUES).map(list) | st.just([]), max_size=8),
    delimiter=st.sampled_from(DELIMITERS),
)
@example(items=[BROKEN[4], ["a\nb", "c"], BROKEN[5]], delimiter=",")
def test_good_rows_and_broken_rows_are_all_the_rows_that_were_written(warehouse, raw, items, delimiter: str) -> None:
    """Broken rows stand between good ones that hold nothing that would close a stray quote."""
    text, expected_good, expected_bad, line = delimiter.join(HEADER) + "\n", [], [], 2
    for at, item in enumerate(items):
        if item in BROKEN:
            record = delimiter.join(item)
            expected_bad.append((line, record))
        elif item:
            taboo = str.maketrans("", "", '"\r\n' + delimiter)
            record = delimiter.join([f"id{at}", "2024-01-01", *(value.translate(taboo) for value in item)])
            expected_good.append((f"id{at}", line))
        else:
            record = ""  # a blank line is no row
        text += record + "\n"
        line += 1
    found, rejects = landed(warehouse, raw, text)
    assert [row[0] for row in found] == [order for order, _ in expected_good]
    assert [(number, value) for number, _, value, _ in rejects] == expected_bad


def judged(tmp_path: Path, text: str) -> list[Row | Reject]:
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    return list(split(path, Dialect(",", ("a", "b", "c"))))


@pytest.mark.parametrize(
    ("record", "column", "reason"),
    [
        ("1,2", "c", "2 fields where the header names 3"),
        ("1,2,3,4", None, "4 fields where the header names 3"),
        ('1,"2"x,3', "b", "text beside a quoted value"),
        ('1,2,"3', "c", "a quote that is not closed"),
        ("1,2\r,3", "b", "a carriage return"),
        ('"1","2",3,4', None, "4 fields where the header names 3"),
    ],
)
def test_a_broken_row_names_line_column_value_and_reason_and_costs_nobody_else(
    tmp_path: Path, record: str, column: str | None, reason: str
) -> None:
    before, broken, after = judged(tmp_path, f"a,b,c\n7,8,9\n{record}\n4,5,6\n")
    assert isinstance(broken, Reject)
    assert (broken.line, broken.column, broken.value) == (3, column, record)
    assert reason in broken.reason
    assert (before, after) == (Row(2, b"7,8,9"), Row(4, b"4,5,6"))


def test_a_stray_quote_swallows_no_rows(tmp_path: Path) -> None:
    found = judged(tmp_path, 'a,b,c\n1,"x,3\n4,5,6\n7,"8",9\n')
    assert [item.line for item in found if isinstance(item, Row)] == [3, 4]
    assert [item.line for item in found if isinstance(item, Reject)] == [2]


def test_rows_after_values_and_headers_of_many_lines_keep_their_line(tmp_path: Path) -> None:
    found = judged(tmp_path, 'a,b,"c\nc"\n1,"x\n\ny",3\n\n4,5,6\n')
    assert [item.line for item in found] == [3, 7]


def test_a_row_longer_than_duckdb_reads_is_a_broken_row(warehouse, raw: Path) -> None:
    text = "order_id,ordered_at,total,note\n1,2024-01-01,1," + "x" * 2_000_000 + "\n2,2024-01-01,1,ok\n"
    found, rejects = landed(warehouse, raw, text)
    assert [row[0] for row in found] == ["2"]
    assert [(line, len(value)) for line, _, value, _ in rejects] == [(2, 1000)]


def test_many_stray_quotes_take_no_quadratic_time(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b,c\n" + '1,"x,3\n' + "4,5,6\n" * 200_000)
    assert sum(isinstance(item, Row) for item in split(path, Dialect(",", ("a", "b", "c")))) == 200_000
    path.write_text("a,b,c\n" + '1,"x,3\n4,5,6\n' * 50_000)
    assert sum(isinstance(item, Row) for item in split(path, Dialect(",", ("a", "b", "c")))) == 50_000


def test_a_regular_file_is_read_in_place_and_an_irregular_one_is_known(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for text, clean in (
        ("order_id,b\n1,2\n", True),
        ("order_id,b\n1,2", True),
        ("order_id,b\r\n1,2\r\n3,4", True),
        ('order_id,b\n"1","2,""x"""\n', True),
        ("order_id,b\n1,2\n\n", False),
        ("order_id,b\n1,2\r\n", False),
        ('order_id,b\n1,"2\n3"\n', False),
        ("order_id,b\n1\n", False),
    ):
        path.write_bytes(text.encode())
        assert scan(path, ["order_id"]).is_clean is clean, text

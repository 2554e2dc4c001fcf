"""Quarantined rows as files a person can open."""

from __future__ import annotations

from pathlib import Path

from ritorno.home import Home
from ritorno.landing import export_quarantine

ROWS = """
create schema if not exists quarantine;
create or replace table quarantine.quarantined_rows as
select * from (values
    ('files', 'orders', '17', '/raw/orders.csv', 12, 3, 'total', '12,5o', 'no number'),
    ('files', 'orders', null, '/raw/orders.csv', 4, 3, null, e'a\n"b",c', '2 fields where the header names 3'),
    ('files', 'refunds', null, null, null, null, 'refund_id', null, 'the key is null')
) as t (system, entity, row_key, source_file, source_line, source_batch, bad_column, bad_value, bad_reason)
"""


def test_each_table_gets_a_file_and_clean_tables_lose_theirs(con, tmp_path: Path) -> None:
    home = Home(tmp_path / "home").ensure()
    con.execute(ROWS)
    assert export_quarantine(con, home) == {"orders": 2, "refunds": 1}
    text = (home.quarantine / "orders.csv").read_text()
    assert text.splitlines()[0] == "system,row_key,source_file,source_line,source_batch,bad_column,bad_value,bad_reason"
    assert text.index("2 fields") < text.index("12,5o"), "in the order of the file's lines"
    found = con.execute("select bad_value from read_csv(?, all_varchar = true)", [str(home.quarantine / "orders.csv")])
    assert found.fetchall() == [('a\n"b",c',), ("12,5o",)]
    con.execute("delete from quarantine.quarantined_rows where entity = 'orders'")
    assert export_quarantine(con, home) == {"refunds": 1}
    assert [path.name for path in home.quarantine.iterdir()] == ["refunds.csv"]
    assert list(home.tmp.iterdir()) == []


def test_a_reader_holding_the_old_file_keeps_it_whole(con, tmp_path: Path) -> None:
    home = Home(tmp_path / "home").ensure()
    con.execute(ROWS)
    export_quarantine(con, home)
    with (home.quarantine / "orders.csv").open() as reader:
        first = reader.readline()
        con.execute("update quarantine.quarantined_rows set bad_reason = 'other'")
        export_quarantine(con, home)
        assert "no number" in first + reader.read()
    assert "no number" not in (home.quarantine / "orders.csv").read_text()

"""What tests remember of empty tables is what the project makes of them, and is never taken for more."""

from __future__ import annotations

import duckdb
import pytest

from tests.support import Project, nothing

DAY = "2024-06-01"
MODELS = ("customers", "customer_loyalty")


def _columns_and_rows(con: duckdb.DuckDBPyConnection) -> dict[str, tuple[list[tuple[object, ...]], int | None]]:
    """Every relation's columns, and how many rows it has where it is a table."""
    tables = con.execute(
        "select table_schema || '.' || table_name, table_type from information_schema.tables "
        "where table_catalog = 'warehouse' and table_schema <> 'landing'"
    ).fetchall()
    found = {}
    for name, kind in tables:
        columns = con.execute(f"describe {name}").fetchall()
        (rows,) = con.execute(f"select count(*) from {name}").fetchone() or (None,)
        found[f"{kind} {name}"] = ([column[:2] for column in columns], rows)
    return found


def test_what_is_remembered_is_what_the_sql_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nothing, "_MADE", {})
    project = Project.compile()
    order = [{"order_id": "1", "customer_id": "a", "ordered_at": "2024-05-01T10:00:00Z", "total": "5"}]
    seen = []
    for remember in (False, True, True):
        con = project.connect({"orders": order})
        project.run(con, *MODELS, as_of=DAY, remember=remember)
        seen.append(_columns_and_rows(con))
    assert len(nothing._MADE) > 40
    assert seen[0] == seen[1] == seen[2]
    assert seen[0]["BASE TABLE marts.customers"][1] == 1


def test_rows_that_come_later_are_not_overlooked() -> None:
    project = Project.compile()
    order = {"order_id": "1", "customer_id": "a", "ordered_at": "2024-05-01T10:00:00Z", "total": "5"}
    for _ in range(2):
        con = project.connect({})
        project.run(con, "customers", as_of=DAY)
    project.load_raw(con, {"orders": [order]})
    with pytest.raises(duckdb.Error, match=r"stg_files__orders was made when there was nothing in raw\.orders"):
        con.execute("from staging.stg_files__orders")
    project.run(con, "customers", as_of=DAY)
    assert con.execute("select count(*) from marts.customers").fetchone() == (1,)

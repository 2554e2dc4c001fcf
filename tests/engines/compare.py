"""Whether two published files say the same, value by value, as `ritorno verify` compares."""

from __future__ import annotations

from collections.abc import Collection

import duckdb

from ritorno import comparison, sql


def marts_of(path: str) -> set[str]:
    """The marts of a published file, without the table that names the run."""
    with duckdb.connect(path, read_only=True) as con:
        tables = con.execute("select table_name from duckdb_tables() where schema_name = 'marts'").fetchall()
    return {name for (name,) in tables} - {"published_run"}


def differences(left: str, right: str, only: Collection[str] = ()) -> dict[str, str]:
    """By mart, how they differ, all of them or some only; empty where both say the same."""
    ours, theirs = (marts_of(path) & set(only) if only else marts_of(path) for path in (left, right))
    found = {"marts": f"only in one: {sorted(ours ^ theirs)}"} if ours != theirs else {}
    with duckdb.connect() as con:
        for name, path in (("one", left), ("other", right)):
            con.execute(f"attach {sql.text(path)} as {name} (read_only)")
        different = comparison.differences(con, sorted(ours & theirs), "one.marts", "other.marts")
    return found | {difference.mart: str(difference) for difference in different}

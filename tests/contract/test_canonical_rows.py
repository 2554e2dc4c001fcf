"""What becomes of every landed row: quarantined, duplicate, superseded, deleted or current, each with its count.

dbt's own unit tests can't run here: their context has no `graph.sources`, where the canonical macro finds the
contract. These run the same compiled SQL.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ritorno import contract
from tests.support import Project
from tests.support.examples import many

AS_OF = "2024-03-31"
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture(scope="module")
def project() -> Project:
    return Project.compile()


def refund(refund_id: str, **values: Any) -> dict[str, Any]:
    return {"refund_id": refund_id, "customer_id": "c", "refunded_at": "2024-01-05", "amount": "5", **values}


def statuses(project: Project, entity: str, rows: list[dict[str, Any]], **others: Any) -> list[str]:
    con = project.connect({entity: rows, **others})
    project.run(con, f"int_canonical__{entity}", as_of=AS_OF)
    query = f"select row_status from intermediate.int_canonical__{entity} order by source_line"
    return [row["row_status"] for row in project.query(con, query)]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([refund("a")], ["current"], id="a row alone is current"),
        pytest.param([refund("a", amount="12,5o")], ["quarantined"], id="an unreadable amount"),
        pytest.param([refund("a", refunded_at="2024-02-30")], ["quarantined"], id="a date that is none"),
        pytest.param([refund("a", refunded_at="infinity")], ["quarantined"], id="an infinite time"),
        pytest.param([refund("")], ["quarantined"], id="an empty key"),
        pytest.param([refund("a", customer_id=None)], ["quarantined"], id="neither order nor customer"),
        pytest.param([refund("a"), refund("a")], ["current", "duplicate"], id="the same content twice"),
        pytest.param(
            [refund("a", updated_at="2024-01-01"), refund("a", updated_at="2024-02-01")],
            ["superseded", "current"],
            id="the newest version is current",
        ),
        pytest.param(
            [refund("a", updated_at="2024-01-01"), refund("a", updated_at="2024-03-31T22:30:00Z")],
            ["current", "superseded"],
            id="a version written after as-of (local midnight) is ignored",
        ),
        pytest.param(
            [refund("a", updated_at="2024-05-01"), refund("a", updated_at="2024-06-01")],
            ["current", "superseded"],
            id="of versions that all lie after as-of the oldest stands",
        ),
        pytest.param(
            [
                refund("a", updated_at="2024-01-01"),
                refund("a", updated_at="2024-02-01"),
                refund("a", updated_at="2024-01-01"),
            ],
            ["superseded", "current", "duplicate"],
            id="an old version landed once more is a duplicate of it",
        ),
        pytest.param([refund("a", deleted_at="2024-03-31T21:30:00Z")], ["deleted"], id="deleted on the as-of day"),
        pytest.param([refund("a", deleted_at="2024-04-01")], ["current"], id="a deletion after as-of has not happened"),
        pytest.param(
            [refund("a", _ritorno_batch=2), refund("a", amount="6", _ritorno_batch=1)],
            ["current", "superseded"],
            id="without updated_at the later batch wins",
        ),
        pytest.param(
            [refund("a", updated_at="2024-02-01"), refund("a", updated_at="yesterday")],
            ["current", "quarantined"],
            id="an unreadable version leaves the good one current",
        ),
    ],
)
def test_row_status_of_a_keyed_table(project: Project, rows: list[dict[str, Any]], expected: list[str]) -> None:
    assert statuses(project, "refunds", rows) == expected


def test_an_item_without_its_order_is_quarantined_until_the_order_arrives(project: Project) -> None:
    item = {"order_item_id": "i", "order_id": "o", "product_id": "p", "quantity": 1, "unit_price": "2.50"}
    order = {"order_id": "o", "ordered_at": "2024-01-01T10:00:00+01:00", "total": "2.50"}
    assert statuses(project, "order_items", [item]) == ["quarantined"]
    assert statuses(project, "order_items", [item], orders=[order | {"total": "2,5O"}]) == ["quarantined"]
    assert statuses(project, "order_items", [item], orders=[order]) == ["current"]


def test_equal_lines_without_an_id_are_no_duplicates_and_a_newer_batch_replaces_them(project: Project) -> None:
    order = {"order_id": "o", "ordered_at": "2024-01-01", "total": "2.50"}
    line = {"order_id": "o", "product_id": "p", "quantity": 1, "unit_price": "2.50"}
    assert statuses(project, "order_items", [line, line], orders=[order]) == ["current", "current"]
    newer = line | {"_ritorno_batch": 2}
    assert statuses(project, "order_items", [line, line, newer], orders=[order]) == [
        "superseded",
        "superseded",
        "current",
    ]


def test_an_undecidable_version_within_a_batch_is_said_to_be_ambiguous(project: Project) -> None:
    con = project.connect({"refunds": [refund("a", amount="5"), refund("a", amount="6"), refund("b"), refund("b")]})
    project.run(con, "int_canonical__refunds", as_of=AS_OF)
    rows = project.query(con, "select refund_id, is_ambiguous, row_status from intermediate.int_canonical__refunds")
    assert {row["refund_id"] for row in rows if row["is_ambiguous"]} == {"a"}
    assert Counter(row["row_status"] for row in rows if row["refund_id"] == "a") == {"current": 1, "superseded": 1}


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("total", "12,5o", "total is no decimal number"),
        ("ordered_at", "soon", "ordered_at is no ISO 8601 time between 1900 and 2200"),
        ("order_id", " ", "order_id is missing"),
        ("is_test", "maybe", "is_test is neither true nor false"),
        ("store_timezone", "Europe/Atlantis", "store_timezone is no IANA time zone"),
        ("updated_at", "20024-01-01", "updated_at is no ISO 8601 time between 1900 and 2200"),
    ],
)
def test_a_quarantined_row_names_file_line_column_value_and_reason(
    project: Project, column: str, value: str, reason: str
) -> None:
    good = {"order_id": "1", "ordered_at": "2024-01-01", "total": "5"}
    (row,) = project.rows({"orders": [good | {column: value}]}, "int_canonical__orders", AS_OF)
    found = {name: row[name] for name in ("source_file", "source_line", "bad_column", "bad_value", "bad_reason")}
    assert found == {
        "source_file": "orders.csv",
        "source_line": 2,
        "bad_column": column,
        "bad_value": value.strip() or None,
        "bad_reason": reason,
    }


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2024-07-01T02:00:00+02:00", None, (datetime(2024, 7, 1), date(2024, 7, 1))),
        ("2024-06-30T23:30:00Z", None, (datetime(2024, 6, 30, 23, 30), date(2024, 7, 1))),
        ("2024-07-01 02:00:00", "America/New_York", (datetime(2024, 7, 1, 2), date(2024, 6, 30))),
        ("2024-03-31T00:59:59Z", None, (datetime(2024, 3, 31, 0, 59, 59), date(2024, 3, 31))),
        ("2024-10-27T23:00:00Z", None, (datetime(2024, 10, 27, 23), date(2024, 10, 28))),
        ("2024-10-26T22:30:00Z", None, (datetime(2024, 10, 26, 22, 30), date(2024, 10, 27))),
    ],
)
def test_an_order_belongs_to_the_shops_day(
    project: Project, text: str, zone: str | None, expected: tuple[datetime, date]
) -> None:
    order = {"order_id": "1", "ordered_at": text, "total": "5", "store_timezone": zone}
    (row,) = project.rows({"orders": [order]}, "int_canonical__orders", "2025-01-01")
    assert (row["ordered_at"], row["event_date"]) == expected


def test_a_time_without_an_offset_is_read_in_the_policys_zone() -> None:
    project = Project.compile(raw_timezone="America/New_York")
    orders = [
        {"order_id": "1", "ordered_at": "2024-07-01 02:00:00"},
        {"order_id": "2", "ordered_at": "2024-07-01 02:00:00Z"},
        {"order_id": "3", "ordered_at": "2024-07-01"},
        {"order_id": "4", "ordered_at": "2024-07-01T02:00:00-07:00"},
    ]
    rows = project.rows({"orders": orders}, "int_canonical__orders", AS_OF, order_by="order_id")
    assert [row["ordered_at"] for row in rows] == [
        datetime(2024, 7, 1, 6),
        datetime(2024, 7, 1, 2),
        datetime(2024, 7, 1, 4),
        datetime(2024, 7, 1, 9),
    ]


def test_every_entity_that_nobody_provides_is_an_empty_table_with_its_columns() -> None:
    project = Project.compile(systems={"files": ["orders"]})
    con = project.connect({"orders": [{"order_id": "1", "ordered_at": "2024-01-01", "total": "5"}]})
    for name, table in contract.systems()["files"].items():
        project.run(con, f"int_canonical__{name}", as_of=AS_OF)
        relation = con.execute(f"select * from intermediate.int_canonical__{name}")
        assert {column[0] for column in relation.description or []} >= set(table.column_names)
        assert len(relation.fetchall()) == (1 if name == "orders" else 0)


# An independent reading of the rules, row by row.

instants = st.integers(0, 200).map(lambda hours: datetime(2024, 3, 27, tzinfo=UTC) + timedelta(hours=hours))
version = st.fixed_dictionaries(
    {
        "refund_id": st.sampled_from(["a", "b"]),
        "amount": st.sampled_from(["1", "2", "x"]),
        "updated_at": st.none() | instants,
        "deleted_at": st.none() | instants,
        "_ritorno_batch": st.integers(1, 3),
    }
)


def day(instant: datetime | None) -> date:
    return instant.astimezone(BERLIN).date() if instant else date(1900, 1, 1)


def expected_current(versions: list[dict[str, Any]], as_of: date) -> dict[str, Any]:
    """The version that stands on `as_of`, by METRICS.md; the caller leaves undecidable keys out."""
    known = [v for v in versions if day(v["updated_at"]) <= as_of]
    pool = known or [min(versions, key=lambda v: v["updated_at"])]
    return max(pool, key=lambda v: (v["updated_at"] or datetime.min.replace(tzinfo=UTC), v["_ritorno_batch"]))


@settings(max_examples=many(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(version, max_size=8), st.randoms())
def test_versions_agree_with_a_plain_reading_of_the_rules_in_any_order(
    project: Project, versions: list[dict[str, Any]], random: Any
) -> None:
    as_of = date(2024, 3, 31)
    rows = [v | {"customer_id": "c", "refunded_at": "2024-01-05"} for v in versions]
    random.shuffle(rows)
    con = project.connect({"refunds": rows})
    project.run(con, "int_canonical__refunds", as_of=as_of)
    found = project.query(con, "select *, refund_id as id from intermediate.int_canonical__refunds")
    assert len(found) == len(versions)
    assert Counter(r["row_status"] for r in found)["quarantined"] == sum(v["amount"] == "x" for v in versions)
    for key in ("a", "b"):
        readable = [v for v in versions if v["refund_id"] == key and v["amount"] != "x"]
        standing = [r for r in found if r["id"] == key and r["row_status"] in ("current", "deleted")]
        assert len(standing) == (1 if readable else 0)
        if not readable or any(r["is_ambiguous"] for r in found if r["id"] == key):
            continue
        after = [v for v in readable if day(v["updated_at"]) > as_of]
        if len(after) == len(readable) and len({v["updated_at"] for v in after}) < len(after):
            continue  # several versions of one instant after as-of: the batch decides, tested above
        chosen = expected_current(readable, as_of)
        is_deleted = chosen["deleted_at"] is not None and day(chosen["deleted_at"]) <= as_of
        assert str(standing[0]["amount"]) == f"{chosen['amount']}.0000"
        assert standing[0]["row_status"] == ("deleted" if is_deleted else "current")

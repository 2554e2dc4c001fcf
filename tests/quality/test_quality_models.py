"""The real SQL of the quality models: where rows went, what stops a run, what data_quality tells."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ritorno.home import PROJECT_ROOT
from tests.support import Project
from tests.support.examples import many

AS_OF = "2024-03-31"
MODELS = ("int_quality__row_accounts", "int_quality__quarantine_shares", "quarantined_rows", "data_quality")


@pytest.fixture(scope="session")
def project():
    return Project.compile()


def order(order_id, **columns):
    return {"order_id": order_id, "ordered_at": "2024-03-01T10:00:00Z", "total": "10.00", **columns}


def reject(con, table="orders", system="files", batch=1, count=1):
    for line in range(count):
        con.execute(
            "insert into landing.rejects values (?, ?, 'orders.csv', ?, ?, null, 'a,b', 'has 2 fields instead of 3')",
            [system, table, 1000 + line, batch],
        )


def built(project, raw, rejects=(), models=MODELS):
    con = project.connect(raw)
    for given_reject in rejects:
        reject(con, **given_reject)
    project.run(con, *models, as_of=AS_OF)
    return con


def accounts(con, entity="orders", system="files"):
    (row,) = Project.query(
        con,
        f"select * from intermediate.int_quality__row_accounts where entity = '{entity}' and system = '{system}'",
    )
    return {name: value for name, value in row.items() if name not in {"system", "entity"}}


def singular_test(con, name):
    """The rows a singular dbt test finds: it is a select over one relation."""
    sql = Path(PROJECT_ROOT, "tests", "dbt", f"{name}.sql").read_text(encoding="utf-8")
    for model in ("int_quality__row_accounts", "int_quality__quarantine_shares"):
        sql = sql.replace("{{ ref('" + model + "') }}", f"intermediate.{model}")
    return Project.query(con, sql)


def refund(refund_id, order_id):
    return {"refund_id": refund_id, "order_id": order_id, "refunded_at": "2024-03-05T00:00:00Z", "amount": "1"}


EVERY_FATE = {
    "orders": [
        order("1", updated_at="2024-03-02T00:00:00Z"),
        order("1", total="9.00", updated_at="2024-03-01T00:00:00Z"),
        order("2"),
        order("2"),
        order("3", deleted_at="2024-03-10T00:00:00Z"),
        order("4", total="12,5o"),
        order("5", status="cancelled"),
        order("6", ordered_at="2024-05-01T10:00:00Z"),
        order("7", currency="XXX"),
        order("8", total="1"),
        order("8", total="2"),
        order("9", status=" Teleported ", email="a@example.org"),
    ],
    "order_items": [
        {"order_item_id": "i1", "order_id": "nobody", "product_id": "p", "quantity": "1", "unit_price": "1"},
        {"order_item_id": "i2", "order_id": "1", "product_id": "p", "quantity": "1", "unit_price": "8.00"},
    ],
    "refunds": [refund("r1", "1"), refund("r2", "5"), refund("r3", "unknown")],
}


@pytest.fixture(scope="module")
def shop(project):
    """Every fate a row can have, built once and only read."""
    return built(project, EVERY_FATE, rejects=[{"count": 2}, {"system": "online_retail", "table": "lines", "count": 2}])


def test_every_landed_order_is_accounted_for_whatever_became_of_it(shop):
    assert accounts(shop) == {
        "landed": 14, "current_rows": 7, "superseded": 2, "duplicate": 1, "deleted": 1, "erased": 0,
        "quarantined": 3, "difference": 0, "valid": 4, "excluded": 1, "after_as_of": 1, "quarantined_later": 1,
        "orders_difference": 0, "adds_up": True,
    }  # fmt: skip
    assert accounts(shop, "order_items")["quarantined"] == 1
    assert singular_test(shop, "assert_row_accounts_add_up") == []


def test_a_row_lost_on_the_way_is_found_by_the_singular_test(project):
    con = built(project, EVERY_FATE, models=["int_quality__row_accounts"])
    con.execute("delete from intermediate.int_canonical__orders where order_id = '2' and row_status = 'current'")
    for model in ("int_quality__row_statuses", "int_orders__accounts", "int_quality__row_accounts"):
        project._build(con, project._node(model), AS_OF)
    (lost,) = singular_test(con, "assert_row_accounts_add_up")
    assert (lost["entity"], lost["difference"], lost["orders_difference"]) == ("orders", 1, -1)


def test_every_entity_has_an_account_even_without_a_row(shop):
    rows = Project.query(shop, "select * from intermediate.int_quality__row_accounts where system = 'files'")
    assert len(rows) == 21
    assert {row["landed"] for row in rows if row["entity"] not in EVERY_FATE} == {0}
    assert all(row["adds_up"] for row in rows)


def test_broken_lines_of_a_system_of_ones_own_are_accounted_under_its_raw_table(shop):
    found = accounts(shop, "lines", "online_retail")
    assert (found["landed"], found["quarantined"], found["adds_up"]) == (2, 2, True)


def test_quarantined_rows_name_file_line_column_value_and_reason(shop):
    rows = Project.query(
        shop,
        "select entity, row_key, source_file, source_line, bad_column, bad_value, bad_reason, counts_against_limit "
        "from quarantine.quarantined_rows where system = 'files' order by all",
    )
    broken = ("orders", None, "orders.csv", None, "a,b", "has 2 fields instead of 3", True)
    assert [tuple(row.values()) for row in rows] == [
        ("order_items", "i1", "order_items.csv", 2, "order_id", "nobody", "no row of orders has this order_id", True),
        ("orders", "4", "orders.csv", 7, "total", "12,5o", "total is no decimal number", True),
        ("orders", "7", "orders.csv", 10, "currency", "XXX", "no_exchange_rate", False),
        (*broken[:3], 1000, *broken[3:]),
        (*broken[:3], 1001, *broken[3:]),
    ]


def orders_with(bad, total, batch=1, start=0):
    return [order(str(start + i), total="oops" if i < bad else "1.00", _ritorno_batch=batch) for i in range(total)]


def over_limit(con):
    return {(row["scope"], row["source_batch"]) for row in singular_test(con, "assert_quarantine_within_limit")}


@pytest.mark.parametrize(
    ("raw", "rejects", "stopped"),
    [
        (orders_with(5, 100), (), set()),  # exactly the limit
        (orders_with(6, 100), (), {("batch", 1), ("table", None)}),
        (orders_with(4, 98), [{"count": 2}], {("batch", 1), ("table", None)}),  # 6 of 100, rejects included
        (orders_with(50, 99) + orders_with(0, 2000, 2, 1000), (), set()),  # a small batch says nothing
        (orders_with(50, 100) + orders_with(0, 2000, 2, 1000), (), {("batch", 1)}),  # a large one does
        (orders_with(1, 10), (), {("table", None)}),  # the table always has a limit
    ],
)
def test_a_share_beyond_the_limit_stops_the_run_by_batch_from_100_rows_on_and_by_table(project, raw, rejects, stopped):
    con = built(project, {"orders": raw}, rejects, models=["int_quality__quarantine_shares"])
    assert over_limit(con) == stopped


def test_orders_without_an_exchange_rate_are_quarantined_but_stop_nothing(project):
    raw = {"orders": [order(str(i), currency="XXX") for i in range(200)]}
    con = built(project, raw, models=["int_quality__quarantine_shares", "quarantined_rows"])
    assert over_limit(con) == set()
    assert con.execute("select count(*) from quarantine.quarantined_rows").fetchone() == (200,)


def checks(con, where):
    return Project.query(con, f"select * from marts.data_quality where {where} order by check_name, subject, item")


def test_data_quality_tells_what_was_checked_how_many_and_why(shop):
    (account,) = checks(shop, "check_name = 'row_accounts' and subject = 'orders' and system = 'files'")
    assert account["why"] == (
        "14 landed = 7 current + 2 superseded + 1 duplicate + 1 deleted + 0 erased + 3 quarantined; "
        "current = 4 valid + 1 excluded + 1 after as-of + 1 quarantined later"
    )
    assert (account["passed"], account["severity"], account["rows_quarantined"]) == (True, "error", 4)
    assert (str(account["as_of_date"]), account["run_id"]) == (AS_OF, "test-run")
    reasons = {
        (row["subject"], row["why"]): row["rows_failed"]
        for row in checks(shop, "check_name = 'quarantined_rows' and system = 'files'")
    }
    assert reasons == {
        ("orders", "total: total is no decimal number"): 1,
        ("orders", "currency: no_exchange_rate"): 1,
        ("orders", "row: has 2 fields instead of 3"): 2,
        ("order_items", "order_id: no row of orders has this order_id"): 1,
    }
    (share,) = checks(shop, "check_name = 'quarantine_share' and subject = 'orders' and item is null and not passed")
    assert share["why"] == "3 of 14 rows"


def test_two_different_rows_of_one_key_batch_and_version_are_both_listed(shop):
    (summary,) = checks(shop, "check_name = 'ambiguous_versions' and subject = 'orders'")
    assert (summary["rows_failed"], summary["passed"], summary["severity"]) == (2, False, "warning")
    listed = checks(shop, "check_name = 'ambiguous_versions_listed'")
    assert [row["item"] for row in listed] == ["8 in orders.csv line 11", "8 in orders.csv line 12"]
    assert {row["why"].split(",")[0] for row in listed} == {"current", "superseded"}


def test_an_unknown_status_warns_by_name_and_a_known_one_does_not(shop):
    (status,) = checks(shop, "check_name = 'unknown_order_status'")
    assert (status["item"], status["rows_failed"], status["severity"]) == ("teleported", 1, "warning")
    assert [row["passed"] for row in checks(shop, "check_name = 'order_statuses'")] == [False]


def test_an_order_whose_total_and_lines_disagree_is_listed(shop):
    (summary,) = checks(shop, "check_name = 'total_vs_lines'")
    assert (summary["rows_checked"], summary["rows_failed"], summary["passed"]) == (4, 1, False)
    (listed,) = checks(shop, "check_name = 'total_vs_lines_listed'")
    assert listed["item"] == "files:1"


def test_refunds_that_do_not_count_are_listed_with_their_reason(shop):
    found = {row["item"]: row["why"] for row in checks(shop, "check_name = 'refunds_not_counted_listed'")}
    assert found == {"files:r2": "order_excluded: files:5", "files:r3": "order_unknown: files:unknown"}
    (summary,) = checks(shop, "check_name = 'refunds_count'")
    assert (summary["rows_checked"], summary["rows_failed"], summary["passed"]) == (3, 2, False)


def test_the_share_of_anonymous_orders_is_reported(shop):
    (report,) = checks(shop, "check_name = 'identity_anonymous_orders'")
    assert report["rows_failed"] == 5


def test_every_check_has_its_own_key(shop):
    assert shop.execute("select count(*) - count(distinct check_key) from marts.data_quality").fetchone() == (0,)


def test_listed_rows_are_capped_and_sums_are_not_and_rows_without_a_line_have_keys_of_their_own():
    capped = Project.compile(data_quality_listed_rows=3)
    nowhere = {"_ritorno_file": None, "_ritorno_line": None}  # as a loader leaves them
    con = built(capped, {"orders": [order(str(i // 2), total=str(i), **nowhere) for i in range(20)]})
    assert len({row["check_key"] for row in checks(con, "check_name = 'ambiguous_versions_listed'")}) == 3
    (summary,) = checks(con, "check_name = 'ambiguous_versions' and subject = 'orders'")
    assert summary["rows_failed"] == 20


order_rows = st.builds(
    lambda order_id, extra: order(order_id, **extra),
    st.sampled_from(["1", "2", "3", None, " "]),
    st.fixed_dictionaries(
        {},
        optional={
            "total": st.sampled_from(["1.00", "2.00", "x", "", "-3"]),
            "ordered_at": st.sampled_from(["2024-01-01T00:00:00Z", "2024-06-01", "soon"]),
            "status": st.sampled_from(["paid", "cancelled", "odd"]),
            "currency": st.sampled_from(["EUR", "XXX"]),
            "is_test": st.sampled_from(["true", "false", "perhaps"]),
            "updated_at": st.sampled_from(["2024-01-02", "2024-02-02", "2024-07-01"]),
            "deleted_at": st.sampled_from(["2024-02-03", "2024-07-01"]),
            "_ritorno_batch": st.integers(1, 3),
        },
    ),
)
item_rows = st.builds(
    lambda item_id, order_id, quantity: {
        "order_item_id": item_id, "order_id": order_id, "product_id": "p", "quantity": quantity, "unit_price": "1",
    },
    st.sampled_from(["a", "b", None]),
    st.sampled_from(["1", "2", "9", None]),
    st.sampled_from(["1", "-1", "many"]),
)  # fmt: skip


@settings(max_examples=many(15), deadline=None)
@given(st.lists(order_rows, max_size=12), st.lists(item_rows, max_size=6), st.integers(0, 2))
def test_accounts_add_up_for_any_rows(orders, items, rejects):
    con = built(
        Project.compile(),
        {"orders": orders, "order_items": items},
        [{"count": rejects}],
        models=["int_quality__row_accounts", "int_quality__quarantine_shares", "quarantined_rows"],
    )
    assert singular_test(con, "assert_row_accounts_add_up") == []
    assert accounts(con)["landed"] == len(orders) + rejects
    assert accounts(con, "order_items")["landed"] == len(items)
    table = con.execute(
        "select coalesce(sum(quarantined), 0) from intermediate.int_quality__quarantine_shares where scope = 'table'"
    ).fetchone()
    listed = con.execute("select count(*) from quarantine.quarantined_rows where counts_against_limit").fetchone()
    assert table == listed

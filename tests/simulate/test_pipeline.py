"""The shipped pipeline, fed with a dirty simulated shop, finds exactly what the truth says.

Landing and the dbt models under test know nothing of the simulator: where they agree on every row's fate, on which
orders count and on who is who, both are right or both wrong in the same way.
"""

# ruff: noqa: E501  a query on one line reads better than one broken in three

from datetime import date

import duckdb
import pytest

from ritorno.landing import land
from ritorno.landing.sources import Source
from ritorno.simulate import simulate
from ritorno.simulate.columns import contract
from tests.support.project import Project

END = date(2026, 3, 31)
MODELS = (
    "int_orders__classified",
    "int_orders__total_disagreements",
    "int_identity__order_customers",
    "int_identity__customer_ids",
)


@pytest.fixture(scope="module", params=["csv", "parquet"])
def warehouse(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("shop")
    report = simulate(out, customers=1500, seed=21, years=1.5, end=END, dirt=0.02, format=request.param)
    con = duckdb.connect()
    con.execute("attach ':memory:' as warehouse")
    con.execute("use warehouse")
    con.execute("set timezone = 'UTC'")
    land(con, [Source(system="files", path=report.raw)])
    Project.compile().run(con, *(f"int_canonical__{name}" for name in contract()), *MODELS, as_of=END)
    for file in (out / "truth").glob("*.parquet"):
        con.execute(f"create table truth_{file.stem} as select * from '{file}'")
    return con


def test_every_dirty_row_meets_its_fate_and_no_good_row_does(warehouse):
    for name in contract():
        found = dict(
            warehouse.execute(
                f"select row_status, count(*) from intermediate.int_canonical__{name} group by 1"
            ).fetchall()
        )
        stated = dict(
            warehouse.execute('select fate, sum(rows) from truth_dirt where "table" = ? group by 1', [name]).fetchall()
        )
        for fate in ("quarantined", "duplicate"):
            assert found.get(fate, 0) == stated.get(fate, 0), (name, fate)


def test_the_orders_that_count_are_the_true_ones_and_the_others_have_their_reason(warehouse):
    expected = {
        "invalid_status": "invalid_status",
        "cancelled": "cancelled",
        "test": "test",
        "unpaid": "unpaid",
        "deleted": "deleted",
        "negative_total": "negative_total",
    }
    rows = warehouse.execute(
        """
        select t.kind, o.outcome, o.reason, count(*) from truth_orders as t
        left join intermediate.int_orders__classified as o using (order_id) group by all
        """
    ).fetchall()
    assert len(rows) == 11
    for kind, outcome, reason, _ in rows:
        assert (outcome, reason) == (("excluded", expected[kind]) if kind in expected else ("valid", None)), kind


def test_lines_and_totals_never_disagree(warehouse):
    assert warehouse.execute("select count(*) from intermediate.int_orders__total_disagreements").fetchone() == (0,)


def test_identity_finds_the_true_persons(warehouse):
    warehouse.execute(
        """
        create or replace temp table met as
        select t.person_id, o.customer_key from truth_orders as t
        inner join intermediate.int_identity__order_customers as o using (order_id)
        union all
        select n.person_id, c.customer_key from truth_nodes as n
        inner join intermediate.int_identity__customer_ids as c on c.customer_id = n.source_id and n.entity = 'customers'
        """
    )
    assert warehouse.execute(
        "select count(*) from met where (person_id is null) <> (customer_key is null)"
    ).fetchone() == (0,)
    for one, other in (("person_id", "customer_key"), ("customer_key", "person_id")):
        torn = f"select {one} from met where {one} is not null group by 1 having count(distinct {other}) > 1"
        assert warehouse.execute(torn).fetchall() == []

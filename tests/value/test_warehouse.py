"""From raw orders to the marts customer_value and value_model_fits, through the project's own SQL."""

from __future__ import annotations

import json
from datetime import date, timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from ritorno.value import step
from ritorno.value.fit import Statistics, fit_orders, fit_spend
from ritorno.value.models import MBGNBD, GammaGamma
from tests.support import Project
from tests.value.cdnow import cdnow, cdnow_orders, data_file

FITS = "select * from marts.value_model_fits order by business_line, model"


def load_orders(con: duckdb.DuckDBPyConnection, rows: pa.Table) -> None:
    """Many raw orders at once: customer_id, ordered_at, total, order_id and more as text."""
    con.register("given", rows)
    names = ", ".join(rows.column_names)
    con.execute(f"insert into raw.orders ({names}, _ritorno_file, _ritorno_line, _ritorno_batch) "
                f"select {names}, 'orders.csv', cast(order_id as bigint), 1 from given")  # fmt: skip
    con.unregister("given")


def shop_rows(customers: int, days: int, **columns: str) -> pa.Table:
    """A small shop: regular customers of which some stop; the same every time."""
    draw = np.random.default_rng(5)
    start, rows = date(2022, 1, 1), []
    for customer in range(customers):
        day = float(draw.integers(0, days // 2))
        rate, leave, worth = draw.gamma(2.0, 1 / 60), draw.beta(0.9, 2.5), 200 / draw.gamma(4.0, 1)
        while day <= days:
            rows.append((f"c{customer}", start + timedelta(days=int(day)), draw.gamma(5.0, worth / 5)))
            if draw.random() < leave:
                break
            day += draw.exponential(1 / rate)
    return pa.table(
        {
            "order_id": [str(number) for number in range(len(rows))],
            "customer_id": [row[0] for row in rows],
            "ordered_at": [f"{row[1]}T12:00:00Z" for row in rows],
            "total": [f"{row[2]:.2f}" for row in rows],
            **{name: [value] * len(rows) for name, value in columns.items()},
        }
    )


@pytest.fixture(scope="module")
def project() -> Project:
    return Project.compile(value_min_customers=100, value_min_days=180)


def built(project: Project, as_of: str, *tables: pa.Table, models=("customer_value", "value_model_fits")):
    con = project.connect({})
    for rows in tables:
        load_orders(con, rows)
    project.run(con, *models, as_of=as_of)
    return con


def test_cdnow_through_the_warehouse_gives_the_published_fit_and_back_test(project):
    orders = cdnow_orders()
    rows = pa.table(
        {
            "order_id": [str(number) for number in range(len(orders))],
            "customer_id": orders["customer"].astype(str).tolist(),
            "ordered_at": [f"{day:%Y-%m-%d}T12:00:00Z" for day in orders["date"]],
            "total": orders["dollars"].map("{:.2f}".format).tolist(),
        }
    )
    con = built(project, "1997-09-30", rows)
    fit, spend = project.query(con, FITS + " desc")
    assert (fit["model"], fit["status"], fit["n"], fit["converged"]) == ("mbg_nbd", "converged", 2357, True)
    assert {name: round(value, 3) for name, value in json.loads(fit["parameters"]).items()} == {
        "r": 0.525, "alpha": 6.183, "a": 0.891, "b": 1.614,
    }  # fmt: skip
    assert (spend["model"], spend["n"], spend["status"]) == ("gamma_gamma", 946, "converged")
    assert json.loads(spend["parameters"])["p"] == pytest.approx(6.25, abs=0.01)
    values = project.query(con, "select * from marts.customer_value")
    assert len(values) == 2357
    assert {row["value_status"] for row in values} == {"ok"}
    total = sum(row["expected_orders_365d"] for row in values)
    sample = cdnow()
    model = fit_orders(MBGNBD, Statistics.of(sample.x, sample.t_x, sample.T)).usable
    assert total == pytest.approx(model.expected_orders(sample.x, sample.t_x, sample.T, 365 / 7).sum())

    later = built(project, "1998-06-30", rows, models=("int_value__summary",))
    told = step.history(later, step.ALL, date(1997, 9, 30), 273)
    pairs = {name: (getattr(told, name), getattr(sample, name)) for name in sample.__dataclass_fields__}
    for name, (got, expected) in pairs.items():
        if name != "days":
            assert np.nansum(got) == pytest.approx(np.nansum(expected)), name
            assert np.allclose(np.sort(got), np.sort(expected), equal_nan=True), name
    assert told.days == sample.days


def test_the_history_at_the_split_is_the_summary_as_of_the_split(project):
    rows = shop_rows(150, 700)
    split = date(2023, 6, 1)
    now = built(project, "2023-12-31", rows, models=("int_value__summary",))
    then = built(project, str(split), rows, models=("int_value__summary",))
    told = step.history(now, step.ALL, split, 213)
    known = then.execute(
        "select repeat_order_days, recency_weeks, age_weeks, coalesce(mean_spend, 'nan'::double) "
        "from intermediate.int_value__summary order by customer_key"
    ).fetchall()
    got = np.stack([told.x, told.t_x, told.T, told.mean_spend], axis=1)
    assert np.allclose(got, np.array(known, dtype=float), equal_nan=True)
    later = now.execute(
        "select count(*) from intermediate.int_value__order_days inner join intermediate.int_value__summary "
        "using (customer_key) where order_date > ? and first_order_date <= ?", [split, split]
    ).fetchone()  # fmt: skip
    assert told.later_orders.sum() == later[0] > 0


def test_lines_are_fitted_apart_and_a_small_one_by_the_fit_of_all(project):
    many, few = shop_rows(400, 700), shop_rows(30, 700)
    few = pa.table({
        **{name: few[name] for name in ("ordered_at", "total")},
        "order_id": [str(100_000 + number) for number in range(few.num_rows)],
        "customer_id": [f"firm{name}" for name in few["customer_id"].to_pylist()],
        "account_type": ["b2b"] * few.num_rows,
    })  # fmt: skip
    con = built(project, "2023-12-31", many, few)
    fits = {(row["business_line"], row["role"]): row for row in project.query(con, FITS)}
    assert set(fits) == {(line, role) for line in ("all", "b2b", "b2c") for role in ("orders", "spend")}
    assert fits["all", "orders"]["n"] == fits["b2b", "orders"]["n"] + fits["b2c", "orders"]["n"] == 430
    assert fits["b2b", "orders"]["status"] == "too_little_data"
    assert fits["b2c", "orders"]["status"] == "converged"
    assert fits["b2c", "orders"]["backtest_status"] == "converged"
    used = project.query(con, "select distinct account_type, fitted_on from marts.customer_value order by all")
    assert used == [{"account_type": "b2b", "fitted_on": "all"}, {"account_type": "b2c", "fitted_on": "b2c"}]


def test_subscribers_only_are_contractual_and_enter_no_fit(project):
    plain = shop_rows(150, 500)
    bound = pa.table({
        "order_id": ["900001", "900002", "900003"], "customer_id": ["bound", "bound", "both"],
        "ordered_at": ["2022-05-01T12:00:00Z"] * 3, "total": ["10", "10", "10"], "subscription_id": ["s1", "s1", "s2"],
    })  # fmt: skip
    mixed = pa.table({
        "order_id": ["900004"], "customer_id": ["both"], "ordered_at": ["2022-06-01T12:00:00Z"], "total": ["10"],
    })  # fmt: skip
    con = built(project, "2023-06-30", plain, bound, mixed)
    status = dict(con.execute("select value_status, count(*) from marts.customer_value group by all").fetchall())
    assert status == {"ok": 151, "contractual": 1}
    row = project.query(con, "select * from marts.customer_value where value_status = 'contractual'")[0]
    assert (row["p_alive"], row["predicted_value_365d"], row["historic_value"]) == (None, None, 20)
    assert {row["n"] for row in project.query(con, FITS) if row["role"] == "orders"} == {151}


def test_with_orders_after_as_of_only_there_are_no_predictions_but_a_row_that_says_so(project):
    con = built(project, "2021-12-31", shop_rows(150, 300))
    assert con.execute("select count(*) from marts.customer_value where value_status = 'ok'").fetchone() == (0,)
    rows = project.query(con, FITS)
    assert [(row["business_line"], row["status"], row["n"]) for row in rows] == [("all", "too_little_data", 0)] * 2


def test_a_young_shop_has_too_little_data(project):
    con = built(project, "2022-06-01", shop_rows(300, 300))
    status = con.execute("select distinct value_status, predicted_value_365d from marts.customer_value").fetchall()
    assert status == [("too_little_data", None)]
    assert "days" in project.query(con, FITS)[0]["detail"]


def test_constant_prices_give_orders_but_a_degenerate_value(project):
    rows = shop_rows(300, 700)
    rows = rows.set_column(rows.column_names.index("total"), "total", pa.array(["20.00"] * rows.num_rows))
    con = built(project, "2023-12-31", rows)
    assert con.execute(
        "select distinct value_status, predicted_value_365d, p_alive is null from marts.customer_value"
    ).fetchall() == [("degenerate", None, False)]
    assert project.query(con, FITS)[0]["model"] == "gamma_gamma"
    assert project.query(con, FITS)[0]["status"] == "degenerate"


def test_predictions_do_not_depend_on_row_order_or_on_what_comes_after_as_of(project):
    rows = shop_rows(200, 700)
    turned = rows.take(np.random.default_rng(2).permutation(rows.num_rows))
    as_of = "2023-06-30"
    until = rows.filter(pa.array([when[:10] <= as_of for when in rows["ordered_at"].to_pylist()]))
    query = "select * from marts.customer_value order by customer_key"
    first, second, third = (project.query(built(project, as_of, some), query) for some in (rows, turned, until))
    assert first == second == third


def test_deciles_are_tie_safe(project):
    con = built(project, "2023-12-31", shop_rows(300, 700))
    rows = con.execute(
        "select predicted_value_365d, value_decile from marts.customer_value order by predicted_value_365d"
    ).fetchall()
    values = [value for value, _ in rows]
    assert [decile for _, decile in rows] == [10 * values.index(value) // len(values) + 1 for value in values]


def test_the_step_leaves_empty_tables_where_none_are(project):
    con = duckdb.connect()
    step.ensure(con)
    step.ensure(con)
    for name in step.OUTPUTS:
        assert con.execute(f"select count(*) from {name}").fetchone() == (0,)


def test_gamma_gamma_on_online_retail_finds_the_maximum_that_one_start_misses():
    """FACTS.md saw p run to 5e8 here. That is where a search from far out gets stuck, 0.19 worse in log-likelihood per
    customer; from several starts on rescaled spend it ends at p = 2.2."""
    path = data_file("online_retail_II_y2009_2010.parquet")
    x, mean = duckdb.connect().execute(f"""
        with days as (
            select "Customer ID" as customer, cast(cast(InvoiceDate as timestamp) as date) as day,
                sum(Quantity * Price) as worth
            from '{path}' where "Customer ID" is not null and Quantity > 0 and Price > 0 group by all
        ), ranked as (select *, row_number() over (partition by customer order by day) as place from days)
        select count(*) as x, avg(worth) as mean from ranked where place > 1 group by customer
    """).fetchnumpy().values()  # fmt: skip
    fitted = fit_spend(np.asarray(x), np.asarray(mean))
    assert (fitted.status, fitted.n) == ("converged", 2818)
    assert fitted.usable.p == pytest.approx(2.205, abs=0.005)
    assert fitted.usable.q == pytest.approx(3.621, abs=0.005)
    again = (np.asarray(x) > 0) & (np.asarray(mean) > 0)
    scale = np.asarray(mean)[again].mean()
    stuck = GammaGamma(9e5, 1.546, 9e-7 * scale).log_likelihood(np.asarray(x)[again], np.asarray(mean)[again]).sum()
    assert fitted.log_likelihood - stuck > 500

"""The step `value`: customers' order histories in; fits, their back-test, and predictions out.

Each business line (account type) is fitted on its own where its data suffices, and all together; a line with too little
data of its own is scored by the fit of all. A line whose own fit failed is not: it is said to have failed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date, timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ritorno.step_context import StepContext
from ritorno.value.backtest import BackTest, History, back_test
from ritorno.value.fit import TOO_LITTLE_DATA, Fit, Statistics, fit_orders, fit_spend, spend_minimum
from ritorno.value.models import ORDER_MODELS, GammaGamma, OrderModel
from ritorno.value.score import score

INPUTS = ("int_value__summary", "int_value__order_days")

ALL = "all"
"""The business line that stands for all of them together."""

_SUMMARY = "intermediate.int_value__summary"
_ORDER_DAYS = "intermediate.int_value__order_days"

_TABLES: Mapping[str, Mapping[str, str]] = {
    "predictions": {
        "customer_key": "varchar",
        "orders_fitted_on": "varchar",
        "orders_status": "varchar",
        "spend_fitted_on": "varchar",
        "spend_status": "varchar",
        "p_alive": "double",
        "expected_orders_90d": "double",
        "expected_orders_365d": "double",
        "discounted_orders_365d": "double",
        "expected_order_value": "double",
        "predicted_value_365d": "double",
        "next_order_days_p10": "bigint",
        "next_order_days_p50": "bigint",
        "next_order_days_p90": "bigint",
    },
    "fits": {
        "business_line": "varchar",
        "model": "varchar",
        "role": "varchar",
        "parameters": "varchar",
        "log_likelihood": "double",
        "n": "bigint",
        "converged": "boolean",
        "status": "varchar",
        "detail": "varchar",
        "backtest_status": "varchar",
        "backtest_from": "date",
        "backtest_days": "bigint",
        "backtest_customers": "bigint",
        "expected_orders": "double",
        "actual_orders": "bigint",
        "orders_error": "double",
        "expected_revenue": "double",
        "actual_revenue": "double",
        "revenue_error": "double",
        "calibration_error": "double",
        "calibration": "varchar",
        "rank_correlation": "double",
        "auc_model": "double",
        "auc_recency": "double",
        "is_recency_better": "boolean",
        "ordered_again": "bigint",
        "interval_coverage": "double",
        "interval_coverage_expected": "double",
    },
}

OUTPUTS = tuple(f"value.{name}" for name in _TABLES)


@dataclass(frozen=True)
class Settings:
    """The policy vars that the step reads."""

    model: type[OrderModel]
    min_customers: int
    min_days: int
    backtest_days: int
    annual_rate: float

    @classmethod
    def of(cls, policy: Mapping[str, Any]) -> Settings:
        """From the run's policy."""
        return cls(
            model=ORDER_MODELS[str(policy["value_model"])],
            min_customers=int(policy["value_min_customers"]),
            min_days=int(policy["value_min_days"]),
            backtest_days=int(policy["value_backtest_days"]),
            annual_rate=float(policy["annual_discount_rate"]),
        )


@dataclass(frozen=True)
class Customers:
    """Customers to fit and score, one per position of every array."""

    key: NDArray[np.object_]
    line: NDArray[np.object_]
    x: NDArray[np.int64]
    t_x: NDArray[np.float64]
    T: NDArray[np.float64]
    mean_spend: NDArray[np.float64]

    def where(self, chosen: NDArray[np.bool_]) -> Customers:
        """Those chosen."""
        return Customers(*(getattr(self, field.name)[chosen] for field in fields(self)))

    @property
    def size(self) -> int:
        """How many."""
        return int(self.key.size)


@dataclass(frozen=True)
class LineFit:
    """What was fitted on one business line, or on all."""

    line: str
    orders: Fit[OrderModel]
    spend: Fit[GammaGamma]
    tested: BackTest
    tested_from: date | None
    tested_days: int | None


def ensure(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Create the output tables, empty, where they are missing."""
    warehouse.execute("create schema if not exists value")
    for name, columns in _TABLES.items():
        warehouse.execute(f"create table if not exists value.{name} ({_columns(columns)})")


def run(context: StepContext) -> dict[str, Any]:
    """Fit, back-test and score every customer who may order freely, and replace the tables of schema `value`."""
    warehouse = context.warehouse
    settings = Settings.of(context.policy)
    customers = _read(warehouse)
    lines = sorted(set(customers.line.tolist()))
    fits = {ALL: _fit_line(warehouse, settings, customers, ALL)}
    if len(lines) > 1:
        fits |= {line: _fit_line(warehouse, settings, customers.where(customers.line == line), line) for line in lines}
    _replace(warehouse, "fits", _rows(settings, list(fits.values())))
    _replace(warehouse, "predictions", _predictions(settings, customers, fits))
    return {
        "customers": customers.size,
        **{f"{line}: {settings.model.name}": fit.orders.status for line, fit in fits.items()},
        **{f"{line}: gamma_gamma": fit.spend.status for line, fit in fits.items()},
    }


def _columns(columns: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns.items())


def _read(warehouse: duckdb.DuckDBPyConnection) -> Customers:
    """Every customer with an order who isn't bound by a subscription; no spend is NaN."""
    found = warehouse.execute(f"""
        select customer_key, business_line, repeat_order_days, recency_weeks, age_weeks,
            coalesce(mean_spend, 'nan'::double) as mean_spend
        from {_SUMMARY}
        where not is_contractual
        order by customer_key
    """).fetchnumpy()
    return Customers(*(np.asarray(column) for column in found.values()))


def history(warehouse: duckdb.DuckDBPyConnection, line: str, split: date, days: int) -> History:
    """The line's customers as known at `split`, and what they did in the `days` since, which end at as-of.

    x, t_x, T and mean_spend are those that int_value__summary would have as of the split (a test compares them).
    """
    found = warehouse.execute(
        f"""
        with days as (
            select order_days.customer_key, order_days.order_date, order_days.net_revenue,
                summaries.first_order_date
            from {_ORDER_DAYS} as order_days
            inner join {_SUMMARY} as summaries using (customer_key)
            where not summaries.is_contractual
                and summaries.first_order_date <= $split
                and ($line = '{ALL}' or summaries.business_line = $line)
        )
        select
            count(*) filter (order_date <= $split) - 1 as x,
            (max(order_date) filter (order_date <= $split) - min(order_date)) / 7.0::double as t_x,
            ($split::date - min(order_date)) / 7.0::double as age,
            coalesce(
                sum(net_revenue) filter (order_date > first_order_date and order_date <= $split)::double
                / nullif(count(*) filter (order_date <= $split) - 1, 0),
                'nan'::double
            ) as mean_spend,
            count(*) filter (order_date > $split) as later_orders,
            coalesce(sum(net_revenue) filter (order_date > $split), 0)::double as later_revenue,
            coalesce(min(order_date) filter (order_date > $split) - $split::date, 'nan'::double) as days_to_next
        from days
        group by customer_key
        order by customer_key
        """,
        {"split": split, "line": line},
    ).fetchnumpy()
    columns: dict[str, NDArray[Any]] = {name: np.asarray(values) for name, values in found.items()}
    return History(
        x=columns["x"],
        t_x=columns["t_x"],
        T=columns["age"],
        mean_spend=columns["mean_spend"],
        later_orders=columns["later_orders"],
        later_revenue=columns["later_revenue"],
        days_to_next=columns["days_to_next"],
        days=days,
    )


def _span(warehouse: duckdb.DuckDBPyConnection, line: str) -> tuple[date, date] | None:
    """First order day of the line and the as-of date; None for a line without customers."""
    row = warehouse.execute(
        f"select min(first_order_date), max(as_of_date) from {_SUMMARY} "
        f"where not is_contractual and ($line = '{ALL}' or business_line = $line)",
        {"line": line},
    ).fetchone()
    return None if row is None or row[0] is None else (row[0], row[1])


def _fit_line(warehouse: duckdb.DuckDBPyConnection, settings: Settings, customers: Customers, line: str) -> LineFit:
    span = _span(warehouse, line)
    history_days = (span[1] - span[0]).days if span else 0
    if span is None or history_days < settings.min_days:
        reason = f"a history of {history_days} days, {settings.min_days} are needed"
        nothing = BackTest(TOO_LITTLE_DATA, 0)
        n = customers.size
        return LineFit(
            line, Fit(TOO_LITTLE_DATA, None, None, n, reason), Fit(TOO_LITTLE_DATA, None, None, n, reason),
            nothing, None, None,
        )  # fmt: skip
    data = Statistics.of(customers.x, customers.t_x, customers.T)
    orders = fit_orders(settings.model, data, min_customers=settings.min_customers)
    spend = fit_spend(customers.x, customers.mean_spend, min_customers=spend_minimum(settings.min_customers))
    days = max(min(settings.backtest_days, history_days // 3), 1)
    split = span[1] - timedelta(days=days)
    tested, _, _ = back_test(
        settings.model, history(warehouse, line, split, days), min_customers=settings.min_customers
    )
    return LineFit(line, orders, spend, tested, split + timedelta(days=1), days)


def _rows(settings: Settings, fits: list[LineFit]) -> pa.Table:
    rows = []
    for fit in fits:
        rows.append(_fit_row(fit.line, settings.model.name, "orders", fit.orders) | _test_columns(fit))
        rows.append(_fit_row(fit.line, "gamma_gamma", "spend", fit.spend))
    return pa.table({name: [row.get(name) for row in rows] for name in _TABLES["fits"]})


def _fit_row(line: str, model: str, role: str, fit: Fit[Any]) -> dict[str, Any]:
    return {
        "business_line": line,
        "model": model,
        "role": role,
        "parameters": None if fit.model is None else json.dumps(asdict(fit.model)),
        "log_likelihood": fit.log_likelihood,
        "n": fit.n,
        "converged": fit.converged,
        "status": fit.status,
        "detail": fit.detail,
    }


def _test_columns(fit: LineFit) -> dict[str, Any]:
    tested = fit.tested
    same = (
        "expected_orders", "actual_orders", "orders_error", "expected_revenue", "actual_revenue", "revenue_error",
        "calibration_error", "rank_correlation", "auc_model", "auc_recency", "is_recency_better", "ordered_again",
        "interval_coverage", "interval_coverage_expected",
    )  # fmt: skip
    return {
        "backtest_status": tested.status,
        "backtest_from": fit.tested_from,
        "backtest_days": fit.tested_days,
        "backtest_customers": tested.customers,
        "calibration": json.dumps([asdict(part) for part in tested.calibration]) if tested.calibration else None,
        **{name: getattr(tested, name) for name in same},
    }


def _predictions(settings: Settings, customers: Customers, fits: Mapping[str, LineFit]) -> pa.Table:
    parts = []
    for line in sorted(set(customers.line.tolist())):
        own = fits.get(line, fits[ALL])
        orders = fits[ALL] if own.orders.status == TOO_LITTLE_DATA else own
        spend = fits[ALL] if own.spend.status == TOO_LITTLE_DATA else own
        parts.append(_score_line(settings, customers.where(customers.line == line), orders, spend))
    empty = pa.table({name: pa.array([], _ARROW[kind]) for name, kind in _TABLES["predictions"].items()})
    return pa.concat_tables([empty, *parts])


_ARROW = {"varchar": pa.string(), "double": pa.float64(), "bigint": pa.int64()}


def _score_line(settings: Settings, customers: Customers, orders: LineFit, spend: LineFit) -> pa.Table:
    n = customers.size
    columns: dict[str, Any] = {
        "customer_key": customers.key,
        "orders_fitted_on": np.full(n, orders.line, dtype=object),
        "orders_status": np.full(n, orders.orders.status, dtype=object),
        "spend_fitted_on": np.full(n, spend.line, dtype=object),
        "spend_status": np.full(n, spend.spend.status, dtype=object),
    }
    model, worth = orders.orders.usable, spend.spend.usable
    if model is not None:
        got = score(
            model, worth, customers.x, customers.t_x, customers.T, customers.mean_spend, settings.annual_rate
        )  # fmt: skip
        columns |= {
            "p_alive": got.p_alive,
            "expected_orders_90d": got.orders_90d,
            "expected_orders_365d": got.orders_365d,
            "discounted_orders_365d": got.discounted_orders_365d,
            "expected_order_value": got.order_value,
            "predicted_value_365d": got.value_365d,
            "next_order_days_p10": got.next_order_days[0],
            "next_order_days_p50": got.next_order_days[1],
            "next_order_days_p90": got.next_order_days[2],
        }
    arrays = {
        name: pa.nulls(n, _ARROW[kind]) if columns.get(name) is None else pa.array(columns[name], _ARROW[kind])
        for name, kind in _TABLES["predictions"].items()
    }
    return pa.table(arrays)


def _replace(warehouse: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> None:
    columns = ", ".join(f"cast({column} as {kind}) as {column}" for column, kind in _TABLES[name].items())
    warehouse.execute("create schema if not exists value")
    warehouse.register("value_rows", rows)
    try:
        warehouse.execute(f"create or replace table value.{name} as select {columns} from value_rows")
    finally:
        warehouse.unregister("value_rows")

"""Customer value: what customers brought and will bring, and whether the model can be trusted."""

from __future__ import annotations

import altair as alt

from ritorno.report import charts
from ritorno.report.figures import Column, Dataset, Figure, Filter, KeyNumber, Page, Section, Spec
from ritorno.report.marts import Marts

DECILES = Dataset(
    "deciles",
    ("customer_value",),
    """
    select value_decile, count(*) as customers, 'predicted, next 365 days' as what, sum(predicted_value_365d) as amount,
        cast(sum(predicted_value_365d) as double) / nullif(sum(sum(predicted_value_365d)) over (), 0) as share
    from marts.customer_value where value_decile is not null group by value_decile
    union all
    select value_decile, count(*), 'so far', sum(historic_value),
        cast(sum(historic_value) as double) / nullif(sum(sum(historic_value)) over (), 0)
    from marts.customer_value where value_decile is not null group by value_decile
    order by value_decile, what
    """,
    (
        Column("value_decile", "Decile of predicted value (10 = highest)", "int"),
        Column("customers", "Customers", "int"),
        Column("what", "Net revenue"),
        Column("amount", "Sum", "money"),
        Column("share", "Share of all", "percent"),
    ),
)

CALIBRATION = Dataset(
    "calibration",
    ("value_model_fits",),
    """
    with fits as (
        select business_line, model, unnest(from_json(calibration,
            '[{"decile": "INTEGER", "customers": "BIGINT", "expected": "DOUBLE", "actual": "DOUBLE"}]')) as cell
        from marts.value_model_fits where role = 'orders' and calibration is not null
    )
    select business_line, cell.decile as decile, cell.customers as customers, what, order_days
    from fits
    cross join lateral (values ('expected', cell.expected), ('actual', cell.actual)) as both_ways (what, order_days)
    order by business_line <> 'all', business_line, decile, what desc
    """,
    (
        Column("business_line", "Business line"),
        Column("decile", "Decile of expected orders (10 = most)", "int"),
        Column("customers", "Customers", "int"),
        Column("what", "Order days"),
        Column("order_days", "Order days", "number"),
    ),
)

FITS = Dataset(
    "fits",
    ("value_model_fits",),
    """
    select business_line, replace(model, '_', ' ') as model, replace(status, '_', ' ') as status, n, backtest_days,
        backtest_customers, expected_orders, actual_orders, orders_error,
        expected_revenue, actual_revenue, revenue_error,
        auc_model, auc_recency, is_recency_better, interval_coverage, interval_coverage_expected, detail
    from marts.value_model_fits order by business_line <> 'all', business_line, role, model
    """,
    (
        Column("business_line", "Business line"),
        Column("model", "Model"),
        Column("status", "Fit"),
        Column("n", "Customers", "int"),
        Column("backtest_days", "Days predicted", "int"),
        Column("backtest_customers", "Customers in the back-test", "int"),
        Column("expected_orders", "Order days expected", "number"),
        Column("actual_orders", "Order days that came", "int"),
        Column("orders_error", "Error of orders", "percent"),
        Column("expected_revenue", "Revenue expected", "money"),
        Column("actual_revenue", "Revenue that came", "money"),
        Column("revenue_error", "Error of revenue", "percent"),
        Column("auc_model", "AUC of the model", "number"),
        Column("auc_recency", "AUC of recency", "number"),
        Column("is_recency_better", "Recency ranks better", "yes_no"),
        Column("interval_coverage", "Next order inside p10–p90", "percent"),
        Column("interval_coverage_expected", "A right model would show", "percent"),
        Column("detail", "In words"),
    ),
)

ALIVE = Dataset(
    "alive",
    ("customer_value",),
    """
    select least(cast(floor(p_alive * 10) as integer), 9) / 10 as from_share, count(*) as customers,
        cast(least(cast(floor(p_alive * 10) as integer), 9) * 10 as varchar) || '–'
            || cast(least(cast(floor(p_alive * 10) as integer), 9) * 10 + 10 as varchar) || ' %' as range,
        sum(predicted_value_365d) as predicted_value
    from marts.customer_value where p_alive is not null group by all order by from_share
    """,
    (
        Column("from_share", "From", "percent"),
        Column("customers", "Customers", "int"),
        Column("range", "P(alive)"),
        Column("predicted_value", "Predicted value, 365 days", "money"),
    ),
)

TREND = Dataset(
    "trend",
    ("retention_rates",),
    """
    select period_start as month, simple_clv, clv_orders, clv_customers, clv_lifespan_years,
        cast(clv_net_revenue as double) / nullif(clv_orders, 0) as clv_aov
    from marts.retention_rates
    where period_type = 'month' and cut = 'all' and is_complete and simple_clv is not null order by month
    """,
    (
        Column("month", "Month", "month"),
        Column("simple_clv", "Simple CLV", "money"),
        Column("clv_orders", "Orders, trailing year", "int"),
        Column("clv_customers", "Customers, trailing year", "int"),
        Column("clv_lifespan_years", "Lifespan, years", "number"),
        Column("clv_aov", "AOV, trailing year", "money"),
    ),
)


def grouped(dataset: Dataset, x: str, y: str, series: str, domain: tuple[str, str], tokens: tuple[str, str]) -> Spec:
    """Two bars side by side for each value of x."""
    chart = (
        alt.Chart(charts.ROWS)
        .mark_bar(cornerRadius=1)
        .encode(
            x=alt.X(x, type="ordinal", title=dataset.column(x).label, axis=alt.Axis(labelAngle=0, grid=False)),
            xOffset=alt.XOffset(series, type="nominal", sort=list(domain)),
            y=charts.amount(dataset.column(y)),
            color=charts.hue(series, None, domain, tokens),
            tooltip=charts.tooltip(dataset, dataset.names),
        )
    )
    return charts.spec(chart, charts.TALL)


def _numbers(marts: Marts) -> tuple[KeyNumber, ...]:
    total = marts.row(
        "select sum(predicted_value_365d), sum(historic_value), count(predicted_value_365d), sum(expected_orders_90d), "
        "sum(predicted_value_365d) filter (where value_decile = 10) from marts.customer_value",
        "customer_value",
    )
    fit = marts.row(
        "select orders_error, revenue_error, backtest_days from marts.value_model_fits "
        "where role = 'orders' and business_line = 'all' and backtest_status = 'converged'",
        "value_model_fits",
    )
    if total is None or not total[2]:
        return ()
    share = float(total[4]) / float(total[0]) if total[0] and total[4] is not None else None
    numbers = [
        KeyNumber(
            "predicted_value",
            "Predicted value, next 365 days",
            total[0],
            "money",
            compared=f"of {total[2]:,} customers with a prediction",
            definition=marts.definition("customer_value.predicted_value_365d"),
        ),
        KeyNumber(
            "historic_value",
            "Historic value",
            total[1],
            "money",
            compared="net revenue so far",
            definition=marts.definition("customer_value.historic_value"),
        ),
        KeyNumber(
            "expected_orders_90d",
            "Order days expected, next 90 days",
            total[3],
            "int",
            definition=marts.definition("customer_value.expected_orders_90d"),
        ),
        KeyNumber(
            "top_decile",
            "The best tenth brings",
            share,
            "percent",
            compared="of the predicted value",
            definition=marts.definition("customer_value.value_decile"),
        ),
    ]
    if fit is not None:
        numbers.append(
            KeyNumber(
                "orders_error",
                "Back-test: orders expected too many",
                fit[0],
                "percent",
                compared=f"over the last {fit[2]} days",
                definition=marts.definition("value_model_fits.orders_error"),
            )
        )
    return tuple(numbers)


def page(marts: Marts) -> Page:
    """The page."""
    return Page(
        "value",
        "Customer value",
        "What has a customer brought, what will they bring, and how far can the model be trusted?",
        (
            Section(
                "Deciles",
                (
                    Figure(
                        "deciles",
                        "Net revenue by decile of predicted value: so far, and predicted",
                        "deciles",
                        grouped(
                            DECILES,
                            "value_decile",
                            "amount",
                            "what",
                            ("so far", "predicted, next 365 days"),
                            ("grey", "blue"),
                        ),
                        DECILES.names,
                        (
                            "customer_value.value_decile",
                            "customer_value.predicted_value_365d",
                            "customer_value.historic_value",
                        ),
                        wide=True,
                    ),
                    Figure(
                        "alive",
                        "How sure is it that customers will order again: P(alive)",
                        "alive",
                        charts.bars(
                            ALIVE,
                            "range",
                            "customers",
                            tooltips=("range", "customers", "predicted_value"),
                            width="name",
                        ),
                        ("range", "customers", "predicted_value"),
                        ("customer_value.p_alive",),
                    ),
                    Figure(
                        "simple_clv",
                        "Simple CLV by month, from the trailing year",
                        "trend",
                        charts.lines(TREND, "month", "simple_clv", None, tooltips=TREND.names),
                        TREND.names,
                        ("retention_rates.simple_clv",),
                        empty="Simple CLV wants a year of history, and somebody who left.",
                    ),
                ),
            ),
            Section(
                "Can the model be trusted?",
                (
                    Figure(
                        "calibration",
                        "Back-test: order days expected and actual, by decile",
                        "calibration",
                        grouped(CALIBRATION, "decile", "order_days", "what", ("expected", "actual"), ("grey", "blue")),
                        CALIBRATION.names,
                        ("value_model_fits.calibration", "value_model_fits.calibration_error"),
                        "The model was fitted without the last days, and asked to predict them.",
                        ("line",),
                        empty="No back-test yet: there is too little history or there are too few buyers.",
                        wide=True,
                    ),
                    Figure(
                        "fits",
                        "The fits: status, and expected against actual",
                        "fits",
                        None,
                        FITS.names,
                        (
                            "value_model_fits.status",
                            "value_model_fits.auc_recency",
                            "value_model_fits.is_recency_better",
                        ),
                        wide=True,
                    ),
                ),
            ),
        ),
        (DECILES, CALIBRATION, FITS, ALIVE, TREND),
        (Filter("line", "Business line", "calibration", "business_line", "all"),),
        _numbers(marts),
    )

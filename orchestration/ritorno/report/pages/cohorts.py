"""Cohorts: how many come back, what a cohort is worth."""

from __future__ import annotations

import altair as alt

from ritorno.report import charts
from ritorno.report.figures import Column, Dataset, Figure, Filter, Page, Section, Spec
from ritorno.report.marts import Marts

COHORTS = 24
"""The newest cohorts that are drawn; the mart has them all."""
VALUES = 8
"""The largest values of a cut that are drawn."""

_LABELS = """
    case cohort_type when 'calendar_month' then 'Calendar months' else '30-day windows' end as family,
    case
        when cut = 'all' then 'All customers'
        else upper(left(cut, 1)) || replace(substr(cut, 2), '_', ' ') || ': ' || replace(cut_value, ': ', ' ')
    end as customers
"""
_LARGEST = f"""
    largest as (
        select cut, cut_value
        from marts.cohort_retention
        where cohort_type = 'calendar_month' and period = 0
        group by cut, cut_value
        qualify row_number() over (partition by cut order by sum(cohort_size) desc, cut_value) <= {VALUES}
    )
"""

CELLS = Dataset(
    "cells",
    ("cohort_retention",),
    f"""
    with {_LARGEST},
    recent as (
        select distinct cohort_month from marts.cohort_retention
        where cohort_type = 'calendar_month' and cut = 'all' and cohort_month is not null
        order by cohort_month desc limit {COHORTS}
    ),
    single as (
        select cohort_type, cut, cut_value, strftime(cohort_month, '%Y-%m') as cohort, false as is_pooled, cohort_size,
            period, eligible_customers, active_customers, retention, revenue_retention,
            cumulative_revenue_per_customer, is_complete
        from marts.cohort_retention
        inner join recent using (cohort_month)
        inner join largest using (cut, cut_value)
        where period <= {COHORTS}
    ),
    pooled as (
        select cohort_type, cut, cut_value, 'All cohorts' as cohort, true as is_pooled,
            cast(sum(cohort_size) as bigint) as cohort_size, period,
            cast(sum(eligible_customers) as bigint) as eligible_customers,
            cast(sum(active_customers) as bigint) as active_customers,
            sum(active_customers) / sum(eligible_customers) as retention,
            cast(sum(eligible_net_revenue) as double) / nullif(sum(eligible_first_net_revenue), 0) as revenue_retention,
            cast(sum(eligible_cumulative_net_revenue) as double) / sum(eligible_customers)
                as cumulative_revenue_per_customer,
            bool_and(is_complete) as is_complete
        from marts.cohort_retention
        inner join largest using (cut, cut_value)
        where eligible_customers > 0 and cohort_month is not null and period <= {COHORTS}
        group by cohort_type, cut, cut_value, period
    )
    select {_LABELS}, cohort, cohort || ' (' || cohort_size || ')' as cohort_label, is_pooled,
        period > 0 and not is_pooled as in_triangle,
        retention is not null as has_ratio, cohort_size, period, eligible_customers, active_customers, retention,
        revenue_retention, cumulative_revenue_per_customer, is_complete
    from (from single union all from pooled)
    order by cohort_type, cut <> 'all', cut, cut_value, is_pooled, cohort desc, period
    """,
    (
        Column("family", "Periods"),
        Column("customers", "Customers"),
        Column("cohort", "Cohort"),
        Column("cohort_label", "Cohort (customers)"),
        Column("is_pooled", "All cohorts together", "yes_no"),
        Column("in_triangle", "In the triangle", "yes_no"),
        Column("has_ratio", "Has ratios", "yes_no"),
        Column("cohort_size", "Cohort size", "int"),
        Column("period", "Period", "int"),
        Column("eligible_customers", "Eligible customers", "int"),
        Column("active_customers", "Active customers", "int"),
        Column("retention", "Retention", "percent"),
        Column("revenue_retention", "Revenue retention", "percent"),
        Column("cumulative_revenue_per_customer", "Cumulative revenue per customer", "money"),
        Column("is_complete", "Period over", "yes_no"),
    ),
)

COMPARED = Dataset(
    "compared",
    ("cohort_retention",),
    f"""
    with {_LARGEST}
    select case cohort_type when 'calendar_month' then 'Calendar months' else '30-day windows' end as family,
        upper(left(cut, 1)) || replace(substr(cut, 2), '_', ' ') as cut, cut_value, period,
        cast(sum(eligible_customers) as bigint) as eligible_customers,
        cast(sum(active_customers) as bigint) as active_customers,
        sum(active_customers) / sum(eligible_customers) as retention,
        cast(sum(eligible_cumulative_net_revenue) as double) / sum(eligible_customers)
            as cumulative_revenue_per_customer
    from marts.cohort_retention
    inner join largest using (cut, cut_value)
    where cut <> 'all' and eligible_customers > 0 and cohort_month is not null and period between 0 and 12
    group by cohort_type, cut, cut_value, period
    order by cohort_type, cut, cut_value, period
    """,
    (
        Column("family", "Periods"),
        Column("cut", "Cut"),
        Column("cut_value", "Value"),
        Column("period", "Period", "int"),
        Column("eligible_customers", "Eligible customers", "int"),
        Column("active_customers", "Active customers", "int"),
        Column("retention", "Retention", "percent"),
        Column("cumulative_revenue_per_customer", "Cumulative revenue per customer", "money"),
    ),
)

SURVIVAL = Dataset(
    "second_order",
    ("survival",),
    """
    select 'until the second order day' as curve, t_days, at_risk, events, survival, ci_low, ci_high
    from marts.survival where curve = 'second_order_day' and cut_value = 'all' and t_days <= 730 order by t_days
    """,
    (
        Column("curve", "Curve"),
        Column("t_days", "Days since the first order", "int"),
        Column("at_risk", "Watched that long", "int"),
        Column("events", "Ordered again that day", "int"),
        Column("survival", "Share without a second order", "percent"),
        Column("ci_low", "95 % band, from", "percent"),
        Column("ci_high", "to", "percent"),
    ),
)

_CELL = ("cohort", "cohort_size", "period", "eligible_customers", "active_customers", "retention")


def _curves(y: str) -> Spec:
    """A thin line a cohort, a thick one for all together."""
    names = ("cohort", "period", y, "eligible_customers")
    base = alt.Chart(charts.ROWS).encode(
        x=charts.steps(CELLS.column("period")), y=charts.amount(CELLS.column(y)), tooltip=charts.tooltip(CELLS, names)
    )
    single = base.transform_filter("!datum.is_pooled").encode(detail="cohort:N")
    thin = single.mark_line(strokeWidth=1, opacity=0.45, color="@grey")
    dots = single.mark_point(filled=True, size=22, opacity=0.45, color="@grey")
    thick = base.transform_filter("datum.is_pooled").mark_line(
        strokeWidth=3, color="@blue", point={"color": "@blue", "size": 34}
    )
    return charts.spec(thin + dots + thick, charts.TALL)


def page(marts: Marts) -> Page:
    """The page."""
    del marts  # all of it is in the datasets
    choice = ("family", "customers")
    triangle = Figure(
        "retention_triangle",
        "Retention: which share of each cohort bought again, period by period",
        "cells",
        charts.heat_map(
            CELLS,
            "period",
            "cohort_label",
            "retention",
            "retention",
            tooltips=_CELL,
            x_title="Period",
            y_title=None,
            top=0.6,
            unfinished="is_complete",
            step=24,
            text_format=".0%",
            y_sort="descending",
            font_size=10,
        ),
        (*_CELL, "is_complete"),
        (
            "cohort_retention.cohort_type",
            "cohort_retention.retention",
            "cohort_retention.eligible_customers",
            "cohort_retention.is_complete",
        ),
        "Hatched: the period is not over for everyone of the cohort, so the number isn't there yet or will still move.",
        choice,
        where="in_triangle",
        min_width=860,
        wide=True,
    )
    revenue = Figure(
        "revenue_retention",
        "Revenue retention: net revenue of each period against the first",
        "cells",
        _curves("revenue_retention"),
        ("cohort", "period", "eligible_customers", "revenue_retention", "is_complete"),
        ("cohort_retention.revenue_retention",),
        "Thick: all cohorts together, a quotient of sums. Period 0 is 100 % by definition.",
        choice,
        where="has_ratio",
    )
    worth = Figure(
        "ltv",
        "LTV curve: what a customer has brought by the end of each period",
        "cells",
        _curves("cumulative_revenue_per_customer"),
        ("cohort", "period", "eligible_customers", "cumulative_revenue_per_customer", "is_complete"),
        ("cohort_retention.cumulative_revenue_per_customer",),
        "Thick: all cohorts together. Late periods have only old cohorts behind them, so that line may fall.",
        choice,
        where="has_ratio",
    )
    compared = [
        Figure(
            f"compared_{column}",
            title,
            "compared",
            charts.lines(
                COMPARED,
                "period",
                column,
                "cut_value",
                tooltips=("cut_value", "period", column, "eligible_customers"),
                height=charts.TALL,
            ),
            ("cut_value", "period", "eligible_customers", "active_customers", column),
            (f"cohort_retention.{column}", "cohort_retention.cut_value"),
            "All cohorts together. Lines with few eligible customers jump: the table has their numbers.",
            ("family", "cut"),
        )
        for column, title in (
            ("retention", "Who comes back: retention by the value of the cut"),
            ("cumulative_revenue_per_customer", "What they bring: LTV curve by the value of the cut"),
        )
    ]
    second = Figure(
        "time_to_second_order",
        "How long the second order takes: share of first-time buyers still without one",
        "second_order",
        charts.band(
            SURVIVAL,
            "t_days",
            "survival",
            "ci_low",
            "ci_high",
            "curve",
            tooltips=("t_days", "survival", "ci_low", "ci_high", "at_risk"),
            x_title="Days since the first order",
        ),
        ("t_days", "at_risk", "events", "survival", "ci_low", "ci_high"),
        ("survival.survival", "survival.ci_low"),
        wide=True,
    )
    return Page(
        "cohorts",
        "Cohorts",
        "How many of those who began together come back, and what has a customer brought after so many months?",
        (
            Section("Retention", (triangle,), f"The newest {COHORTS} months of first orders."),
            Section("Revenue", (revenue, worth)),
            Section("Who does better", tuple(compared), f"The {VALUES} largest values of the cut."),
            Section("The second order", (second,)),
        ),
        (CELLS, COMPARED, SURVIVAL),
        (
            Filter("family", "Periods", "cells", "family"),
            Filter("customers", "Customers", "cells", "customers", "All customers"),
            Filter("cut", "Compare by", "compared", "cut"),
        ),
    )

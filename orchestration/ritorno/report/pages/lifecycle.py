"""Lifecycle: who is at risk, since when, who came back."""

from __future__ import annotations

import altair as alt

from ritorno.report import charts
from ritorno.report.figures import Column, Dataset, Figure, Filter, KeyNumber, Page, Section
from ritorno.report.marts import Marts

STATES = ("new", "active", "reactivated", "at risk", "lapsed", "registered", "registered at risk", "registered lapsed")
TOKENS = ("sky", "blue", "green", "orange", "grey", "gold", "purple", "pink")

POPULATION = Dataset(
    "population",
    ("lifecycle_daily",),
    """
    select date, replace(state, '_', ' ') as state, customers from marts.lifecycle_daily
    where date_diff('day', date, $as_of) % 7 = 0 and date > $as_of - interval 3 year
    order by date, state
    """,
    (Column("date", "Day", "date"), Column("state", "State"), Column("customers", "Customers", "int")),
)

ENTRANTS = Dataset(
    "entrants",
    ("lifecycle_daily",),
    """
    select date, replace(state, '_', ' ') as state, cast("entered" as bigint) as entered, cast("left" as bigint) as gone
    from marts.lifecycle_daily
    where date > $as_of - 91 and state in ('at_risk', 'lapsed', 'reactivated', 'registered_at_risk')
    order by state, date
    """,
    (
        Column("date", "Day", "date"),
        Column("state", "State"),
        Column("entered", "Entered", "int"),
        Column("gone", "Left", "int"),
    ),
)

TODAY = Dataset(
    "today",
    ("customers", "lifecycle_history"),
    """
    select replace(h.state, '_', ' ') as state, coalesce(c.rfm_segment_label, 'RFM: none') as rfm_segment,
        count(*) as customers, sum(c.net_revenue) as net_revenue, sum(c.predicted_value_365d) as predicted_value
    from marts.lifecycle_history as h
    inner join marts.customers as c on h.customer_key = c.customer_key
    where h.valid_from = $as_of and h.state in ('at_risk', 'lapsed', 'reactivated')
    group by all order by state, customers desc, rfm_segment
    """,
    (
        Column("state", "Became"),
        Column("rfm_segment", "RFM segment"),
        Column("customers", "Customers", "int"),
        Column("net_revenue", "Net revenue so far", "money"),
        Column("predicted_value", "Predicted value, 365 days", "money"),
    ),
)

FLOW = Dataset(
    "flow",
    ("lifecycle_transitions",),
    """
    select strftime(month, '%Y-%m') as month, replace(from_state, '_', ' ') as from_state,
        replace(to_state, '_', ' ') as to_state, customers, from_customers, share, is_complete
    from marts.lifecycle_transitions
    where month > (select max(month) from marts.lifecycle_transitions) - interval 13 month
    order by month desc, customers desc, from_state, to_state
    """,
    (
        Column("month", "Month"),
        Column("from_state", "From"),
        Column("to_state", "To"),
        Column("customers", "Customers", "int"),
        Column("from_customers", "All in that state before", "int"),
        Column("share", "Share", "percent"),
        Column("is_complete", "Month over", "yes_no"),
    ),
)

WINBACKS = Dataset(
    "winbacks",
    ("lifecycle_daily",),
    """
    select date_trunc('month', date)::date as month, cast(sum(entered_from_lapsed) as bigint) as won_back,
        cast(sum(case when state = 'lapsed' then "entered" else 0 end) as bigint) as lapsed
    from marts.lifecycle_daily where date_trunc('month', date) > $as_of - interval 25 month
    group by 1 order by 1
    """,
    (Column("month", "Month", "month"), Column("won_back", "Won back", "int"), Column("lapsed", "Lapsed", "int")),
)

_CUTS = """
    case when cut = 'all' then 'All customers'
        else upper(left(cut, 1)) || replace(substr(cut, 2), '_', ' ') || ': ' || replace(cut_value, ': ', ' ') end
"""
RATES = Dataset(
    "rates",
    ("retention_rates",),
    f"""
    with largest as (
        select cut, cut_value from marts.retention_rates where period_type = 'month' and is_complete
        group by cut, cut_value
        qualify row_number() over (partition by cut order by sum(customers_end) desc, cut_value) <= 8
    ),
    rates as (
        select {_CUTS} as customers, cut, cut_value, period_start as month, customers_start, retained, lost,
            retention_rate, churn_rate
        from marts.retention_rates
        inner join largest using (cut, cut_value)
        where period_type = 'month' and is_complete and period_start > $as_of - interval 25 month
    )
    select * from (
        select customers, month, 'retention' as rate, retained as numerator, customers_start, retention_rate as value
        from rates
        union all
        select customers, month, 'churn', lost, customers_start, churn_rate from rates
    )
    order by customers <> 'All customers', customers, rate desc, month
    """,
    (
        Column("customers", "Customers"),
        Column("month", "Month", "month"),
        Column("rate", "Rate"),
        Column("numerator", "Retained or lost", "int"),
        Column("customers_start", "Buyers at the start", "int"),
        Column("value", "Value", "percent"),
    ),
)

THRESHOLDS = Dataset(
    "thresholds",
    ("lifecycle_thresholds",),
    """
    select business_line, month, policy, at_risk_days, lapsed_days, gaps from marts.lifecycle_thresholds
    where month > $as_of - interval 37 month order by business_line, month
    """,
    (
        Column("business_line", "Business line"),
        Column("month", "Month", "month"),
        Column("policy", "Policy"),
        Column("at_risk_days", "At risk after, days", "int"),
        Column("lapsed_days", "Lapsed after, days", "int"),
        Column("gaps", "Gaps behind it", "int"),
    ),
)


def _numbers(marts: Marts) -> tuple[KeyNumber, ...]:
    """Today's population and entrants, by state."""
    rows = marts.rows(
        """
        with states as (select unnest(['new', 'active', 'reactivated', 'at_risk', 'lapsed']) as state)
        select state, coalesce(sum(customers) filter (where date = $as_of), 0),
            sum(customers) filter (where date = $as_of - 28),
            coalesce(sum("entered") filter (where date = $as_of), 0),
            list(customers order by date) filter (where date > $as_of - 91)
        from states left join marts.lifecycle_daily using (state)
        group by state order by list_position(['new', 'active', 'reactivated', 'at_risk', 'lapsed'], state)
        """,
        "lifecycle_daily",
    )
    good = {"active": "up", "reactivated": "up", "new": "up", "at_risk": "down", "lapsed": "down"}
    return tuple(
        KeyNumber(
            f"state_{state}",
            f"{state.replace('_', ' ').capitalize()} today",
            int(now),
            "int",
            None if before is None else float(now - before),
            "difference",
            f"in 28 days; {int(entered):,} entered today",
            good[state],  # type: ignore[arg-type]
            tuple(past or ()),
            marts.definition("lifecycle_daily.state") if state == "new" else "",
        )
        for state, now, before, entered, past in rows
    )


def page(marts: Marts) -> Page:
    """The page."""
    order = f"indexof({list(STATES)!r}, datum.state)"
    population = (
        alt.Chart(charts.ROWS)
        .transform_calculate(order=order)
        .mark_area(stroke="@card", strokeWidth=0.75)
        .encode(
            x=charts.time(Column("date", "Day", "month")),
            y=charts.amount(POPULATION.column("customers"), stack=True),
            color=charts.hue("state", None, STATES, TOKENS),
            order=alt.Order("order:Q"),
            tooltip=charts.tooltip(POPULATION, ("date", "state", "customers")),
        )
    )
    thresholds = alt.layer(
        *[
            alt.Chart(charts.ROWS)
            .mark_line(interpolate="step-after", strokeWidth=2, strokeDash=dash)
            .encode(
                x=charts.time(THRESHOLDS.column("month")),
                y=charts.amount(THRESHOLDS.column(column), title="Days of silence"),
                color=charts.hue("business_line", None),
                tooltip=charts.tooltip(
                    THRESHOLDS, ("business_line", "month", "policy", "at_risk_days", "lapsed_days", "gaps")
                ),
            )
            for column, dash in (("at_risk_days", [1, 0]), ("lapsed_days", [5, 4]))
        ]
    )
    return Page(
        "lifecycle",
        "Lifecycle",
        "Who is new, active, at risk or lapsed, who crossed a line today, and who came back?",
        (
            Section(
                "Today",
                (
                    Figure(
                        "entrants_today",
                        "Who became at risk, lapsed or came back today, by RFM segment",
                        "today",
                        charts.lying_bars(
                            TODAY,
                            "rfm_segment",
                            "customers",
                            series="state",
                            domain=("at risk", "lapsed", "reactivated"),
                            tokens=("orange", "grey", "green"),
                            tooltips=TODAY.names,
                        ),
                        TODAY.names,
                        ("lifecycle_history.valid_from", "customers.rfm_segment"),
                        empty="Nobody became at risk, lapsed or came back today.",
                    ),
                    Figure(
                        "entrants_by_day",
                        "How many entered the state, day by day",
                        "entrants",
                        charts.bars(
                            ENTRANTS, "date", "entered", tooltips=("date", "state", "entered", "gone"), token="blue"
                        ),
                        ("date", "state", "entered", "gone"),
                        ("lifecycle_daily.entered",),
                        "The last 90 days.",
                        ("state",),
                    ),
                ),
            ),
            Section(
                "Population",
                (
                    Figure(
                        "population",
                        "Customers by lifecycle state, week by week",
                        "population",
                        charts.spec(population, charts.TALL),
                        ("date", "state", "customers"),
                        ("lifecycle_daily.state", "lifecycle_daily.customers"),
                        "Weekly closes, so that the last one is today's.",
                        wide=True,
                    ),
                ),
            ),
            Section(
                "Movement",
                (
                    Figure(
                        "flow",
                        "Where customers of each state were a month later",
                        "flow",
                        charts.heat_map(
                            FLOW,
                            "to_state",
                            "from_state",
                            "share",
                            "customers",
                            tooltips=("month", "from_state", "to_state", "customers", "from_customers", "share"),
                            x_title="To",
                            y_title="From",
                            x_sort=STATES,
                            y_sort=("none", *STATES),
                            step=32,
                            top=1.0,
                        ),
                        ("month", "from_state", "to_state", "customers", "from_customers", "share", "is_complete"),
                        ("lifecycle_transitions.share", "lifecycle_transitions.from_state"),
                        "Colour: share of those who were in the state; number: customers.",
                        ("month",),
                        min_width=760,
                        wide=True,
                    ),
                    Figure(
                        "winbacks",
                        "Win-backs: lapsed customers who bought again, by month",
                        "winbacks",
                        charts.bars(
                            WINBACKS, "month", "won_back", tooltips=("month", "won_back", "lapsed"), token="green"
                        ),
                        ("month", "won_back", "lapsed"),
                        ("lifecycle_daily.entered_from_lapsed",),
                    ),
                    Figure(
                        "rates",
                        "Retention and churn of buyers, by month",
                        "rates",
                        charts.lines(
                            RATES,
                            "month",
                            "value",
                            "rate",
                            tooltips=("rate", "month", "numerator", "customers_start", "value"),
                            domain=("retention", "churn"),
                            tokens=("blue", "orange"),
                        ),
                        ("customers", "month", "rate", "numerator", "customers_start", "value"),
                        (
                            "retention_rates.retention_rate",
                            "retention_rates.churn_rate",
                            "retention_rates.customers_start",
                        ),
                        "Finished months; of a cut the 8 largest values.",
                        ("customers",),
                    ),
                ),
            ),
            Section(
                "Where the lines are",
                (
                    Figure(
                        "thresholds",
                        "After how many days of silence a customer is at risk, and lapsed",
                        "thresholds",
                        charts.spec(thresholds),
                        THRESHOLDS.names,
                        ("customers.lifecycle_state", "lifecycle_thresholds.at_risk_days"),
                        "Drawn through: at risk. Dashed: lapsed. What counts is the line on the day the silence began.",
                        wide=True,
                    ),
                ),
            ),
        ),
        (TODAY, ENTRANTS, POPULATION, FLOW, WINBACKS, RATES, THRESHOLDS),
        (
            Filter("state", "State entered", "entrants", "state", "at risk"),
            Filter("month", "Month", "flow", "month"),
            Filter("customers", "Rates of", "rates", "customers", "All customers"),
        ),
        _numbers(marts),
    )

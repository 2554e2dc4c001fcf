"""RFM: who bought recently, often and much, and who moved since last month."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

from ritorno.report import charts
from ritorno.report.figures import Column, Dataset, Figure, Filter, Page, Row, Section, Spec
from ritorno.report.marts import Marts
from ritorno.report.squarify import Box, squarify

ORDER = (
    "champions",
    "loyal customers",
    "potential loyalists",
    "new customers",
    "promising",
    "need attention",
    "about to sleep",
    "at risk",
    "cant lose them",
    "hibernating",
)
"""From the best to those one has nearly lost, so that the diagonal of a movement table means staying."""

GRID = Dataset(
    "grid",
    ("rfm_grid",),
    """
    select upper(left(metric_x, 1)) || substr(metric_x, 2) || ' × ' || metric_y as metrics, score_x, score_y, customers,
        share_of_customers, net_revenue,
        case when customers > 0 then cast(net_revenue as double) / customers end as revenue_per_customer
    from marts.rfm_grid
    order by metric_x <> 'recency', metric_y <> 'frequency', metric_x, metric_y, score_y desc, score_x
    """,
    (
        Column("metrics", "Scores"),
        Column("score_x", "First score", "int"),
        Column("score_y", "Second score", "int"),
        Column("customers", "Customers", "int"),
        Column("share_of_customers", "Share of customers", "percent"),
        Column("net_revenue", "Net revenue", "money"),
        Column("revenue_per_customer", "Net revenue per customer", "money"),
    ),
)

_SEGMENT_COLUMNS = (
    Column("segment", "Segment"),
    Column("customers", "Customers", "int"),
    Column("share", "Share of customers", "percent"),
    Column("net_revenue", "Net revenue", "money"),
    Column("revenue_per_customer", "Net revenue per customer", "money"),
    Column("median_recency", "Median days since the last order", "int"),
)


def _boxes(rows: Sequence[Row]) -> list[Row]:
    """Rows with the rectangle of their segment, area by customers."""
    boxes = squarify([float(row[1]) for row in rows], Box(0.0, 0.0, 100.0, 60.0))
    return [
        (
            *row,
            box.x,
            box.y,
            box.x + box.width,
            box.y + box.height,
            box.x + box.width / 2,
            box.y + box.height / 2,
            box.width,
        )
        for row, box in zip(rows, boxes, strict=True)
    ]


SEGMENTS = Dataset(
    "segments",
    ("customer_rfm",),
    """
    select replace(rfm_segment, '_', ' ') as segment, count(*) as customers,
        count(*) / sum(count(*)) over () as share, sum(net_revenue) as net_revenue,
        cast(sum(net_revenue) as double) / count(*) as revenue_per_customer,
        cast(percentile_disc(0.5) within group (order by recency_days) as bigint) as median_recency
    from marts.customer_rfm group by rfm_segment order by customers desc, segment
    """,
    (
        *_SEGMENT_COLUMNS,
        *(Column(name, name, "number") for name in ("left", "top", "right", "bottom", "middle", "centre", "width")),
    ),
    _boxes,
)

MOVES = Dataset(
    "moves",
    ("rfm_transitions",),
    """
    select strftime(month, '%Y-%m') as month, replace(from_segment, '_', ' ') as from_segment,
        replace(to_segment, '_', ' ') as to_segment, customers, from_segment = to_segment as stayed
    from marts.rfm_transitions
    where month > (select max(month) from marts.rfm_transitions) - interval 12 month
    order by month desc, customers desc, from_segment, to_segment
    """,
    (
        Column("month", "Month"),
        Column("from_segment", "From"),
        Column("to_segment", "To"),
        Column("customers", "Customers", "int"),
        Column("stayed", "Stayed", "yes_no"),
    ),
)

NET = Dataset(
    "net",
    ("rfm_transitions",),
    """
    with moves as (
        select month, from_segment, to_segment, customers from marts.rfm_transitions
        where month > (select max(month) from marts.rfm_transitions) - interval 12 month and from_segment <> to_segment
    ),
    ends as (
        select month, to_segment as segment, customers as came, 0 as went from moves
        union all
        select month, from_segment, 0, customers from moves where from_segment <> 'prospect'
    )
    select strftime(month, '%Y-%m') as month, replace(segment, '_', ' ') as segment, cast(sum(came) as bigint) as came,
        cast(sum(went) as bigint) as went, cast(sum(came) - sum(went) as bigint) as net
    from ends group by all order by month desc, net desc, segment
    """,
    (
        Column("month", "Month"),
        Column("segment", "Segment"),
        Column("came", "Came", "int"),
        Column("went", "Went", "int"),
        Column("net", "Came less went", "int"),
    ),
)


def treemap() -> Spec:
    """Segments as rectangles: area by customers, colour by revenue per customer."""
    tooltips = charts.tooltip(SEGMENTS, [column.name for column in _SEGMENT_COLUMNS])
    plane = {
        "x": alt.X("left:Q", axis=None, scale=alt.Scale(domain=[0, 100], nice=False)),
        "y": alt.Y("top:Q", axis=None, scale=alt.Scale(domain=[60, 0], nice=False)),
    }
    base = alt.Chart(charts.ROWS).transform_joinaggregate(highest="max(revenue_per_customer)")
    boxes = base.mark_rect(stroke="@card", strokeWidth=3, cornerRadius=4).encode(
        **plane,
        x2="right",
        y2="bottom",
        tooltip=tooltips,
        color=alt.Color(
            "revenue_per_customer:Q",
            title="Net revenue per customer",
            scale=alt.Scale(range=charts.HEAT, interpolate="rgb", domainMin=0),
            legend=alt.Legend(
                format="$~s",
                orient="bottom",
                direction="horizontal",
                gradientLength=180,
                gradientThickness=10,
                tickCount=3,
            ),
        ),
    )
    words = base.transform_filter("datum.width > 9").encode(
        x=alt.X("middle:Q", axis=None),
        y=alt.Y("centre:Q", axis=None),
        color=alt.condition(
            f"datum.revenue_per_customer / datum.highest > {charts.TURN}",
            alt.value("@heat_text_high"),
            alt.value("@heat_text"),
        ),
    )
    names = words.mark_text(dy=-8, fontSize=13, fontWeight=600).encode(text="segment:N")
    counts = words.mark_text(dy=10, fontSize=12).encode(text=alt.Text("customers:Q", format=",d"))
    return charts.spec(boxes + names + counts, 340)


def grid() -> Spec:
    """The 25 cells of two scores."""
    return charts.heat_map(
        GRID,
        "score_x",
        "score_y",
        "customers",
        "customers",
        tooltips=(
            "metrics",
            "score_x",
            "score_y",
            "customers",
            "share_of_customers",
            "net_revenue",
            "revenue_per_customer",
        ),
        x_title="First score (5 = best)",
        y_title="Second score (5 = best)",
        y_sort="descending",
        step=52,
        font_size=13,
    )


def net_moves() -> Spec:
    """Came less went, by segment; the sign has its colour."""
    base = alt.Chart(charts.ROWS).encode(
        x=alt.X(
            "net:Q",
            title="Customers who came less those who went",
            axis=alt.Axis(format="+d", tickMinStep=1, tickCount=8),
        ),
        y=alt.Y("segment:N", title=None, sort=None, axis=alt.Axis(grid=False, domain=False)),
        color=alt.condition("datum.net < 0", alt.value("@minus"), alt.value("@plus")),
        tooltip=charts.tooltip(NET, NET.names),
    )
    return charts.stepped(base.mark_bar(cornerRadius=1), 28)


def page(marts: Marts) -> Page:
    """The page."""
    del marts
    return Page(
        "rfm",
        "RFM",
        "Who bought recently, often and much, what are they worth, and who moved since last month?",
        (
            Section(
                "Segments",
                (
                    Figure(
                        "segment_map",
                        "RFM segments: area is customers, colour is net revenue per customer",
                        "segments",
                        treemap(),
                        tuple(column.name for column in _SEGMENT_COLUMNS),
                        ("customer_rfm.rfm_segment", "customer_rfm.net_revenue"),
                        min_width=620,
                        wide=True,
                    ),
                ),
                "Segments by recency and frequency scores. “RFM: at risk” isn't the lifecycle state at risk.",
            ),
            Section(
                "Scores",
                (
                    Figure(
                        "score_grid",
                        "Customers in each pair of scores",
                        "grid",
                        grid(),
                        (
                            "score_x",
                            "score_y",
                            "customers",
                            "share_of_customers",
                            "net_revenue",
                            "revenue_per_customer",
                        ),
                        (
                            "rfm_grid.score_x",
                            "customer_rfm.recency_days",
                            "customer_rfm.frequency",
                            "customer_rfm.monetary",
                        ),
                        "Recency 1 × monetary 5: they spend much and haven't bought for a while.",
                        ("metrics",),
                        wide=True,
                    ),
                ),
            ),
            Section(
                "Movement",
                (
                    Figure(
                        "moves",
                        "Where customers moved between the ends of two months",
                        "moves",
                        charts.heat_map(
                            MOVES,
                            "to_segment",
                            "from_segment",
                            "customers",
                            "customers",
                            tooltips=("month", "from_segment", "to_segment", "customers"),
                            x_title="To",
                            y_title="From",
                            x_sort=ORDER,
                            y_sort=("prospect", *ORDER),
                            step=30,
                        ),
                        ("month", "from_segment", "to_segment", "customers"),
                        ("rfm_transitions.from_segment", "rfm_transitions.to_segment"),
                        "The diagonal stayed where it was.",
                        ("month",),
                        min_width=900,
                        wide=True,
                    ),
                    Figure(
                        "net_moves",
                        "Which segments grew and shrank",
                        "net",
                        net_moves(),
                        ("month", "segment", "came", "went", "net"),
                        ("rfm_transitions.customers",),
                        "First orders count as coming, from nowhere.",
                        ("month",),
                        wide=True,
                    ),
                ),
            ),
        ),
        (GRID, SEGMENTS, MOVES, NET),
        (Filter("metrics", "Scores", "grid", "metrics"), Filter("month", "Month", "moves", "month")),
    )

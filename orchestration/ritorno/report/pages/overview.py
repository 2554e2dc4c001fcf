"""The first page: today's numbers, what needs attention, whether the data is good and fresh."""

from __future__ import annotations

from datetime import date
from typing import Any

from ritorno.report import charts
from ritorno.report.figures import Attention, Column, Dataset, Figure, KeyNumber, Page, Section
from ritorno.report.marts import Marts
from ritorno.report.numbers import compact, relative_change, shown
from ritorno.report.pages import audiences, experiments

DAYS = 28
"""Four whole weeks, so that no weekday weighs more before than after."""
QUIET_DAYS = 7
BUYING = ("new", "active", "reactivated", "at_risk")

WEEKS = Dataset(
    "weeks",
    ("orders",),
    """
    with weeks as (
        select cast($as_of - 7 * cast(week as integer) as date) as week_to from range(52) as years (week)
    ),
    sold as (
        select cast($as_of - 7 * cast(date_diff('day', order_date, $as_of) // 7 as integer) as date) as week_to,
            count(*) as orders, sum(net_revenue) as net_revenue, count(*) filter (where is_first_order) as first_orders
        from marts.orders where order_date > $as_of - 364 group by 1
    )
    select week_to, coalesce(orders, 0) as orders, coalesce(net_revenue, 0) as net_revenue,
        coalesce(first_orders, 0) as first_orders
    from weeks left join sold using (week_to)
    where week_to >= (select min(week_to) from sold)
    order by week_to
    """,
    (
        Column("week_to", "Week to", "date"),
        Column("orders", "Orders", "int"),
        Column("net_revenue", "Net revenue", "money"),
        Column("first_orders", "First orders", "int"),
    ),
)

BALANCE = Dataset(
    "balance",
    ("lifecycle_daily",),
    """
    select date, 'became at risk' as what, cast(sum("entered") filter (where state = 'at_risk') as bigint) as customers
    from marts.lifecycle_daily where date > $as_of - 57 group by date
    union all
    select date, 'won back', cast(sum(entered_from_lapsed) as bigint)
    from marts.lifecycle_daily where date > $as_of - 57 group by date
    order by date, what
    """,
    (Column("date", "Day", "date"), Column("what", "What"), Column("customers", "Customers", "int")),
)

CHECKS = Dataset(
    "checks",
    ("data_quality",),
    """
    select replace(check_name, '_', ' ') as check_name, min(checked) as checked, severity, count(*) as subjects,
        count(*) filter (where not passed) as failed, cast(sum(rows_checked) as bigint) as rows_checked,
        cast(sum(rows_failed) as bigint) as rows_failed
    from marts.data_quality where not check_name like '%\\_listed' escape '\\'
    group by check_name, severity
    order by failed = 0, list_position(['error', 'warning', 'info'], severity), check_name
    """,
    (
        Column("check_name", "Check"),
        Column("checked", "What is expected to hold"),
        Column("severity", "Severity"),
        Column("subjects", "Subjects", "int"),
        Column("failed", "Of them failed", "int"),
        Column("rows_checked", "Rows", "int"),
        Column("rows_failed", "Rows that don't hold", "int"),
    ),
)

QUARANTINE = Dataset(
    "quarantine",
    ("data_quality",),
    """
    select subject, system, why as reason, cast(sum(rows_quarantined) as bigint) as quarantined,
        max(rows_checked) as landed
    from marts.data_quality where check_name = 'quarantined_rows' and rows_quarantined > 0
    group by all order by quarantined desc, subject, reason limit 25
    """,
    (
        Column("subject", "Table"),
        Column("system", "System"),
        Column("reason", "Reason"),
        Column("quarantined", "Rows in quarantine", "int"),
        Column("landed", "Rows landed", "int"),
    ),
)

MARTS = Dataset(
    "marts",
    (),
    "select mart, row_count, as_of_date, published_at from marts.published_run order by mart",
    (
        Column("mart", "Mart"),
        Column("row_count", "Rows", "int"),
        Column("as_of_date", "As of", "date"),
        Column("published_at", "Published (UTC)"),
    ),
)


def order_numbers(marts: Marts) -> list[KeyNumber]:
    """Flows of the last 28 days, against the 28 before."""
    row = marts.row(
        f"""
        with sums as (
            select date_diff('day', order_date, $as_of) // {DAYS} as back, count(*) as orders,
                sum(net_revenue) as revenue,
                count(*) filter (where is_first_order) as firsts
            from marts.orders where order_date > $as_of - {13 * DAYS} group by 1
        ),
        spine as (select unnest(range(13)) as back)
        select list(coalesce(orders, 0) order by back desc), list(coalesce(revenue, 0) order by back desc),
            list(coalesce(firsts, 0) order by back desc)
        from spine left join sums using (back)
        """,
        "orders",
    )
    if row is None:
        return []
    orders, revenue, firsts = row
    compared = f"last {DAYS} days, against the {DAYS} before"
    aov = [None if not n else float(r) / n for r, n in zip(revenue, orders, strict=True)]
    numbers: list[tuple[str, str, list[Any], Any, str]] = [
        ("net_revenue", "Net revenue", revenue, "money", "orders.net_revenue"),
        ("orders", "Orders", orders, "int", "orders.order_number"),
        ("aov", "Average order value", aov, "money", "retention_rates.aov"),
        ("first_orders", "New customers", firsts, "int", "orders.is_first_order"),
    ]
    return [
        KeyNumber(
            key,
            label,
            values[-1],
            kind,
            relative_change(values[-1], values[-2]),
            "percent",
            compared,
            "up",
            tuple(None if value is None else float(value) for value in values),
            marts.definition(definition),
        )
        for key, label, values, kind, definition in numbers
    ]


def lifecycle_numbers(marts: Marts) -> list[KeyNumber]:
    """Levels of today, against 28 days ago, and today's entrants."""
    days = marts.rows(
        """
        select date, sum(customers) filter (where state in ('new', 'active', 'reactivated', 'at_risk')) as buyers,
            coalesce(sum(customers) filter (where state = 'at_risk'), 0) as at_risk,
            coalesce(sum("entered") filter (where state = 'at_risk'), 0) as entered
        from marts.lifecycle_daily where date > $as_of - 91 group by date order by date
        """,
        "lifecycle_daily",
    )
    if not days:
        return []
    today, before = days[-1], days[-1 - DAYS] if len(days) > DAYS else None
    month = days[-1 - DAYS : -1]
    usual = sum(row[3] for row in month) / len(month) if month else None
    return [
        KeyNumber(
            "buyers",
            "Customers not lapsed",
            today[1] or 0,
            "int",
            relative_change(today[1], before and before[1]),
            "percent",
            f"against {DAYS} days ago",
            "up",
            tuple(row[1] for row in days),
            marts.definition("retention_rates.customers_end"),
        ),
        KeyNumber(
            "at_risk",
            "At risk",
            today[2],
            "int",
            relative_change(today[2], before and before[2]),
            "percent",
            f"against {DAYS} days ago",
            "down",
            tuple(row[2] for row in days),
            marts.definition("customers.is_at_risk"),
        ),
        KeyNumber(
            "became_at_risk",
            "Became at risk today",
            today[3],
            "int",
            None if usual is None else float(today[3]) - float(usual),
            "difference",
            f"against the mean day of the last {DAYS}",
            "down",
            tuple(row[3] for row in days),
            marts.definition("lifecycle_daily.entered"),
        ),
    ]


def rate_numbers(marts: Marts) -> list[KeyNumber]:
    """Retention of the last finished month, MRR, predicted value."""
    numbers = []
    months = marts.rows(
        "select period_start, retention_rate, retention_rate_change_previous from marts.retention_rates "
        "where period_type = 'month' and cut = 'all' and is_complete order by period_start desc limit 13",
        "retention_rates",
    )
    if months:
        numbers.append(
            KeyNumber(
                "retention_rate",
                "Monthly retention",
                months[0][1],
                "percent",
                months[0][2],
                "points",
                f"{months[0][0]:%B %Y}, against the month before",
                "up",
                tuple(row[1] for row in reversed(months)),
                marts.definition("retention_rates.retention_rate"),
            )
        )
    closings = marts.rows("select closing, opening from marts.mrr_monthly order by month desc limit 13", "mrr_monthly")
    if closings:
        numbers.append(
            KeyNumber(
                "mrr",
                "MRR",
                closings[0][0],
                "money",
                relative_change(*closings[0]),
                "percent",
                "since the month began",
                "up",
                tuple(float(row[0]) for row in reversed(closings)),
                marts.definition("subscriptions.mrr"),
            )
        )
    value = marts.row(
        "select sum(predicted_value_365d), count(predicted_value_365d) from marts.customer_value", "customer_value"
    )
    if value and value[1]:
        numbers.append(
            KeyNumber(
                "predicted_value",
                "Predicted value, next 365 days",
                value[0],
                "money",
                compared=f"of {value[1]:,} customers",
                definition=marts.definition("customer_value.predicted_value_365d"),
            )
        )
    return numbers


def attention(marts: Marts) -> list[Attention]:
    """What a person should look at today, the worst first."""
    found = [
        *_checks(marts),
        *_fresh(marts),
        *_people(marts),
        *_pauses(marts),
        *_models(marts),
        *experiments.attention(marts),
        *audiences.attention(marts),
    ]
    order = {"alarm": 0, "warning": 1, "notice": 2}
    return sorted(found, key=lambda item: order[item.level])


def _plural(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _checks(marts: Marts) -> list[Attention]:
    rows = marts.rows(
        "select severity, count(distinct check_name), coalesce(sum(rows_failed), 0) from marts.data_quality "
        "where not passed and severity in ('error', 'warning') and check_name <> 'quarantined_rows' "
        "group by severity order by severity",
        "data_quality",
    )
    quarantined = marts.row(
        "select coalesce(sum(rows_quarantined), 0) from marts.data_quality where check_name = 'quarantined_rows'",
        "data_quality",
    )
    found = [
        Attention(
            "alarm" if severity == "error" else "warning",
            f"{_plural(int(checks), 'data check', 'data checks')} of severity {severity} found "
            f"{_plural(int(failed), 'row', 'rows')} that don't hold.",
            "index",
            "checks",
        )
        for severity, checks, failed in rows
    ]
    if quarantined and quarantined[0]:
        found.append(
            Attention(
                "notice",
                f"{_plural(int(quarantined[0]), 'row is', 'rows are')} in quarantine, each with its reason.",
                "index",
                "quarantine",
            )
        )
    return found


def _fresh(marts: Marts) -> list[Attention]:
    row = marts.row("select max(order_date) from marts.orders", "orders")
    newest = row[0] if row else None
    if newest is None:
        return [Attention("alarm", "There is no order up to this day.", "index")]
    assert isinstance(newest, date)
    days = (marts.as_of - newest).days
    return (
        [Attention("warning", f"The newest order is {days} days old: recency and churn count those days.", "index")]
        if days > QUIET_DAYS
        else []
    )


def _people(marts: Marts) -> list[Attention]:
    row = marts.row(
        """
        select count(*), coalesce(sum(c.net_revenue), 0),
            count(*) filter (where c.rfm_segment in ('champions', 'loyal_customers', 'cant_lose_them'))
        from marts.lifecycle_history as h
        inner join marts.customers as c on h.customer_key = c.customer_key
        where h.state = 'at_risk' and h.valid_from = $as_of
        """,
        "lifecycle_history",
        "customers",
    )
    if not row or not row[0]:
        return []
    best = f", {row[2]:,} of them among the best" if row[2] else ""
    brought = compact(row[1], "money", marts.currency)
    text = f"{_plural(row[0], 'customer', 'customers')} became at risk today{best}; they have brought {brought} so far."
    return [Attention("warning" if row[2] else "notice", text, "lifecycle")]


def _pauses(marts: Marts) -> list[Attention]:
    row = marts.row(
        "select count(*) filter (where is_due_within_7_days), "
        "coalesce(sum(mrr_at_pause) filter (where is_due_within_7_days), 0), "
        "count(*) filter (where is_paused_too_long) from marts.subscription_pauses where outcome = 'paused'",
        "subscription_pauses",
    )
    if not row:
        return []
    found = []
    if row[0]:
        money = shown(row[1], "money", marts.currency)
        found.append(
            Attention(
                "notice",
                f"{_plural(row[0], 'pause ends', 'pauses end')} within 7 days, {money} a month.",
                "subscriptions",
            )
        )
    if row[2]:
        found.append(
            Attention(
                "warning",
                f"{_plural(row[2], 'subscription has', 'subscriptions have')} been paused for too long.",
                "subscriptions",
            )
        )
    return found


def _models(marts: Marts) -> list[Attention]:
    row = marts.row(
        "select status, detail, coalesce(is_recency_better, false) from marts.value_model_fits "
        "where role = 'orders' and business_line = 'all'",
        "value_model_fits",
    )
    if not row:
        return []
    if row[0] != "converged":
        return [Attention("notice", f"Customer value has no usable model: {row[1]}.", "value")]
    return (
        [Attention("notice", "In the back-test plain recency ranked customers better than the value model.", "value")]
        if row[2]
        else []
    )


def page(marts: Marts) -> Page:
    """The page."""
    return Page(
        "index",
        "Overview",
        "How are we doing today, what has changed, and can these numbers be trusted?",
        (
            Section(
                "The last weeks",
                (
                    Figure(
                        "revenue_by_week",
                        "Net revenue by week",
                        "weeks",
                        charts.bars(
                            WEEKS,
                            "week_to",
                            "net_revenue",
                            tooltips=("week_to", "net_revenue", "orders", "first_orders"),
                        ),
                        ("week_to", "net_revenue", "orders", "first_orders"),
                        ("orders.net_revenue",),
                        "Weeks of seven days that end on the report's weekday; the last one is whole.",
                    ),
                    Figure(
                        "balance",
                        "Customers who became at risk, and who were won back, by day",
                        "balance",
                        charts.lines(
                            BALANCE,
                            "date",
                            "customers",
                            "what",
                            tooltips=("date", "what", "customers"),
                            domain=("became at risk", "won back"),
                            tokens=("orange", "green"),
                        ),
                        ("date", "what", "customers"),
                        ("lifecycle_daily.entered", "lifecycle_daily.entered_from_lapsed"),
                        "The last 8 weeks.",
                    ),
                ),
            ),
            Section(
                "Data quality and freshness",
                (
                    Figure(
                        "checks",
                        "What was checked in this run",
                        "checks",
                        None,
                        CHECKS.names,
                        ("data_quality.severity",),
                        wide=True,
                    ),
                    Figure(
                        "quarantine",
                        "What is in quarantine, and why",
                        "quarantine",
                        None,
                        QUARANTINE.names,
                        ("data_quality.rows_quarantined",),
                        "The 25 largest reasons; every row stands in the home's folder quarantine/.",
                        empty="Nothing is in quarantine.",
                    ),
                    Figure(
                        "published_marts",
                        "What is published, and as of which day",
                        "marts",
                        None,
                        MARTS.names,
                    ),
                ),
            ),
        ),
        (WEEKS, BALANCE, CHECKS, QUARANTINE, MARTS),
        (),
        (*order_numbers(marts), *lifecycle_numbers(marts), *rate_numbers(marts)),
        tuple(attention(marts)),
    )

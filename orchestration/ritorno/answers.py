"""A few questions that the published marts answer, shown after the demo."""

from __future__ import annotations

from decimal import Decimal

import duckdb
from rich.console import Console
from rich.table import Table

from ritorno.home import Home
from ritorno.publishing import FILE_FOR_BI
from ritorno.report import INDEX

QUESTIONS: tuple[tuple[str, str, str], ...] = (
    (
        "Which segments do our customers fall into, and what are they worth?",
        "customer_rfm",
        """
        select r.rfm_segment as segment, count(*) as customers, sum(c.net_revenue) as net_revenue
        from marts.customer_rfm as r
        inner join marts.customers as c on r.customer_key = c.customer_key
        group by r.rfm_segment
        order by net_revenue desc
        limit 5
        """,
    ),
    (
        "How many of a month's new customers come back?",
        "cohort_retention",
        """
        select cohort_month, max(cohort_size) as new_customers,
            round(100 * max(case when period = 1 then retention end), 1) as percent_month_1,
            round(100 * max(case when period = 3 then retention end), 1) as percent_month_3
        from marts.cohort_retention
        where cohort_type = 'calendar_month' and cut = 'all'
        group by cohort_month
        order by cohort_month desc
        limit 5
        """,
    ),
    (
        "Who are our best customers, and when did they last buy?",
        "customers",
        """
        select customer_key, orders, net_revenue, last_order_date
        from marts.customers
        order by net_revenue desc nulls last, customer_key
        limit 5
        """,
    ),
    (
        "Which orders don't count, and why?",
        "excluded_orders",
        """
        select reason, count(*) as orders
        from marts.excluded_orders
        group by reason
        order by orders desc, reason
        limit 5
        """,
    ),
)


def print_answers(home: Home, console: Console | None = None) -> None:
    """Ask the published marts, and show where to go on."""
    console = console or Console(highlight=False)
    with duckdb.connect(str(home.published / FILE_FOR_BI), read_only=True) as con:
        marts = {name for (name,) in con.execute("select table_name from duckdb_tables()").fetchall()}
        for question, mart, sql in QUESTIONS:
            if mart not in marts:
                continue
            result = con.execute(sql)
            table = Table(title=question, title_justify="left", title_style="bold")
            for column in result.description or ():
                table.add_column(column[0].replace("_", " "))
            for row in result.fetchall():
                table.add_row(*map(_shown, row))
            console.print(table)
    where = {
        "Report": f"{home.published / INDEX} (open it in a browser)",
        "Marts": f"{home.published / FILE_FOR_BI} (schema marts) and {home.published / 'parquet'}",
        "Checks": home.docs,
        "Quarantine": home.quarantine,
        "Next": f"ritorno status --home {home.root}   or   ritorno dev --home {home.root}",
    }
    for name, place in where.items():
        console.print(f"{name:<12}{place}", soft_wrap=True)


def _shown(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int | Decimal) else str(value)

"""Published runs for the report's tests: a real one through the command line, and bare ones by contract."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from filelock import FileLock

from ritorno.home import PROJECT_ROOT, Home
from tests.engines.shop import COLUMNS, ODD, a_fortieth_of_online_retail, add_odd_orders
from tests.orders.online_retail import FILE

AS_OF = date(2026, 6, 17)
"""In the middle of a month, so that some periods aren't over."""


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this run have in common."""
    base = factory.getbasetemp()
    return base.parent if base.name.startswith("popen-") else base


def raw_of_the_home(shared: Path) -> dict[str, Path]:
    """What the home is made of, by system: a simulated shop with odd texts in its orders, and a real one if it is here.

    The other engines are held against the home: each text is in one column here, and all are read on every engine by
    the macros' tests.
    """
    shop, lines = shared / "report-shop", shared / "report-lines.parquet"
    with FileLock(shared / "report-shop.lock"):
        if not shop.exists():
            customers = ("--customers", "800", "--years", "1.25", "--seed", "5", "--end", str(AS_OF))
            _ritorno(shared, "simulate", str(shared / "report-new"), *customers)
            add_odd_orders(shared / "report-new" / "raw", [(text, _column(at, text)) for at, text in enumerate(ODD)])
            if FILE is not None:
                a_fortieth_of_online_retail(FILE, lines, AS_OF)
            (shared / "report-new").rename(shop)
    return {"files": shop / "raw"} | ({"online_retail": lines} if FILE is not None else {})


def _column(at: int, text: str) -> str:
    """Where the odd text stands; one that is a time would be an order of a year in which nobody bought yet."""
    return "cancelled_at" if text.startswith("2024-") else COLUMNS[at % len(COLUMNS)]


def real_home(shared: Path) -> Home:
    """A small shop, refreshed and published through the command line, once for all test processes."""
    home = Home(shared / "report-home")
    with FileLock(shared / "report-home.lock"):
        if not home.published.exists():
            sources = [f"--source={system}={path}" for system, path in raw_of_the_home(shared).items()]
            _ritorno(home.root, "refresh", *sources, "--as-of", AS_OF.isoformat())
    return home


def _ritorno(home: Path, *arguments: str) -> None:
    command = [sys.executable, "-c", "from ritorno.cli import main; main()", *arguments]
    environment = {**os.environ, "RITORNO_HOME": str(home)}
    subprocess.run(command, check=True, env=environment, capture_output=True, text=True, timeout=600)


Table = tuple[Mapping[str, str], list[dict[str, Any]]]


def bare_run(folder: Path, marts: Mapping[str, Table], as_of: date = AS_OF) -> Path:
    """A run folder as publishing leaves it, with the given marts: name → (column types, rows)."""
    folder.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(":memory:") as con:
        con.execute(f"attach '{folder / 'marts.duckdb'}' as published")
        con.execute("create schema published.marts")
        for name, (types, rows) in marts.items():
            columns = ", ".join(f'"{column}" {type_}' for column, type_ in types.items())
            con.execute(f"create table published.marts.{name} ({columns})")
            for row in rows:
                names = ", ".join(f'"{column}"' for column in row)
                marks = ", ".join("?" for _ in row)
                con.execute(f"insert into published.marts.{name} ({names}) values ({marks})", list(row.values()))
        con.execute(
            "create table published.marts.published_run as select 'run-1' as run_id, ?::date as as_of_date, "
            "timestamp '2026-06-18 05:00:00' as published_at, 'GBP' as reporting_currency, mart, "
            "cast(rows as bigint) as row_count from (select unnest(?) as mart, unnest(?) as rows)",
            [as_of, list(marts) or [None], [len(rows) for _, rows in marts.values()] or [None]],
        )
    return folder


def contracts() -> dict[str, dict[str, str]]:
    """Column types of every mart, from its contract."""
    files = sorted((PROJECT_ROOT / "models" / "marts").glob("*/_*.yml"))
    models = [model for file in files for model in yaml.safe_load(file.read_text(encoding="utf-8")).get("models", [])]
    return {model["name"]: {column["name"]: column["data_type"] for column in model["columns"]} for model in models}


LARGE = {
    "cohort_retention": """
        select f as cohort_type, m as cohort_month, strftime(m, '%Y-%m') as cohort, cast(p as integer) as period,
            cut, cut_value, 9000 as cohort_size, 9000 as eligible_customers, 1234 + p as active_customers,
            12345.67 * p as net_revenue, 123456.78 as eligible_net_revenue, 987654.32 as eligible_first_net_revenue,
            1234567.89 + p as eligible_cumulative_net_revenue, (1234 + p) / 9000 as retention,
            0.123456789 as revenue_retention, 137.123456 + p as cumulative_revenue_per_customer, true as is_complete
        from (select unnest(['calendar_month', 'rolling_30d']) as f) as families
        cross join (select unnest(range(date '2016-06-01', date '2026-06-01', interval 1 month))::date as m) as months
        cross join (select unnest(range(120)) as p) as periods
        cross join (
            select 'all' as cut, 'all' as cut_value
            union all
            select c, 'value number ' || v
            from (select unnest(['country', 'acquisition_channel', 'first_category']) as c),
                (select unnest(range(12)) as v)
        ) as cuts
        where m + to_months(cast(p as integer)) < date '2026-06-01'
    """,
    "survival": """
        select c as curve, case when c like '%_by_%' then 'group ' || g else 'all' end as cut_value,
            cast(t as integer) as t_days,
            5000 - t as at_risk, 3 as events, 1 - t / 4000 as survival, 1 - t / 3900 as ci_low, 1 - t / 4100 as ci_high
        from (select unnest(['second_order_day', 'subscription_lifetime', 'subscription_lifetime_by_plan',
            'subscription_lifetime_by_cohort', 'pause_to_resume']) as c), (select unnest(range(12)) as g),
            (select unnest(range(3650)) as t)
        where c like '%_by_%' or g = 0
    """,
    "lifecycle_daily": """
        select d::date as date, s as state, 100000 as customers, 1234 as entered, 1200 as "left",
            7 as entered_from_lapsed
        from (select unnest(range(date '2016-06-17', date '2026-06-18', interval 1 day)) as d),
            (select unnest(['new', 'active', 'reactivated', 'at_risk', 'lapsed', 'registered', 'registered_at_risk',
                'registered_lapsed']) as s)
    """,
    "customers": """
        select md5(cast(n as varchar)) as customer_key, 'b2c' as account_type, 12.34 * (n % 97) as net_revenue,
            'champions' as rfm_segment, 'RFM: champions' as rfm_segment_label, 'at_risk' as lifecycle_state,
            1.23 as predicted_value_365d from range(100000) as numbers (n)
    """,
    "lifecycle_history": """
        select md5(cast(n as varchar)) as customer_key, 'at_risk' as state,
            date '2026-06-17' - cast(n % 700 as integer) as valid_from
        from range(100000) as numbers (n)
    """,
    "customer_value": """
        select md5(cast(n as varchar)) as customer_key, 12.34 as historic_value, 0.5 as p_alive,
            2.5 as expected_orders_90d, 1.23 * n as predicted_value_365d, 1 + n // 10000 as value_decile
        from range(100000) as numbers (n)
    """,
    "orders": """
        select 's:' || n as order_key, date '2026-06-17' - cast(n % 3000 as integer) as order_date,
            45.67 as net_revenue, n % 5 = 0 as is_first_order from range(300000) as numbers (n)
    """,
}
"""Ten years of a large shop, as far as the report asks. 100,000 people stand for a million: pages show aggregates."""


def large_run(folder: Path) -> Path:
    """A run folder of a large shop."""
    types = contracts()
    bare_run(folder, {name: (columns, []) for name, columns in types.items()})
    with duckdb.connect(":memory:") as con:
        con.execute(f"attach '{folder / 'marts.duckdb'}' as run")
        for name, sql in LARGE.items():
            con.execute(f"insert into run.marts.{name} by name {sql}")
    return folder

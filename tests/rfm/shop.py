"""A small shop at the level of the marts that RFM, cohorts and `customers` read, and the real SQL run on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb

from tests.support import Project

INPUTS: Mapping[str, str] = {
    "orders": (
        "order_key varchar, customer_key varchar, order_date date, order_number bigint, is_first_order boolean, "
        "net_revenue decimal(18, 2)"
    ),
    "order_items": "order_key varchar, product_key varchar, net_revenue decimal(18, 2)",
    "products": "product_key varchar, category varchar",
    "refunds": "refund_key varchar, order_key varchar, customer_key varchar, refund_date date, amount decimal(18, 2)",
    "int_identity__customers": (
        "customer_key varchar, account_type varchar, country varchar, company varchar, acquisition_channel varchar, "
        "birth_year integer, preferred_channel varchar, first_seen_at timestamp, is_tombstone boolean"
    ),
    # empty: what they add to `customers` is proved where they are made
    "lifecycle_history": "customer_key varchar, state varchar, valid_from date, valid_to date, silent_since date",
    "customer_value": (
        "customer_key varchar, value_status varchar, p_alive double, expected_orders_365d double, "
        "predicted_value_365d decimal(18, 2), value_decile integer, next_order_date_p50 date"
    ),
    "int_subscriptions__customers": (
        "customer_key varchar, has_active_subscription boolean, is_paused boolean, paused_since date, "
        "paused_too_long_since date, mrr decimal(18, 2), paused_mrr decimal(18, 2)"
    ),
    "int_nps__customers": (
        "customer_key varchar, nps_score bigint, nps_scale varchar, nps_group varchar, nps_responded_at timestamp"
    ),
    "int_loyalty__customers": (
        "customer_key varchar, loyalty_tier varchar, loyalty_tier_since date, loyalty_points bigint, "
        "loyalty_points_expiring_30d bigint, loyalty_next_tier varchar, points_to_next_tier bigint, "
        "spend_to_next_tier decimal(18, 2)"
    ),
    "int_referrals__customers": (
        "customer_key varchar, referrals_made bigint, referrals_converted bigint, is_referred boolean, "
        "referred_by varchar"
    ),
    "int_care__customers": "customer_key varchar, open_tickets bigint, last_ticket_at timestamp, last_csat integer",
    "int_reviews__customers": "customer_key varchar, reviews bigint, last_rating integer",
    "int_channels__customers": (
        "customer_key varchar, preferred_channel varchar, last_touch_at timestamp, is_reachable_email boolean, "
        "is_reachable_sms boolean, is_reachable_push boolean, is_reachable_post boolean"
    ),
}


@dataclass(frozen=True)
class Order:
    """A valid order; `customer` None is anonymous. `lines` are (category, net revenue)."""

    customer: str | None
    day: date
    net: Decimal
    lines: Sequence[tuple[str | None, Decimal]] = ()


@dataclass(frozen=True)
class LooseRefund:
    """A refund that names only a customer."""

    customer: str | None
    day: date
    amount: Decimal


@dataclass(frozen=True)
class Customer:
    """A known customer."""

    key: str
    channel: str | None = None
    country: str | None = None
    account_type: str | None = "b2c"
    is_tombstone: bool = False


@dataclass(frozen=True)
class Shop:
    """Everything these models read."""

    as_of: date
    orders: Sequence[Order] = ()
    refunds: Sequence[LooseRefund] = ()
    customers: Sequence[Customer] = field(default_factory=tuple)


def simple_shop(as_of: date, orders: Iterable[tuple[str | None, date, str]], **rest: Any) -> Shop:
    """A shop from (customer, day, net revenue), whose customers are those who ordered."""
    made = [Order(customer, day, Decimal(net)) for customer, day, net in orders]
    known = sorted({order.customer for order in made if order.customer})
    return Shop(as_of, made, customers=[Customer(key) for key in known], **rest)


def _order_rows(shop: Shop) -> list[tuple[Any, ...]]:
    numbers: dict[str, int] = {}
    rows: list[tuple[Any, ...]] = []
    by_day = sorted(enumerate(shop.orders), key=lambda pair: (pair[1].day, pair[0]))
    for place, order in by_day:
        number = None
        if order.customer is not None:
            number = numbers[order.customer] = numbers.get(order.customer, 0) + 1
        first = None if number is None else number == 1
        rows.append((f"o{place}", order.customer, order.day, number, first, order.net))
    return rows


def _rows(shop: Shop) -> dict[str, list[tuple[Any, ...]]]:
    lines = [(f"o{place}", line) for place, order in enumerate(shop.orders) for line in order.lines]
    categories = sorted({category or "" for _, (category, _) in lines})
    return {
        "orders": _order_rows(shop),
        "order_items": [(key, f"p:{category or ''}", net) for key, (category, net) in lines],
        "products": [(f"p:{category}", category or None) for category in categories],
        "refunds": [
            (f"r{place}", None, refund.customer, refund.day, refund.amount) for place, refund in enumerate(shop.refunds)
        ],
        "int_identity__customers": [
            (c.key, c.account_type, c.country, None, c.channel, None, None, shop.as_of, c.is_tombstone)
            for c in shop.customers
        ],
    }


def connect(project: Project, rows: Mapping[str, Sequence[tuple[Any, ...]]]) -> duckdb.DuckDBPyConnection:
    """An in-memory warehouse that holds only the inputs."""
    con = duckdb.connect()
    con.execute("attach ':memory:' as warehouse")
    con.execute("use warehouse")
    con.execute("set threads = 1")
    for name, columns in INPUTS.items():
        relation = project.relation(name)
        con.execute(f"create schema if not exists {relation.split('.')[0]}")
        con.execute(f"create table {relation} ({columns})")
        if rows.get(name):
            # one statement: executemany costs a millisecond a row
            holes = "(" + ", ".join("?" * len(rows[name][0])) + ")"
            values = ", ".join([holes] * len(rows[name]))
            con.execute(f"insert into {relation} values {values}", [value for row in rows[name] for value in row])
    return con


def build(project: Project, con: duckdb.DuckDBPyConnection, models: Sequence[str], as_of: date) -> None:
    """Run these models and those of their ancestors that stand after the inputs."""
    done: set[str] = set()

    def visit(unique_id: str) -> None:
        name = unique_id.split(".")[-1]
        if name in INPUTS or unique_id in done:
            return
        done.add(unique_id)
        node = project.manifest["nodes"][unique_id]
        for parent in node["depends_on"].get("nodes", []):
            visit(parent)
        project._build(con, node, str(as_of))

    for model in models:
        visit(project._node(model)["unique_id"])


def run(project: Project, shop: Shop, *models: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of these models for this shop."""
    con = connect(project, _rows(shop))
    build(project, con, models, shop.as_of)
    return {model: project.query(con, f"select * from {project.relation(model)} order by all") for model in models}

"""A small shop at the level of the marts that the product models read, and the real SQL run on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from tests.support import Project

# small counts, so that tiny shops reach every rule
POLICY: Mapping[str, Any] = {
    "repurchase_window_days": 30,
    "repurchase_min_intervals": 2,
    "subscription_min_repeat_buyers": 2,
    "subscription_min_repurchase_rate": 0.5,
    "subscription_max_variation": 0.5,
    "affinity_max_basket_products": 4,
    "affinity_min_product_orders": 2,
    "affinity_min_pair_orders": 2,
    "recommendations_per_customer": 4,
    "recommend_not_within_days": 14,
    "recommend_due_intervals": 3,
    "recommend_newest_of": 2,
    "recommend_partners": 2,
}

INPUTS: Mapping[str, Mapping[str, str]] = {
    "orders": {"order_key": "varchar", "system": "varchar", "customer_key": "varchar", "order_date": "date"},
    "order_items": {
        "order_key": "varchar",
        "product_key": "varchar",
        "quantity": "decimal(18, 4)",
        "net_revenue": "decimal(18, 2)",
    },
    "products": {
        "product_key": "varchar",
        "name": "varchar",
        "brand": "varchar",
        "category": "varchar",
        "is_consumable": "boolean",
        "launched_at": "timestamp",
        "in_stock": "boolean",
        "is_listed": "boolean",
    },
    "int_identity__customers": {"customer_key": "varchar", "is_tombstone": "boolean"},
}


@dataclass(frozen=True)
class Line:
    """A line of an order."""

    product: str
    quantity: int = 1
    net: Decimal = Decimal(1)


@dataclass(frozen=True)
class Order:
    """A valid order; `customer` None is anonymous."""

    customer: str | None
    day: date
    lines: Sequence[Line]


@dataclass(frozen=True)
class Product:
    """A product as the mart shows it."""

    key: str
    brand: str | None = None
    category: str | None = None
    is_consumable: bool | None = None
    launched: date | None = None
    in_stock: bool | None = None
    is_listed: bool = True


@dataclass(frozen=True)
class Shop:
    """Everything these models read."""

    as_of: date
    products: Sequence[Product]
    orders: Sequence[Order] = ()
    tombstones: frozenset[str] = frozenset()

    @property
    def customers(self) -> list[str]:
        """Known customers with an order."""
        return sorted({order.customer for order in self.orders if order.customer is not None})


def _rows(shop: Shop) -> dict[str, list[dict[str, Any]]]:
    orders = list(enumerate(shop.orders))
    return {
        "orders": [
            {"order_key": f"o{n}", "system": "files", "customer_key": order.customer, "order_date": order.day}
            for n, order in orders
        ],
        "order_items": [
            {"order_key": f"o{n}", "product_key": line.product, "quantity": line.quantity, "net_revenue": line.net}
            for n, order in orders
            for line in order.lines
        ],
        "products": [
            {
                "product_key": product.key,
                "brand": product.brand,
                "category": product.category,
                "is_consumable": product.is_consumable,
                "launched_at": product.launched and datetime.combine(product.launched, time(12)),
                "in_stock": product.in_stock,
                "is_listed": product.is_listed,
            }
            for product in shop.products
        ],
        "int_identity__customers": [
            {"customer_key": key, "is_tombstone": key in shop.tombstones} for key in shop.customers
        ],
    }


def run(shop: Shop, *models: str, **policy: Any) -> dict[str, list[dict[str, Any]]]:
    """The rows of these models for this shop, under POLICY or another one."""
    project = Project.compile(**(policy or POLICY))
    con = project.connect({})
    rows = _rows(shop)
    for name, types in INPUTS.items():
        project.give(con, name, types, rows[name])
    project.run(con, *models, as_of=shop.as_of, given=INPUTS)
    return {model: project.query(con, f"select * from {project.relation(model)} order by all") for model in models}

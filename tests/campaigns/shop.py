"""A small shop at the level of the models that the campaign models read, and the real SQL run on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ritorno.home import Home
from tests.support import Project

POLICY: Mapping[str, Any] = {
    "holdout_arms": ["holdout", "control"],
    "campaign_window_days": 3,
    "campaign_open_window_days": 10,
    "campaign_before_days": 20,
}

NOWHERE = Home(Path("/nonexistent"))

_ROW = {"row_status": "varchar", "is_after_as_of": "boolean", "event_date": "date", "system": "varchar"}
INPUTS: Mapping[str, Mapping[str, str]] = {
    "int_canonical__campaigns": {
        "campaign_id": "varchar", "name": "varchar", "started_at": "timestamp", "ended_at": "timestamp",
        "goal": "varchar", "channel": "varchar", **_ROW,
    },
    "int_canonical__campaign_assignments": {
        "campaign_id": "varchar", "customer_id": "varchar", "email": "varchar", "arm": "varchar",
        "assigned_at": "timestamp", **_ROW,
    },
    "int_canonical__interactions": {
        "event_id": "varchar", "occurred_at": "timestamp", "customer_id": "varchar", "email": "varchar",
        "channel": "varchar", "type": "varchar", "campaign_id": "varchar", "is_bot": "boolean", **_ROW,
    },
    "int_identity__customer_ids": {"system": "varchar", "customer_id": "varchar", "customer_key": "varchar"},
    "int_identity__email_customers": {"email": "varchar", "customer_key": "varchar"},
    "customer_aliases": {"customer_key": "varchar", "alias": "varchar", "alias_kind": "varchar"},
    "orders": {
        "order_key": "varchar", "customer_key": "varchar", "ordered_at": "timestamp", "order_date": "date",
        "order_month": "date", "net_revenue": "decimal(18, 2)", "refunded": "decimal(18, 2)",
    },
}  # fmt: skip


SEEDS: Mapping[str, Mapping[str, str]] = {
    "campaign_arm_shares": {"campaign_id": "varchar", "arm": "varchar", "planned_share": "decimal(9, 6)"},
}


def business_day(instant: datetime) -> date:
    """The day in Berlin of a UTC instant."""
    return instant.replace(tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo("Europe/Berlin")).date()


@dataclass(frozen=True)
class Campaign:
    """A campaign's row; begun and ended at these instants."""

    id: str
    started: datetime | None = None
    ended: datetime | None = None


@dataclass(frozen=True)
class Assignment:
    """A recorded assignment of an account; accounts map to customers."""

    campaign: str
    account: str
    arm: str
    at: datetime


@dataclass(frozen=True)
class Order:
    """A valid order."""

    customer: str | None
    at: datetime
    net: Decimal = Decimal("10.00")
    refunded: Decimal = Decimal(0)


@dataclass(frozen=True)
class Touch:
    """An interaction."""

    account: str
    at: datetime
    campaign: str | None
    channel: str = "email"
    kind: str = "clicked"
    is_bot: bool | None = False


@dataclass(frozen=True)
class Shop:
    """Everything the campaign models read."""

    as_of: date
    campaigns: Sequence[Campaign] = ()
    assignments: Sequence[Assignment] = ()
    orders: Sequence[Order] = ()
    touches: Sequence[Touch] = ()
    accounts: Mapping[str, str] | None = None
    home: Home = NOWHERE
    """Its state store holds what the audience engine recorded."""

    def until_as_of(self) -> Shop:
        """Without the orders that lie after as-of: the mart orders has none."""
        return replace(self, orders=[o for o in self.orders if business_day(o.at) <= self.as_of])


def _rows(shop: Shop) -> dict[str, list[dict[str, Any]]]:
    def row(instant: datetime | None, **columns: Any) -> dict[str, Any]:
        day = None if instant is None else business_day(instant)
        after = day is not None and day > shop.as_of
        return {"row_status": "current", "system": "files", "event_date": day, "is_after_as_of": after, **columns}

    return {
        "int_canonical__campaigns": [
            row(c.started, campaign_id=c.id, name=c.id.title(), started_at=c.started, ended_at=c.ended)
            for c in shop.campaigns
        ],
        "int_canonical__campaign_assignments": [
            row(a.at, campaign_id=a.campaign, customer_id=a.account, arm=a.arm, assigned_at=a.at)
            for a in shop.assignments
        ],
        "int_canonical__interactions": [
            row(
                t.at, event_id=f"e{n:03}", occurred_at=t.at, customer_id=t.account, channel=t.channel, type=t.kind,
                campaign_id=t.campaign, is_bot=t.is_bot,
            )
            for n, t in enumerate(shop.touches)
        ],
        "int_identity__customer_ids": [
            {"system": "files", "customer_id": account, "customer_key": key}
            for account, key in (shop.accounts or {}).items()
        ],
        "int_identity__email_customers": [],
        "customer_aliases": [
            {"customer_key": key, "alias": account, "alias_kind": "node_key"}
            for account, key in (shop.accounts or {}).items()
        ],
        "orders": [
            {
                "order_key": f"o{n:03}", "customer_key": o.customer, "ordered_at": o.at,
                "order_date": business_day(o.at), "order_month": business_day(o.at).replace(day=1),
                "net_revenue": o.net, "refunded": o.refunded,
            }
            for n, o in enumerate(shop.orders)
        ],
    }  # fmt: skip


def run(
    shop: Shop, *models: str, seeds: Mapping[str, Sequence[tuple[Any, ...]]] | None = None
) -> dict[str, list[dict[str, Any]]]:
    """The rows of these models for this shop, under POLICY; `seeds` take the place of the shipped ones."""
    project = replace(Project.compile(**POLICY), home=shop.home)
    con = project.connect({})
    rows = _rows(shop.until_as_of())
    for name, types in INPUTS.items():
        project.give(con, name, types, rows[name])
    for name, values in (seeds or {}).items():
        types = SEEDS[name]
        project.give(con, name, types, [dict(zip(types, row, strict=True)) for row in values])
    project.run(con, *models, as_of=shop.as_of, given=[*INPUTS, *(seeds or {})])
    return {model: project.query(con, f"select * from {project.relation(model)} order by all") for model in models}


def at(day: int, hour: int = 12, minute: int = 0) -> datetime:
    """An instant so many days after 1 January 2024."""
    return datetime(2024, 1, 1, hour, minute) + timedelta(days=day)

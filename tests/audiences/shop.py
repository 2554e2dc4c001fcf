"""A small shop of people, consents and addresses that changes from day to day, and what it gives the planner."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import duckdb

from ritorno.audiences import inputs
from ritorno.audiences.exposures import Audience, AudienceMeta, Experiment

SYSTEM = "files"
START = datetime(2026, 3, 2, 9, 0)
Event = tuple[str | None, str | None, str, str, bool, datetime, datetime | None]
"""email, customer_id, channel, purpose, is_given, occurred_at, expires_at"""


@dataclass
class Address:
    """An address of an account: since when, until when (null = still), when it was seen last."""

    value: str
    had_from: datetime
    had_to: datetime | None
    seen: datetime


@dataclass
class Shop:
    """Everything the engine may know, in plain Python."""

    now: datetime = START
    accounts: dict[str, list[Address]] = field(default_factory=dict)
    customer_of: dict[str, str] = field(default_factory=dict)
    members: dict[str, str] = field(default_factory=dict)
    """Account (any of a merged customer) in the segment, with the value of its field."""
    events: list[Event] = field(default_factory=list)
    suppressed: set[str] = field(default_factory=set)
    erased: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)

    def merge(self, left: str, right: str) -> None:
        """Two customers turn out to be one: the smaller key survives."""
        old, new = (
            max(self.customer_of[left], self.customer_of[right]),
            min(self.customer_of[left], self.customer_of[right]),
        )
        for account, customer in self.customer_of.items():
            if customer == old:
                self.customer_of[account] = new

    def current(self, account: str) -> list[Address]:
        """The account's addresses of now."""
        return [address for address in self.accounts[account] if address.had_to is None]


def give(con: duckdb.DuckDBPyConnection, shop: Shop) -> None:
    """Fill the schema `inputs` from the shop."""
    for name in inputs.TABLES:
        con.execute(f"delete from inputs.{name}")
    membership: dict[str, str] = {}
    for account, tier in sorted(shop.members.items()):
        membership[shop.customer_of[account]] = tier
    _values(con, "membership", [(key, "in it", fields_text(tier)) for key, tier in membership.items()])
    _values(con, "aliases", list(shop.customer_of.items()))
    _values(con, "deleted_customers", [(key,) for key in shop.deleted])
    _values(con, "accounts", [(SYSTEM, account, key) for account, key in shop.customer_of.items()])
    current = [(account, one) for account in shop.accounts for one in shop.current(account)]
    _values(
        con,
        "addresses",
        [(shop.customer_of[account], account, "email", one.value, one.seen, False) for account, one in current],
    )
    _values(
        con,
        "account_addresses",
        [
            (SYSTEM, account, "email", one.value, one.had_from, one.had_to)
            for account, addresses in shop.accounts.items()
            for one in addresses
        ],
    )
    _values(
        con,
        "consent_events",
        [
            (SYSTEM, email, None, account, channel, purpose, given, at, expires, True)
            for email, account, channel, purpose, given, at, expires in shop.events
        ],
    )


def fields_text(tier: str) -> str:
    return json.dumps({"tier": tier}, separators=(",", ":"))


def _values(con: duckdb.DuckDBPyConnection, table: str, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        text = ", ".join("(" + ", ".join(map(_literal, row)) + ")" for row in rows)
        con.execute(f"insert into inputs.{table} values {text}")


def _literal(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return f"timestamp '{value}'"
    return "'" + str(value).replace("'", "''") + "'"


TYPES = {"tier": "varchar"}
"""The declared fields of an audience of the shop."""


def audience(name: str = "list", experiment: bool | Experiment = False, **meta: Any) -> Audience:
    """An audience of the shop; guards are off unless given."""
    usual = Experiment("exp", "salt", {"holdout": 0.3, "a": 0.7})
    given = {
        "destination": {"type": "fake"},
        "channel": "email",
        "purpose": "marketing",
        "fields": ["tier"],
        "guards": {"max_add_pct": None, "max_remove_pct": None, "allow_empty": True},
    } | meta
    return Audience(
        name=name,
        file="models/segments/_audiences.yml",
        segment="people",
        meta=AudienceMeta.model_validate(given),
        experiment=(usual if experiment is True else experiment) or None,
    )


def day(number: float) -> timedelta:
    return timedelta(days=number)

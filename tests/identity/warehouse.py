"""The identity part of the real project on one in-memory warehouse, rebuilt for each example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import duckdb

from tests.support import Project

RAW = ("orders", "customers", "crm_contacts", "loyalty_events", "subscriptions", "identity_overrides")
MODELS = (
    "customer_aliases",
    "int_identity__customers",
    "int_identity__order_customers",
    "int_identity__email_customers",
    "int_identity__report",
)
MOST = 3
"""identity_max_nodes_per_value in these tests: small, so that few rows reach it."""


@cache
def project() -> Project:
    return Project.compile(identity_max_nodes_per_value=MOST)


@cache
def _prepared() -> tuple[duckdb.DuckDBPyConnection, tuple[str, ...]]:
    """A warehouse with every model built empty, and those that these tests' raw tables change."""
    con = project().connect({})
    project().run(con, *MODELS, as_of="2024-12-31", remember=False)  # views stay, and rows come
    nodes = project().manifest["nodes"]
    idle = {
        unique_id
        for unique_id in project()._order(MODELS)
        if unique_id in nodes
        and (
            nodes[unique_id]["config"]["materialized"] == "view"
            or "online_retail" in unique_id
            or ("int_canonical__" in unique_id and not unique_id.endswith(RAW))
        )
    }
    return con, tuple(unique_id for unique_id in project()._order(MODELS) if unique_id not in idle)


class Result:
    """What the project makes of raw rows."""

    def __init__(self, raw: Mapping[str, Sequence[Mapping[str, Any]]], as_of: str = "2024-12-31") -> None:
        con, steps = _prepared()
        for name in RAW:
            con.execute(f"delete from raw.{name}")
        project().load_raw(con, raw)
        for unique_id in steps:
            if unique_id.startswith("step."):
                project()._run_step(con, unique_id.removeprefix("step."), as_of)
            else:
                project()._build(con, project().manifest["nodes"][unique_id], as_of)
        self.aliases = self._read(con, "customer_aliases")
        self.customers = {row["customer_key"]: row for row in self._read(con, "int_identity__customers")}
        self.orders = {row["order_id"]: row["customer_key"] for row in self._read(con, "int_identity__order_customers")}
        self.emails = {row["email"]: row["customer_key"] for row in self._read(con, "int_identity__email_customers")}
        self.report = {(row["check_name"], row["detail"]): row["row_count"] for row in self._read(con, MODELS[-1])}
        self.keys = {row["alias"]: row["customer_key"] for row in self.aliases if row["alias_kind"] == "node_key"}
        self.ids = {
            (row["entity"], row["alias"]): row["customer_key"]
            for row in self.aliases
            if row["alias_kind"] == "source_id"
        }

    def account(self, customer_id: str) -> str:
        return self.ids["account", customer_id]

    def counted(self, check: str, detail: str) -> int:
        return sum(n for (name, text), n in self.report.items() if name == check and text.startswith(detail))

    @staticmethod
    def _read(con: duckdb.DuckDBPyConnection, model: str) -> list[dict[str, Any]]:
        return Project.query(con, f"select * from {project().relation(model)} order by all")

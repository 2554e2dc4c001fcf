"""Whether the heavy tier is built whole or for touched customers only: what decides it, and how a run tells it.

The decision is SQL (models/intermediate/changes); here is what SQL can't know: whether the policy or the code is
another than in the last run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from ritorno.home import PROJECT_ROOT, Home

RUN = "int_changes__run"
"""The model that says how the heavy tier is built, and why."""
FRONT = "int_changes__front"
"""The model that says how what comes before the heavy tier is built."""
SUBSCRIPTIONS = "int_changes__subscription_run"
"""The model that says how the subscription tier is built."""
LIFECYCLE = "int_changes__lifecycle_run"
"""The model that says how lifecycles are built."""
FINISHED = ("int_changes__done", "int_changes__subscription_done", "int_changes__lifecycle_done")
"""The models that stand for the last finished run of each; without them the next run builds everything in full."""
IDENTITY = "identity.run"
"""The table that says how the step identity resolved who is who."""
_VERSIONS = ("ritorno", "dbt-core", "dbt-duckdb", "dbt-postgres", "duckdb")


class _Told(NamedTuple):
    """Where a decision stands, and its words: columns of what was recomputed and of all there is, and their unit."""

    relation: str
    what: str
    full: str
    some: str
    all: str
    unit: str


_TOLD = {
    FRONT: _Told(
        f"intermediate.{FRONT}", "front", "front built in full", "changed_rows", "landed_rows",
        "rows in chunks that changed",
    ),
    IDENTITY: _Told(IDENTITY, "identity", "identity resolved in full", "touched_nodes", "nodes", "nodes touched"),
    SUBSCRIPTIONS: _Told(
        f"intermediate.{SUBSCRIPTIONS}", "subscription tier", "subscription tier built in full",
        "touched_subscriptions", "subscriptions", "subscriptions touched",
    ),
    LIFECYCLE: _Told(
        f"intermediate.{LIFECYCLE}", "lifecycles", "lifecycles built in full", "touched_customers", "customers",
        "customers touched",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class HeavyTier:
    """How a run built the heavy tier.

    Attributes:
        mode: `full` or `incremental`.
        reason: why it is full; None if it is incremental.
        customers: customers with an order, an anonymous order each counting as one; 0 where nobody was counted.
        touched: those that were recomputed.
    """

    mode: str
    reason: str | None
    customers: int
    touched: int

    @property
    def sentence(self) -> str:
        """For people."""
        if self.mode == "full":
            return f"built in full: {self.reason}"
        return f"incremental: {self.touched:,} of {self.customers:,} customers touched"

    @property
    def is_news(self) -> bool:
        """Whether it is more than what the policy says of every day."""
        return self.mode == "incremental" or not (self.reason or "").startswith("policy: ")


def heavy_tier(warehouse: duckdb.DuckDBPyConnection) -> HeavyTier | None:
    """What the warehouse's last run decided; None if no run got that far."""
    try:
        row = warehouse.execute(f"select mode, reason, customers, touched_customers from intermediate.{RUN}").fetchone()
    except duckdb.CatalogException:
        return None
    return HeavyTier(*row) if row else None


def sentence(warehouse: duckdb.DuckDBPyConnection, decision: str) -> str | None:
    """For people: how the warehouse's last run built what a decision is about; None if no run got that far.

    Args:
        warehouse: the home's, with the decision's row.
        decision: FRONT, IDENTITY, SUBSCRIPTIONS or LIFECYCLE.
    """
    told = _TOLD[decision]
    try:
        row = warehouse.execute(f"select mode, reason, {told.some}, {told.all} from {told.relation}").fetchone()
    except duckdb.CatalogException:
        return None
    if row is None:
        return None
    mode, reason, some, all_of_them = row
    if mode == "full":
        return f"{told.full}: {reason}"
    return f"{told.what} incremental: {some:,} of {all_of_them:,} {told.unit}"


def heavy_tier_of(home: Home) -> HeavyTier | None:
    """The same, of a home whose warehouse nobody has open."""
    with duckdb.connect(str(home.warehouse), read_only=True) as con:
        return heavy_tier(con)


def policy_hash(values: Mapping[str, Any], project_root: Path = PROJECT_ROOT) -> str:
    """Equal for equal policies: vars and the tables that a business edits. How it is computed is no policy."""
    vars = {name: value for name, value in values.items() if not name.startswith("incremental")}
    digest = hashlib.sha256(json.dumps(vars, sort_keys=True, default=str).encode())
    for path in sorted((project_root / "seeds" / "policy").glob("*.csv")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def code_hash(manifest: Mapping[str, Any]) -> str:
    """Equal as long as the same code on the same versions would build the tables that are kept from run to run.

    That is their models with all models that they come from, all our macros, and the contract of the raw tables.
    """
    nodes = manifest["nodes"]
    waiting = [unique_id for unique_id, node in nodes.items() if is_kept(node)]
    models: dict[str, str] = {}
    while waiting:
        node = nodes.get(unique_id := waiting.pop())
        if node is not None and unique_id not in models and node["resource_type"] == "model":
            models[unique_id] = node["checksum"]["checksum"]
            waiting += node["depends_on"]["nodes"]
    macros = {
        unique_id: macro["macro_sql"]
        for unique_id, macro in manifest["macros"].items()
        if macro["package_name"] == "ritorno"
    }
    contract = {
        unique_id: [source["config"].get("meta"), _columns(source)]
        for unique_id, source in manifest["sources"].items()
        if source["source_name"] == "files"
    }
    digest = hashlib.sha256(json.dumps([models, macros, contract, _versions()], sort_keys=True).encode())
    return digest.hexdigest()[:16]


def is_kept(node: Mapping[str, Any]) -> bool:
    """Whether a model's table is kept from run to run, and may be recomputed for touched keys only."""
    return bool(node["config"].get("materialized") == "touched")


def is_heavy(node: Mapping[str, Any]) -> bool:
    """Whether a model is one of the heavy tier."""
    return is_kept(node) and decision_of(node) == RUN


def is_front(node: Mapping[str, Any]) -> bool:
    """Whether a model is one of those before the heavy tier that follow what landed."""
    return is_kept(node) and decision_of(node) == FRONT


def is_of_subscriptions(node: Mapping[str, Any]) -> bool:
    """Whether a model is one of the subscription tier, canonical subscriptions and their events included."""
    return is_kept(node) and not (is_heavy(node) or is_front(node) or is_of_lifecycle(node))


def is_of_lifecycle(node: Mapping[str, Any]) -> bool:
    """Whether a model is one of the lifecycle's two tables."""
    return is_kept(node) and decision_of(node) == LIFECYCLE


def decision_of(node: Mapping[str, Any]) -> str:
    """The model that says how a table is built (macros/incremental/materialization.sql)."""
    meta = _meta(node)
    return str(meta.get("decided_by") or (FRONT if "touched_by" in meta else RUN))


def _meta(node: Mapping[str, Any]) -> Mapping[str, Any]:
    meta: Mapping[str, Any] = node["config"].get("meta") or {}
    return meta


def _columns(source: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    return [
        (name, column.get("data_type"), column["config"].get("meta") if column.get("config") else column.get("meta"))
        for name, column in source["columns"].items()
    ]


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in _VERSIONS}

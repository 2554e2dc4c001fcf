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


@dataclass(frozen=True)
class Decision:
    """How a run built what it may build for touched keys only.

    Attributes:
        what: what it is about, for people.
        mode: `full` or `incremental`.
        reason: why it is full; None if it is incremental.
        touched: how many were recomputed.
        everything: of how many; 0 where nobody counted.
        unit: what they are.
    """

    what: str
    mode: str
    reason: str | None
    touched: int
    everything: int
    unit: str

    @property
    def sentence(self) -> str:
        """For people."""
        if self.mode == "full":
            return f"{self.what} built in full: {self.reason}"
        return f"{self.what} incremental: {self.touched:,} of {self.everything:,} {self.unit}"

    @property
    def is_news(self) -> bool:
        """Whether it is more than what the policy says of every day."""
        return self.mode == "incremental" or not (self.reason or "").startswith("policy: ")


class _Source(NamedTuple):
    """Where a decision stands: its table, what it is about, columns of what was touched and of all there is, a unit."""

    relation: str
    what: str
    touched: str
    everything: str
    unit: str


_SOURCES = {
    FRONT: _Source(f"intermediate.{FRONT}", "front", "changed_rows", "landed_rows", "rows in chunks that changed"),
    IDENTITY: _Source(IDENTITY, "identity", "touched_nodes", "nodes", "nodes touched"),
    RUN: _Source(f"intermediate.{RUN}", "heavy tier", "touched_customers", "customers", "customers touched"),
    SUBSCRIPTIONS: _Source(
        f"intermediate.{SUBSCRIPTIONS}", "subscription tier", "touched_subscriptions", "subscriptions",
        "subscriptions touched",
    ),
    LIFECYCLE: _Source(
        f"intermediate.{LIFECYCLE}", "lifecycles", "touched_customers", "customers", "customers touched"
    ),
}  # fmt: skip
DECISIONS = tuple(_SOURCES)
"""All of them, in the order they are made."""


def decision(warehouse: duckdb.DuckDBPyConnection, name: str) -> Decision | None:
    """What the warehouse's last run decided; None if no run got that far.

    Args:
        warehouse: the home's, with the decision's row.
        name: one of DECISIONS.
    """
    source = _SOURCES[name]
    asked = f"select mode, reason, {source.touched}, {source.everything} from {source.relation}"
    try:
        row = warehouse.execute(asked).fetchone()
    except duckdb.CatalogException:
        return None
    if row is None:
        return None
    mode, reason, touched, everything = row
    return Decision(source.what, mode, reason, touched, everything, source.unit)


def decision_in(home: Home, name: str) -> Decision | None:
    """The same, of a home whose warehouse nobody has open."""
    with duckdb.connect(str(home.warehouse), read_only=True) as con:
        return decision(con, name)


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
    """Whether a model is one of the lifecycle's tables."""
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

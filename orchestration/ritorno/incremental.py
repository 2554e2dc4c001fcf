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
from typing import Any

import duckdb

from ritorno.home import PROJECT_ROOT, Home

RUN = "int_changes__run"
"""The model that says how the heavy tier is built, and why."""
_VERSIONS = ("ritorno", "dbt-core", "dbt-duckdb", "dbt-postgres", "duckdb")
_CHANGES = "models/intermediate/changes/"


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
    """Equal as long as the same code on the same versions would build the tier: its models, all our macros."""
    nodes = {
        unique_id: node["checksum"]["checksum"]
        for unique_id, node in manifest["nodes"].items()
        if node["resource_type"] == "model" and (is_heavy(node) or node["original_file_path"].startswith(_CHANGES))
    }
    macros = {
        unique_id: macro["macro_sql"]
        for unique_id, macro in manifest["macros"].items()
        if macro["package_name"] == "ritorno"
    }
    digest = hashlib.sha256(json.dumps([nodes, macros, _versions()], sort_keys=True).encode())
    return digest.hexdigest()[:16]


def is_heavy(node: Mapping[str, Any]) -> bool:
    """Whether a model is one of the heavy tier."""
    return bool(node["config"].get("materialized") == "touched")


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in _VERSIONS}

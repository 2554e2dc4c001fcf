"""A warehouse that is refreshed again and again, on the compiled SQL that ships: whole, or only where customers were
touched, and left by a kill in the middle.

What dbt does around that SQL (delete, insert, which relation is there) is ten lines here; test_refreshes.py has the
real materialization do it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb

from ritorno.incremental import FRONT, RUN, SUBSCRIPTIONS, decision_of, is_kept
from tests.support import Project
from tests.support.nothing import Nothing
from tests.support.project import AS_OF_SENTINEL

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
COLUMNS = ("order_id", "subscription_id", "subscription_key", "account_key", "order_key", "customer_key")
"""What lists of touched keys have, as macros/incremental/materialization.sql finds it in a table's unique key."""


@dataclass
class Warehouse:
    """One home's warehouse over many refreshes.

    Attributes:
        project: compiled with `incremental: always`.
        edit: a fault put into a model's SQL, for the tests of the tests.
        until: the last model that a run builds, and the last table that is compared.
        rebuilt: a run builds only these models; by default all that `until` comes from.
    """

    project: Project = field(default_factory=lambda: Project.compile(incremental="always", incremental_max_share=1.0))
    edit: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    until: str = "int_changes__done"
    rebuilt: Callable[[str], bool] | None = None
    runs: int = 0
    _standing: set[tuple[str, str]] = field(default_factory=set)
    _decisions: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """What stands, and how this run has decided: asking for each table takes as long as building many of them."""

    @cached_property
    def con(self) -> duckdb.DuckDBPyConnection:
        """The warehouse."""
        return self.project.connect({})

    @cached_property
    def kept(self) -> list[str]:
        """The tables of the front and of the heavy tier, in the order they are built."""
        return [name for name in self.project.order([self.until]) if is_kept(self.project._node(name))]

    def save(self, path: Path) -> None:
        """Write every table to a database file, for `stand`."""
        self.con.execute(f"attach '{path}' as saved")
        for schema, name in self._tables("warehouse"):
            self.con.execute(f'create schema if not exists saved."{schema}"')
            self.con.execute(f'create table saved."{schema}"."{name}" as from warehouse."{schema}"."{name}"')
        self.con.execute("detach saved")

    def stand(self, path: Path) -> None:
        """Be where a saved warehouse was; views are made again by the next run."""
        self.con.execute(f"attach '{path}' as saved (read_only)")
        for schema, name in self._tables("saved"):
            self.con.execute(f'create schema if not exists warehouse."{schema}"')
            self.con.execute(f'create or replace table warehouse."{schema}"."{name}" as from saved."{schema}"."{name}"')
        self.con.execute("detach saved")
        self.runs += 10

    def refresh(self, raw: Rows, as_of: date, *, killed_before: str | None = None) -> Mapping[str, Any]:
        """Replace the raw tables and build what `int_changes__done` waits for; returns how the last run decided.

        Args:
            raw: every raw row that now stands landed.
            as_of: the day.
            killed_before: the process ends when this model's turn has come.
        """
        self.runs += 1
        self._land(raw)
        self._standing, self._decisions = set(self._tables("warehouse")), {}
        nothing = Nothing(self.con)
        for unique_id in self.project._order([self.until]):
            if self._stays(unique_id):
                continue
            if unique_id.startswith("step."):
                self.project._run_step(self.con, unique_id.removeprefix("step."), str(as_of), f"run-{self.runs}")
            elif killed_before is not None and unique_id == f"model.ritorno.{killed_before}":
                break
            else:
                self._build(unique_id, as_of, nothing)
                self._decisions.pop(unique_id.rpartition(".")[2], None)
        return self.decision(SUBSCRIPTIONS if "subscription" in self.until else RUN)

    def decision(self, name: str) -> Mapping[str, Any]:
        """The one row of int_changes__run or int_changes__front; empty before the first run."""
        if ("intermediate", name) not in self._tables("warehouse"):
            return {}
        return self.project.query(self.con, f"select * from intermediate.{name}")[0]

    def differences(self, as_of: date) -> dict[str, list[tuple[Any, ...]]]:
        """Rows of each kept table that a full build of it would not have, or would have besides.

        Parents are compared before their children, so equal tables all the way mean a full build of the whole.
        """
        found = {}
        for name in self.kept:
            node = self.project._node("int_changes__fingerprints" if name == "int_changes__kept" else name)
            stands = f"select * from {self.project.relation(name)}"
            whole = f"select * from ({self._sql(node, as_of)})"
            self.con.execute(f"create or replace temp table whole as {whole}")
            if self._hashes(self.project.relation(name)) == self._hashes("whole"):
                continue  # nearly always, and told in a third of the time
            rows = self.con.execute(
                f"(({stands}) except all (from whole)) union all ((from whole) except all ({stands}))"
            ).fetchall()
            if rows:
                found[name] = rows
        return found

    def _hashes(self, relation: str) -> object:
        return self.con.execute(f"select list_sort(list(hash(one))) from {relation} as one").fetchone()

    def touched(self, name: str) -> set[str]:
        """The keys in a list of touched ones."""
        return {row[0] for row in self.con.execute(f"select * from intermediate.{name}").fetchall()}

    def _stays(self, unique_id: str) -> bool:
        """Whether a run leaves a table as it stands. `stand` brings no views."""
        node = self.project.manifest["nodes"].get(unique_id)
        is_view = node is not None and node["config"]["materialized"] == "view"
        return self.rebuilt is not None and not is_view and not self.rebuilt(unique_id.rpartition(".")[2])

    def _land(self, raw: Rows) -> None:
        for schema, table in self.con.execute(
            "select schema_name, table_name from duckdb_tables() where schema_name = 'raw' and estimated_size > 0"
        ).fetchall():
            self.con.execute(f'delete from "{schema}"."{table}"')
        self.project.load_raw(self.con, raw)

    def _build(self, unique_id: str, as_of: date, nothing: Nothing) -> None:
        node = self.project.manifest["nodes"][unique_id]
        sql = self._sql(node, as_of)
        decision = self._decided(decision_of(node) if is_kept(node) else FRONT)
        is_incremental = decision.get("run_id") == f"run-{self.runs}" and decision["mode"] == "incremental"
        touched_sql = sql.replace("/* touched: ", "").replace(" :touched */", "") if is_incremental else sql
        if not is_kept(node) or not is_incremental:
            self.project._build(self.con, {**node, "compiled_code": touched_sql}, str(as_of), nothing)
            if node["config"]["materialized"] != "view":
                self._standing.add((node["schema"], node["name"]))
            return
        relation, key = f"{node['schema']}.{node['name']}", node["config"]["unique_key"]
        column = next(column for column in COLUMNS if column in key)
        list_of = (node["config"].get("meta") or {}).get("touched_by") or {
            "order_key": "int_changes__orders", "customer_key": "int_changes__customers"
        }[key]  # fmt: skip
        self.con.begin()
        self.con.execute(f"delete from {relation} where {key} in (select {column} from intermediate.{list_of})")
        self.con.execute(
            f"insert into {relation} by name select * from ({touched_sql}) "
            f"where {key} in (select {column} from intermediate.{list_of})"
        )
        self.con.commit()
        nothing.forget(relation)

    def _decided(self, name: str) -> Mapping[str, Any]:
        if name not in self._decisions:
            self._decisions[name] = self.decision(name)
        return self._decisions[name]

    def _sql(self, node: Mapping[str, Any], as_of: date) -> str:
        if node["resource_type"] == "seed":
            return ""
        sql = str(node["compiled_code"]).replace(AS_OF_SENTINEL, str(as_of)).replace("'test-run'", f"'run-{self.runs}'")
        for found, put in [self.edit[node["name"]]] if node["name"] in self.edit else []:
            assert found in sql, f"{node['name']} has no {found}"
            sql = sql.replace(found, put)
        return re.sub(r"/\* previous: (.*?) :previous \*/", self._previous, sql, flags=re.DOTALL)

    def _previous(self, found: re.Match[str]) -> str:
        relation = re.search(r'"warehouse"\."(\w+)"\."(\w+)"', found[1])
        assert relation is not None
        return found[1] if (relation[1], relation[2]) in self._standing else ""

    def _tables(self, database: str) -> list[tuple[str, str]]:
        return self.con.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = ?", [database]
        ).fetchall()

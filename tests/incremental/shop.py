"""A warehouse that is refreshed again and again, on the compiled SQL that ships: whole, or only where customers were
touched, and left by a kill in the middle.

What dbt does around that SQL (delete, insert, which relation is there) is ten lines here; test_refreshes.py has the
real materialization do it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

import duckdb

from ritorno.incremental import is_heavy
from tests.support import Project
from tests.support.project import AS_OF_SENTINEL

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
_BEFORE_THE_FIRST_RUN = """
    create schema if not exists intermediate; create schema if not exists marts;
    create table if not exists intermediate.int_changes__run (run_id varchar, mode varchar);
    create table if not exists intermediate.int_changes__done (
        run_id varchar, as_of_date date, engine varchar, policy_hash varchar, code_hash varchar,
        has_fingerprints boolean
    );
    create table if not exists intermediate.int_changes__kept (customer_key varchar, fingerprint decimal(38, 0));
    create table if not exists intermediate.int_changes__customers (customer_key varchar);
    create table if not exists intermediate.int_changes__orders (order_key varchar);
    create table if not exists marts.orders (order_key varchar, customer_key varchar)
"""


class Killed(Exception):  # noqa: N818  not an error: what somebody did to the process
    """The run ended in the middle."""


@dataclass
class Warehouse:
    """One home's warehouse over many refreshes.

    Attributes:
        project: compiled with `incremental: always`.
        edit: a fault put into a model's SQL, for the tests of the tests.
    """

    project: Project = field(default_factory=lambda: Project.compile(incremental="always", incremental_max_share=1.0))
    edit: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    runs: int = 0

    @cached_property
    def con(self) -> duckdb.DuckDBPyConnection:
        """The warehouse."""
        con = self.project.connect({})
        con.execute(_BEFORE_THE_FIRST_RUN)
        return con

    @cached_property
    def heavy(self) -> list[str]:
        """The heavy tier's models, in the order they are built."""
        order = self.project.order(["int_changes__done"])
        return [name for name in order if is_heavy(self.project.manifest["nodes"][f"model.ritorno.{name}"])]

    def refresh(self, raw: Rows, as_of: date, *, killed_after: int | None = None) -> Mapping[str, Any]:
        """Replace the raw tables and build what `int_changes__done` waits for; returns how the run decided.

        Args:
            raw: every raw row that now stands landed.
            as_of: the day.
            killed_after: the process ends when so many heavy models are built.
        """
        self.runs += 1
        self._land(raw)
        built = 0
        try:
            for unique_id in self.project._order(["int_changes__done"]):
                if unique_id.startswith("step."):
                    self.project._run_step(self.con, unique_id.removeprefix("step."), str(as_of))
                    continue
                node = self.project.manifest["nodes"].get(unique_id)
                if node is not None and is_heavy(node):
                    if built == killed_after:
                        raise Killed
                    built += 1
                self._build(unique_id, as_of)
        except Killed:
            pass
        return self.project.query(self.con, "select * from intermediate.int_changes__run")[0]

    def differences(self, as_of: date) -> dict[str, list[tuple[Any, ...]]]:
        """Rows of each heavy table that a full build of it would not have, or would have besides.

        Parents are compared before their children, so equal tables all the way mean a full build of the whole.
        """
        found = {}
        for name in self.heavy:
            node = self.project._node(name)
            stands = f"select * from {self.project.relation(name)}"
            whole = f"select * from ({self._sql(node, as_of)})"
            rows = self.con.execute(
                f"(({stands}) except all ({whole})) union all (({whole}) except all ({stands}))"
            ).fetchall()
            if rows:
                found[name] = rows
        return found

    def _land(self, raw: Rows) -> None:
        for schema, table in self.con.execute(
            "select schema_name, table_name from duckdb_tables() where schema_name = 'raw'"
        ).fetchall():
            self.con.execute(f'delete from "{schema}"."{table}"')
        self.project.load_raw(self.con, raw)

    def _build(self, unique_id: str, as_of: date) -> None:
        node = self.project.manifest["nodes"][unique_id]
        sql = self._sql(node, as_of)
        if not is_heavy(node) or self._mode() == "full":
            self.project._build(self.con, {**node, "compiled_code": sql}, str(as_of))
            return
        relation, key = f"{node['schema']}.{node['name']}", node["config"]["unique_key"]
        touched = "int_changes__orders" if key == "order_key" else "int_changes__customers"
        self.con.begin()
        self.con.execute(f"delete from {relation} where {key} in (select {key} from intermediate.{touched})")
        rows = sql.replace("/* touched: ", "").replace(" :touched */", "")
        self.con.execute(
            f"insert into {relation} by name select * from ({rows}) "
            f"where {key} in (select {key} from intermediate.{touched})"
        )
        self.con.commit()

    def _mode(self) -> str:
        row = self.con.execute("select mode from intermediate.int_changes__run").fetchone()
        return str(row[0]) if row else "full"

    def _sql(self, node: Mapping[str, Any], as_of: date) -> str:
        if node["resource_type"] != "model":
            return ""
        sql = str(node["compiled_code"]).replace(AS_OF_SENTINEL, str(as_of)).replace("'test-run'", f"'run-{self.runs}'")
        for found, put in [self.edit[node["name"]]] if node["name"] in self.edit else []:
            assert found in sql, f"{node['name']} has no {found}"
            sql = sql.replace(found, put)
        return re.sub(r"/\* previous: (.*?) :previous \*/", r"\1", sql, flags=re.DOTALL)

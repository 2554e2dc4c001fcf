"""The real dbt project, compiled once a session, run model by model on an in-memory DuckDB.

`dbt build` takes seconds; hypothesis wants hundreds of examples. So dbt parses and compiles the project once, and for
other vars again only the models that read them, with a sentinel for the as-of date, and each example runs the compiled
SQL of the models it asks for and of all their ancestors, seeds and Python steps included. Nothing is mocked: it is the
SQL that ships.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from filelock import FileLock

from ritorno import contract, dbt_speed, steps
from ritorno.dbt import DbtProject
from ritorno.home import PROJECT_ROOT, Home
from ritorno.identity.tables import registered
from ritorno.landing import ledger
from ritorno.step_context import StepContext
from tests.support.nothing import Nothing

AS_OF_SENTINEL = "2199-12-31"
RawRows = Mapping[str, Sequence[Mapping[str, Any]]]


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@cache
def _fingerprint() -> str:
    """Changes whenever a file that dbt compiles does, or how this module has it compiled."""
    digest = hashlib.sha256()
    folders = [PROJECT_ROOT / name for name in ("models", "macros", "seeds", "snapshots")]
    files = [PROJECT_ROOT / "dbt_project.yml", PROJECT_ROOT / "profiles.yml", Path(__file__).resolve()]
    files += sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    for path in files:
        digest.update(str(path.relative_to(PROJECT_ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


@cache
def _compiled_manifest(vars_json: str) -> dict[str, Any]:
    """The manifest compiled with these vars: parsed and compiled whole once, then only the models that read a var.

    Parsing costs ten seconds of CPU and compiling everything four, so what no var of these can change is taken from the
    base. Vars that decide which models there are (`config(enabled = var(…))`) need a parse of their own.
    """
    overrides: dict[str, Any] = json.loads(vars_json)
    structural = {name: value for name, value in overrides.items() if name in _structural_vars()}
    base_json = json.dumps(structural, sort_keys=True)
    manifest: dict[str, Any] = _kept(base_json, "json", lambda: _compile_everything(base_json))
    if overrides == structural:
        return manifest
    changed: dict[str, str] = _kept(vars_json, "changed.json", lambda: _compile_readers(vars_json, base_json, manifest))
    nodes = {unique_id: _recompiled(manifest, unique_id, code) for unique_id, code in changed.items()}
    return {**manifest, "nodes": {**manifest["nodes"], **nodes}}


def _recompiled(manifest: Mapping[str, Any], unique_id: str, code: str) -> dict[str, Any]:
    """The node with other SQL, depending on what that SQL still reads (`systems` leaves out whole sources)."""
    node = manifest["nodes"][unique_id]
    every = {**manifest["nodes"], **manifest["sources"]}
    read = [parent for parent in node["depends_on"]["nodes"] if every[parent]["relation_name"] in code]
    return {**node, "compiled_code": code, "depends_on": {**node["depends_on"], "nodes": read}}


def _kept(vars_json: str, kind: str, make: Callable[[], Any]) -> Any:
    """What `make` returns for these vars; test processes share it on disk."""
    kept = _kept_path(vars_json, kind)
    with FileLock(kept.with_suffix(".lock")):
        if not kept.exists():
            fresh = kept.with_suffix(f".{os.getpid()}")
            fresh.write_text(json.dumps(make()), encoding="utf-8")
            fresh.replace(kept)
    return json.loads(kept.read_text(encoding="utf-8"))


def _kept_path(vars_json: str, kind: str) -> Path:
    shared = Path(tempfile.gettempdir(), f"ritorno-compiled-{os.getuid()}")
    shared.mkdir(mode=0o700, exist_ok=True)
    return shared / f"{_fingerprint()}-{hashlib.sha256(vars_json.encode()).hexdigest()[:16]}.{kind}"


@cache
def _structural_vars() -> frozenset[str]:
    """Vars that a model's config reads: they are answered while dbt parses, not while it compiles."""
    texts = (path.read_text(encoding="utf-8") for path in PROJECT_ROOT.joinpath("models").rglob("*.sql"))
    configs = (config for text in texts for config in re.findall(r"\{\{\s*config\((.*?)\}\}", text, re.DOTALL))
    return frozenset(name for config in configs for name in re.findall(r"var\(\s*['\"](\w+)", config))


def _readers(manifest: Mapping[str, Any], names: Collection[str]) -> list[str]:
    """Models whose compiled SQL these vars can change: they name one, or a macro that does, however indirectly.

    By text and not by dbt's list of a model's macros: a name in a comment costs one more model, a missed one gives a
    test of something else. A macro is also found by its name before dispatch (`duckdb__ratio` by `ratio`).
    """
    macros = [macro for macro in manifest["macros"].values() if macro["package_name"] == "ritorno"]
    words = set(names)
    while True:
        naming = [macro["name"] for macro in macros if _names_any(macro["macro_sql"], words)]
        found = words | {part for name in naming for part in (name, name.split("__", 1)[-1])}
        if found == words:
            break
        words = found
    models = [node for node in manifest["nodes"].values() if node["resource_type"] in {"model", "snapshot"}]
    return [node["name"] for node in models if _names_any(node["raw_code"], words)]


def _names_any(text: str, words: set[str]) -> bool:
    return not words.isdisjoint(re.findall(r"\w+", text)) or re.search(r"\bvar\(\s*[^'\"\s]", text) is not None


def _compile_everything(vars_json: str) -> dict[str, Any]:
    """The manifest with every model compiled; the parsed project is kept beside it for `_compile_readers`.

    The parse is the one that refreshes of this checkout use.
    """
    with tempfile.TemporaryDirectory(prefix="ritorno-compile-") as scratch:
        project = DbtProject(Home(Path(scratch)), json.loads(vars_json))
        with project._parse_lock():
            parsed = project.parsed
            _kept_path(vars_json, "parsed").write_bytes((project.target / "partial_parse.msgpack").read_bytes())
            # what MetricFlow reads stands in a file of its own
            semantic = json.loads((project.target / "semantic_manifest.json").read_text(encoding="utf-8"))
        _dbt(scratch, vars_json, parsed, "compile", "--exclude", "resource_type:test", "resource_type:unit_test")
        manifest: dict[str, Any] = json.loads(Path(scratch, "target", "manifest.json").read_text(encoding="utf-8"))
        return {**manifest, "semantic_manifest": semantic}


def _compile_readers(vars_json: str, base_json: str, manifest: Mapping[str, Any]) -> dict[str, str]:
    """The SQL of the models that these vars can change, by unique id."""
    readers = _readers(manifest, json.loads(vars_json).keys())
    if not readers:
        return {}
    parsed = _parsed(_kept_path(base_json, "parsed"))
    with tempfile.TemporaryDirectory(prefix="ritorno-compile-") as scratch:
        compiled = _dbt(scratch, vars_json, parsed, "compile", "--no-write-json", "--select", *readers)
        return {done.node.unique_id: done.node.compiled_code for done in compiled.result.results}


def _parsed(path: Path) -> Any:
    """dbt's own manifest of a parsed project, from the file it keeps for partial parsing."""
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder

    parsed = Manifest.from_msgpack(path.read_bytes(), decoder=extended_mashumuro_decoder)
    parsed.build_flat_graph()
    return parsed


def _dbt(scratch: str, vars_json: str, parsed: Any, command: str, *arguments: str) -> Any:
    from dbt.cli.main import dbtRunner

    dbt_speed.install()
    places = ["--project-dir", str(PROJECT_ROOT), "--profiles-dir", str(PROJECT_ROOT)]
    places += ["--target-path", f"{scratch}/target", "--log-path", f"{scratch}/logs"]
    with _environment({"RITORNO_HOME": scratch, "RITORNO_AS_OF": AS_OF_SENTINEL, "RITORNO_RUN_ID": "test-run"}):
        result = dbtRunner(manifest=parsed).invoke(
            ["--quiet", "--log-level", "none", command, *places, "--vars", vars_json, "--threads", "1", *arguments]
        )
    if not result.success:
        raise AssertionError(f"dbt {command} failed: {result.exception or result.result}")
    return result


@dataclass(frozen=True)
class Project:
    """The compiled project for one set of vars."""

    manifest: Mapping[str, Any] = field(repr=False)
    vars: Mapping[str, Any]
    home: Home = field(default_factory=lambda: Home(Path("/nonexistent")))
    """Where Python steps find the state store; by default there is none, as on a first day."""

    @classmethod
    def compile(cls, **overrides: Any) -> Project:
        """The project with these policy vars overridden; each set of overrides is compiled once: a second of CPU."""
        return cls(_compiled_manifest(json.dumps(overrides, sort_keys=True)), overrides)

    def load_raw(self, con: duckdb.DuckDBPyConnection, raw: RawRows) -> None:
        """Make every raw table and fill it; missing columns are null, `_ritorno_*` may be given, values become text."""
        contract.ensure_raw_tables(con)
        ledger.ensure(con)
        tables = {table.identifier: table for table in contract.raw_tables()}
        for name, rows in raw.items():
            columns = [*tables[name].column_names, *contract.BOOKKEEPING]
            unknown = {column for row in rows for column in row} - set(columns)
            if unknown:
                raise AssertionError(f"raw.{name} has no columns {sorted(unknown)}")
            if not rows:
                continue
            defaults = {"_ritorno_file": f"{name}.csv", "_ritorno_batch": 1}
            given = [{"_ritorno_line": line, **defaults, **row} for line, row in enumerate(rows, start=2)]
            # not `executemany`, which takes a millisecond a row
            texts = {column: pa.array([_text(row.get(column)) for row in given], pa.string()) for column in columns}
            with registered(con, "given", pa.table(texts)):
                con.execute(f"insert into {tables[name].relation} from given")

    def connect(self, raw: RawRows) -> duckdb.DuckDBPyConnection:
        """A new in-memory warehouse with these raw rows (table name → rows as dicts)."""
        con = duckdb.connect()
        con.execute("attach ':memory:' as warehouse")
        con.execute("use warehouse")
        con.execute("set timezone = 'UTC'")
        con.execute("set threads = 1")
        self.load_raw(con, raw)
        return con

    def run(
        self,
        con: duckdb.DuckDBPyConnection,
        *models: str,
        as_of: date | str,
        given: Collection[str] = (),
        remember: bool = True,
    ) -> None:
        """Build these models and all their ancestors, in order; those `given` stand already (see `give`).

        What reads empty tables only is remembered from the example before, unless `remember` is false.
        """
        nothing = Nothing(con) if remember else None
        for unique_id in self._order(models, given):
            if unique_id.startswith("step."):
                self._run_step(con, unique_id.removeprefix("step."), str(as_of))
            else:
                self._build(con, self.manifest["nodes"][unique_id], str(as_of), nothing)

    def order(self, models: Sequence[str], given: Collection[str] = ()) -> list[str]:
        """The names of the models that `run` would build, in order; steps are left out."""
        ids = self._order(models, given)
        return [str(self.manifest["nodes"][one]["name"]) for one in ids if not one.startswith("step.")]

    def rows(self, raw: RawRows, model: str, as_of: date | str, order_by: str = "all") -> list[dict[str, Any]]:
        """One model's rows as dicts, for these raw rows."""
        con = self.connect(raw)
        self.run(con, model, as_of=as_of)
        return self.query(con, f"select * from {self.relation(model)} order by {order_by}")

    @staticmethod
    def query(con: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
        """A query's rows as dicts."""
        cursor = con.execute(sql)
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def relation(self, model: str) -> str:
        """The model's `schema.name`."""
        node = self._node(model)
        return f"{node['schema']}.{node['name']}"

    def _node(self, model: str) -> Mapping[str, Any]:
        for kind in ("model", "seed", "snapshot"):
            node: Mapping[str, Any] | None = self.manifest["nodes"].get(f"{kind}.ritorno.{model}")
            if node is not None:
                return node
        raise AssertionError(f"the project has no model {model}")

    def give(
        self, con: duckdb.DuckDBPyConnection, model: str, types: Mapping[str, str], rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Put rows where a model would, so that a test can start in the middle of the project."""
        node = self._node(model)
        con.execute(f"create schema if not exists {node['schema']}")
        columns = ", ".join(f'"{name}" {kind}' for name, kind in types.items())
        con.execute(f"create or replace table {self.relation(model)} ({columns})")
        if rows:
            holes = ", ".join("?" * len(types))
            values = [[row.get(name) for name in types] for row in rows]
            con.executemany(f"insert into {self.relation(model)} values ({holes})", values)

    def _order(self, models: Sequence[str], given: Collection[str] = ()) -> list[str]:
        producers = {output: step for step in steps.STEPS for output in step.outputs}
        ordered: list[str] = []
        seen: set[str] = {self._node(name)["unique_id"] for name in given}

        def visit(unique_id: str) -> None:
            if unique_id in seen:
                return
            seen.add(unique_id)
            if unique_id.startswith("source."):
                source = self.manifest["sources"][unique_id]
                step = producers.get(f"{source['source_name']}.{source['name']}")
                if step is not None:
                    visit(f"step.{step.name}")
                return
            if unique_id.startswith("step."):
                step = next(step for step in steps.STEPS if f"step.{step.name}" == unique_id)
                for name in step.reads(self.manifest):
                    visit(self._node(name)["unique_id"])
            else:
                for parent in self.manifest["nodes"][unique_id]["depends_on"].get("nodes", []):
                    visit(parent)
            ordered.append(unique_id)

        for model in models:
            visit(self._node(model)["unique_id"])
        return ordered

    def _run_step(self, con: duckdb.DuckDBPyConnection, name: str, as_of: str, run_id: str = "test-run") -> None:
        from ritorno.policy import load_policy

        step = next(step for step in steps.STEPS if step.name == name)
        step.ensure(con)
        policy = load_policy(PROJECT_ROOT, self.vars).values
        step.run(StepContext(con, policy, date.fromisoformat(as_of), self.home, self.manifest, run_id))

    def _build(
        self, con: duckdb.DuckDBPyConnection, node: Mapping[str, Any], as_of: str, nothing: Nothing | None = None
    ) -> None:
        schema, name = node["schema"], node["name"]
        con.execute(f"create schema if not exists {schema}")
        if nothing is not None:
            nothing.forget(f"{schema}.{name}")
        if node["resource_type"] == "seed":
            path = PROJECT_ROOT / node["original_file_path"]
            types = node["config"].get("column_types") or {}
            typed = ", ".join(f"'{column}': '{kind}'" for column, kind in types.items())
            options = "header = true" + (f", types = {{{typed}}}" if typed else "")
            con.execute(f"create or replace table {schema}.{name} as from read_csv('{path}', {options})")
            return
        sql = node["compiled_code"].replace(AS_OF_SENTINEL, as_of)
        if node["resource_type"] == "snapshot":
            _snapshot(con, f"{schema}.{name}", sql, node["config"], as_of)
            return
        kind = "view" if node["config"]["materialized"] == "view" else "table"

        def make() -> None:
            con.execute(f"create or replace {kind} {schema}.{name} as {sql}")

        if nothing is None:
            make()
        else:
            # typed rows are landed ones, on whatever day; other models may make rows of days alone
            is_of_any_day = name.startswith(("stg_", "int_canonical__"))
            nothing.build(f"{schema}.{name}", kind, node["compiled_code"] if is_of_any_day else sql, make)


def _snapshot(con: duckdb.DuckDBPyConnection, relation: str, sql: str, config: Mapping[str, Any], as_of: str) -> None:
    """What dbt's snapshot with the check strategy does on one day, a new one each time; dbt's own runs end to end."""
    day = f"timestamp '{as_of} 00:00:00'"
    key = config["unique_key"]
    same = " and ".join(f"(old.{column} is not distinct from new.{column})" for column in config["check_cols"])
    fresh = (
        f"select *, md5({key}) as dbt_scd_id, {day} as dbt_updated_at, {day} as dbt_valid_from, "
        f"cast(null as timestamp) as dbt_valid_to from ({sql})"
    )
    con.execute(f"create table if not exists {relation} as {fresh} limit 0")
    con.execute(f"create or replace temp table _seen as {fresh}")
    con.execute(
        f"update {relation} as old set dbt_valid_to = {day} where dbt_valid_to is null "
        f"and not exists (from _seen as new where new.{key} = old.{key} and {same})"
    )
    con.execute(
        f"insert into {relation} from _seen as new "
        f"where not exists (from {relation} as old where old.{key} = new.{key} and old.dbt_valid_to is null)"
    )


def _text(value: Any) -> Any:
    """A raw value as a CSV would carry it: null stays null, numbers and times become text."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)

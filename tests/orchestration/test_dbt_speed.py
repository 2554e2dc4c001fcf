"""The shortcuts in dbt: all taken with the versions locked, and nothing but the time is another."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import CodeType, SimpleNamespace
from typing import Any

import pytest
import yaml
from filelock import FileLock

from ritorno import dbt_speed
from ritorno.dbt import DbtProject
from ritorno.home import PROJECT_ROOT, Home


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> DbtProject:
    project = DbtProject(Home(tmp_path_factory.mktemp("home")).ensure())
    assert project.manifest()
    return project


def bound(value: Any) -> Any:
    """What a name of dbt's context means, without the context."""
    if isinstance(value, dict):
        return {name: bound(one) for name, one in value.items()}
    return value.macro.unique_id


@pytest.mark.parametrize("package", ["ritorno", "dbt", "dbt_duckdb", "elsewhere"])
def test_a_name_means_the_macro_that_dbt_itself_would_bind(project: DbtProject, package: str) -> None:
    from dbt.context.macros import GLOBAL_PROJECT_NAME, MacroNamespaceBuilder

    builder = MacroNamespaceBuilder("ritorno", package, object(), ["duckdb", "dbt_duckdb", "dbt"])  # type: ignore[arg-type]
    by_package = {**project.parsed.get_macros_by_package()}
    ours = next(iter(by_package["ritorno"].values()))
    # of a package that is neither ours nor dbt's, with a macro of a name that we have too
    theirs = {name: SimpleNamespace(name=name, package_name="elsewhere", unique_id=name) for name in ("one", ours.name)}
    by_package["elsewhere"] = theirs  # type: ignore[assignment]
    plain = builder.build_namespace(by_package, {})
    layout = dbt_speed._layout(SimpleNamespace(get_macros_by_package=lambda: by_package), builder, GLOBAL_PROJECT_NAME)

    def name_of(recipe: Any) -> Any:
        return {name: name_of(one) for name, one in recipe.items()} if isinstance(recipe, dict) else recipe.unique_id

    assert name_of(layout.top) == {name: bound(plain[name]) for name in plain}
    assert len(layout.top) > 500
    for name in ("local", "root", "internal", "packages"):
        attribute = {
            "local": plain.local_namespace, "root": plain.global_namespace,
            "internal": plain.global_project_namespace, "packages": plain.packages,
        }[name]  # fmt: skip
        assert name_of(dict(getattr(layout, name))) == bound(dict(attribute)), name


COMPILED_BOTH_WAYS = """
import json, os, sys
from ritorno import dbt_speed
from ritorno.dbt import DbtProject
from ritorno.home import Home
from dbt.cli.main import dbtRunner
from dbt_common.clients.jinja import template_cache

def compiled():
    template_cache.clear()
    project = DbtProject(Home.at())
    arguments = [*project._global_arguments(), "compile", *project._project_arguments(), "--select", *sys.argv[1:]]
    with dbt_speed.templates_in(Home.at().root / "templates"):
        outcome = dbtRunner(manifest=project.parsed).invoke(arguments)
    assert outcome.success, outcome.exception
    nodes = [done.node for done in outcome.result.results]
    return {node.unique_id: [node.compiled_code, sorted(node.depends_on.macros)] for node in nodes}

os.environ[dbt_speed.PLAIN] = "1"
taken, found = [dbt_speed.install()], [compiled()]
del os.environ[dbt_speed.PLAIN]
taken, found = [*taken, dbt_speed.install()], [*found, compiled()]
dbt_speed.TEMPLATES = dbt_speed.CompiledTemplates()
print(json.dumps([taken, [*found, compiled()]]))
"""
MODELS = ("customers", "int_changes__run", "segment_tier", "stg_files__orders", "assert_cohort_cells_are_possible")


def test_all_shortcuts_are_taken_and_the_compiled_sql_is_what_plain_dbt_compiles(
    project: DbtProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RITORNO_AS_OF", "2025-06-30")
    monkeypatch.setenv("RITORNO_HOME", str(project.home.root))
    command = [sys.executable, "-c", COMPILED_BOTH_WAYS, *MODELS]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT_ROOT, check=False)
    assert done.returncode == 0, done.stderr
    taken, (plain, first, again) = json.loads(done.stdout.splitlines()[-1])
    assert taken == [[], list(dbt_speed.SHORTCUTS)]
    assert {unique_id.split(".")[0] for unique_id in plain} == {"model", "test"}
    assert len(plain) >= 10
    assert first == plain
    assert again == plain, "Jinja's code from the file is another"


SETTINGS_BOTH_WAYS = """
import json, os, sys
from ritorno import dbt_speed
from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.adapters.duckdb.environments import Environment, create
from unittest.mock import patch

def found():
    creds = DuckDBCredentials.from_dict(DuckDBCredentials.translate_aliases(json.loads(sys.argv[1])))
    said = []
    class Cursor:
        def execute(self, sql): said.append(sql)
    opened = create(creds)
    Environment.initialize_cursor(creds, Cursor())
    cursor = opened.handle().cursor()
    names = ", ".join(f"current_setting('{name}')" for name in creds.settings)
    values = [str(one) for one in cursor.execute("select " + names).fetchone()]
    opened.close()
    return [values, said]

os.environ[dbt_speed.PLAIN] = "1"
dbt_speed.install()
plain = found()
del os.environ[dbt_speed.PLAIN]
dbt_speed.install()
print(json.dumps([plain, found()]))
"""


def test_every_connection_of_a_stage_has_the_settings_of_the_profile_though_they_are_made_once(tmp_path: Path) -> None:
    profile = yaml.safe_load(re.sub(r"\{\{.*?\}\}", "x", (PROJECT_ROOT / "profiles.yml").read_text("utf-8")))
    settings = {**profile["ritorno"]["outputs"]["duckdb"]["settings"], "memory_limit": "1GB"}
    given = {"type": "duckdb", "path": str(tmp_path / "w.duckdb"), "schema": "main", "settings": settings}
    command = [sys.executable, "-c", SETTINGS_BOTH_WAYS, json.dumps(given)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT_ROOT, check=False)
    assert done.returncode == 0, done.stderr
    (plain, each_time), (once, later) = json.loads(done.stdout.splitlines()[-1])
    assert once == plain
    assert plain[0] == "UTC"
    assert len(each_time) == len(settings)
    assert later == []


SMALL_THINGS_BOTH_WAYS = """
import json, os
from types import SimpleNamespace
from ritorno import dbt_speed
from dbt.adapters.base.impl import BaseAdapter
from dbt.adapters.duckdb.impl import DuckDBAdapter
from dbt.adapters.duckdb.relation import DuckDBRelation
from dbt.context.base import Var
from dbt_common.clients import agate_helper

def found():
    vars = {"plain": "at_risk", "jinja": "{{ 1 + 1 }}", "late": "two\\n", "comment": "a{# b #}", "number": 3}
    context = {"one": "two"}
    rendered = {name: Var(context, vars)(name) for name in vars}
    table = agate_helper.empty_table()
    adapter = SimpleNamespace(config=SimpleNamespace(quoting=dict.fromkeys(("database", "schema", "identifier"), True)))
    adapter._make_match_kwargs = lambda *names: BaseAdapter._make_match_kwargs(adapter, *names)
    names = ["orders", "orders_2", "order", "customers"]
    relations = [DuckDBRelation.create(database="w", schema="marts", identifier=name) for name in names]
    def matched(name):
        try:
            return [str(one) for one in DuckDBAdapter._make_match(adapter, relations, "w", "marts", name)]
        except Exception as error:
            return type(error).__name__
    return [rendered, [len(table.rows), table.column_names, table.column_types],
            {name: matched(name) for name in ("orders", "ORDERS", "nothing", '"orders"')}]

os.environ[dbt_speed.PLAIN] = "1"
dbt_speed.install()
plain = found()
del os.environ[dbt_speed.PLAIN]
taken = dbt_speed.install()
print(json.dumps([taken, plain, found()]))
"""


def test_vars_empty_tables_and_relations_are_what_plain_dbt_makes_and_finds() -> None:
    command = [sys.executable, "-c", SMALL_THINGS_BOTH_WAYS]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT_ROOT, check=False)
    assert done.returncode == 0, done.stderr
    taken, plain, ours = json.loads(done.stdout.splitlines()[-1])
    assert taken == list(dbt_speed.SHORTCUTS)
    assert ours == plain
    rendered, _, matched = plain
    assert (rendered["plain"], rendered["jinja"]) == ("at_risk", "2")
    assert matched["orders"] == ['"w"."marts"."orders"']
    assert matched["ORDERS"] == "ApproximateMatchError", "what only looks alike is an error, not nothing"
    assert matched["nothing"] == []


def test_another_dbt_runs_without_shortcuts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dbt_speed, "_TAKEN", [])
    monkeypatch.setattr(dbt_speed, "version", lambda _: "1.12.0")
    assert dbt_speed.install() == []


def test_a_function_that_takes_something_else_is_not_replaced() -> None:
    def compile_manifest(self: object, graph: object) -> None: ...

    with pytest.raises(dbt_speed.Unexpected, match="takes self, graph, not self"):
        dbt_speed.expect(compile_manifest, "self")


def test_a_lazy_dict_is_a_dict() -> None:
    made: list[int] = []

    def make(recipe: int) -> int:
        made.append(recipe)
        return recipe * 10

    lazy = dbt_speed.Lazy({"a": 1, "b": 2, "c": 3}, make)
    assert lazy["a"] == lazy["a"] == lazy.get("a") == 10
    assert made == [1]
    assert "b" in lazy
    assert "z" not in lazy
    assert (lazy.get("z"), lazy.setdefault("b", 7), lazy.pop("z", None)) == (None, 20, None)
    with pytest.raises(KeyError):
        lazy["z"]
    lazy["c"] = 5
    everything = {"a": 10, "b": 20, "c": 5}
    assert dict(lazy) == {**lazy} == lazy.copy() == everything
    assert (len(lazy), sorted(lazy), sorted(lazy.values())) == (3, ["a", "b", "c"], [5, 10, 20])
    assert dict(**dbt_speed.Lazy({"a": 1}, make)) == {"a": 10}
    assert not dbt_speed.Lazy({}, make)


def test_templates_are_compiled_once_and_a_broken_file_is_written_anew(tmp_path: Path) -> None:
    calls: list[str] = []

    def code(templates: dbt_speed.CompiledTemplates, kind: str, source: str) -> CodeType:
        def make() -> CodeType:
            calls.append(source)
            return compile(f"{source!r}", "<template>", "eval")

        return templates.code(kind, source, make)

    def run(*sources: str) -> None:
        templates = dbt_speed.CompiledTemplates()
        templates.open(tmp_path)
        for source in sources:
            assert eval(code(templates, "sql", source)) == source
        templates.save()

    run("a", "b", "a")
    run("a", "b")
    assert calls == ["a", "b"]
    run("c")
    run("a", "c")
    assert calls == ["a", "b", "c"]
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:40])
    run("a")
    assert calls == ["a", "b", "c", "a"]


def test_an_unchanged_project_is_read_from_the_last_parse_and_a_changed_one_is_parsed(
    project: DbtProject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copytree(project.target, tmp_path / "target", ignore=shutil.ignore_patterns("compiled", "run", "overridden"))
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path / "target"))
    again = DbtProject(project.home)
    kept = again._kept_parse()
    assert kept is not None
    parsed = again._write_manifest()
    assert {name: node.to_dict() for name, node in kept.nodes.items()} == {
        name: node.to_dict() for name, node in parsed.nodes.items()
    }
    assert kept.macros.keys() == parsed.macros.keys()
    assert kept.flat_graph == parsed.flat_graph
    assert DbtProject(project.home, {"count_refunds": False})._kept_parse() is None, "other vars are another parse"
    assert again._kept_parse() is not None
    parse = again.target / "partial_parse.msgpack"
    parse.write_bytes(parse.read_bytes())  # as if somebody's plain dbt had been here
    assert again._kept_parse() is None
    again._write_manifest()
    assert again._kept_parse() is not None
    monkeypatch.setattr(DbtProject, "_fingerprint", lambda self: "another")
    assert again._kept_parse() is None


def test_a_manifest_that_somebody_is_writing_is_read_when_it_is_whole(
    project: DbtProject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copytree(project.target, tmp_path / "target", ignore=shutil.ignore_patterns("compiled", "run", "overridden"))
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path / "target"))
    path = tmp_path / "target" / "manifest.json"
    whole = path.read_bytes()
    found: list[Any] = []
    reader = threading.Thread(target=lambda: found.append(DbtProject(project.home).manifest()))
    with FileLock(tmp_path / "target" / "parse.lock"):
        path.write_bytes(whole[: len(whole) // 2])
        reader.start()
        reader.join(0.5)
        assert found == []
        path.write_bytes(whole)
    reader.join(30)
    assert found == [json.loads(whole)]

"""Shortcuts in dbt, for refreshes only: what dbt does again for each of seven hundred nodes, done once or not at all.

For every node and every test dbt makes two contexts of 900 macros of which a dozen are called, fires twenty debug
events that nobody listens to (each is turned into protobuf from a dict, twice), compiles the same Jinja anew on every
run, and for every stage links the whole graph. docs/performance.md says what that costs.

dbt itself is not changed: names in its modules are replaced in the process that refreshes, all of them here. Each
shortcut says what it expects of dbt and is left out, with a line in the log, where dbt is another: slower, never wrong.
`RITORNO_PLAIN_DBT=1` leaves all of them out. tests/orchestration/test_dbt_speed.py holds that all are taken with the
versions in requirements.lock, and that both ways give the same SQL.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import marshal
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from importlib.metadata import version
from pathlib import Path
from types import CodeType
from typing import Any

PLAIN = "RITORNO_PLAIN_DBT"
"""Environment variable: 1 runs dbt as it came."""
DBT = "1.11."
"""The versions of dbt-core whose insides these shortcuts know."""
SILENT = (
    "CacheAction",
    "ConnectionClosed",
    "ConnectionClosedInCleanup",
    "ConnectionLeftOpen",
    "ConnectionLeftOpenInCleanup",
    "ConnectionReused",
    "ConnectionUsed",
    "EndRunResult",
    "JinjaLogDebug",
    "NewConnection",
    "NodeCompiling",
    "NodeExecuting",
    "NodeFinished",
    "NodeStart",
    "SQLCommit",
    "SQLQuery",
    "SQLQueryStatus",
    "TimingInfoCollected",
    "WritingInjectedSQLForNode",
)
"""Events of debug level, which `ritorno` asks dbt to write nowhere (`--log-level none --log-level-file info`)."""

MOST_TEMPLATES = 5_000
"""A refresh uses some 1,200."""

log = logging.getLogger(__name__)


class Unexpected(Exception):  # noqa: N818
    """dbt's insides are not what a shortcut knows."""


def install() -> list[str]:
    """Take every shortcut that fits this dbt, once in a process; returns the names of those that are taken."""
    with _LOCK:
        if not _TAKEN and os.environ.get(PLAIN) != "1":
            for name, shortcut in SHORTCUTS.items():
                try:
                    if not version("dbt-core").startswith(DBT):
                        raise Unexpected(f"dbt-core {version('dbt-core')} is not {DBT}x")
                    shortcut()
                    _TAKEN.append(name)
                except (ImportError, AttributeError, TypeError, Unexpected) as error:
                    log.warning("dbt runs without the shortcut %s: %s", name, error)
        return list(_TAKEN)


_LOCK = threading.Lock()
_TAKEN: list[str] = []


# --- macros are bound when they are called


class Lazy(dict):  # type: ignore[type-arg]
    """A dict that makes a value when it is asked for, and all of them when somebody looks at the whole.

    Args:
        recipes: by key, what `make` makes the value of.
        make: called once per key.
    """

    def __init__(self, recipes: Mapping[str, Any], make: Callable[[Any], Any]) -> None:
        super().__init__()
        self._recipes = recipes
        self._make = make

    def __missing__(self, key: str) -> Any:  # noqa: ANN401
        made = self[key] = self._make(self._recipes[key])
        return made

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or key in self._recipes

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401
        """The value, made if need be."""
        return self[key] if key in self else default  # noqa: SIM401  this is get

    def _all(self) -> Lazy:
        for key in self._recipes:
            if not super().__contains__(key):
                self[key] = self._make(self._recipes[key])
        self._recipes = {}
        return self

    def __iter__(self) -> Iterator[str]:
        self._all()
        return super().__iter__()

    def __len__(self) -> int:
        self._all()
        return super().__len__()

    def __bool__(self) -> bool:
        return bool(self._recipes) or super().__len__() > 0

    def __eq__(self, other: object) -> bool:
        self._all()
        return super().__eq__(other)

    __hash__ = None

    def keys(self) -> Any:  # noqa: ANN401
        """All keys."""
        return dict.keys(self._all())

    def values(self) -> Any:  # noqa: ANN401
        """All values."""
        return dict.values(self._all())

    def items(self) -> Any:  # noqa: ANN401
        """All of it."""
        return dict.items(self._all())

    def copy(self) -> dict[str, Any]:
        """A plain dict of all of it."""
        return dict(dict.items(self._all()))

    def setdefault(self, key: str, default: Any = None) -> Any:  # noqa: ANN401
        """The value, made if need be, else the default from now on."""
        return self[key] if key in self else super().setdefault(key, default)

    def pop(self, key: str, *default: Any) -> Any:  # noqa: ANN401
        """Take a value out."""
        return super(Lazy, self._all()).pop(key, *default)


def _bind_macros_when_called() -> None:
    from dbt.clients.jinja import MacroGenerator
    from dbt.context import macros, manifest
    from dbt_common.clients.jinja import MacroFuzzTemplate, NativeSandboxTemplate

    context: Any = manifest.ManifestContext
    namespace: Any = macros.MacroNamespace
    builder: Any = macros.MacroNamespaceBuilder
    expect(builder.build_namespace, "self", "macros_by_package", "ctx")
    expect(context._build_namespace, "self")
    expect(context.to_dict, "self")
    expect(namespace.__init__, "self", "global_namespace", "local_namespace", "global_project_namespace", "packages")
    plain_dict = super(context, context).to_dict

    class LazyNamespace(namespace):  # type: ignore[misc]
        """dbt's namespace of macros, each bound to its context when it is asked for."""

        def __init__(self, layout: _Layout, made_for: Any, ctx: dict[str, Any]) -> None:  # noqa: ANN401
            bound: dict[str, Any] = {}

            def bind(recipe: Any) -> Any:  # noqa: ANN401
                if isinstance(recipe, Mapping):
                    return Lazy(recipe, bind)
                if recipe.unique_id not in bound:
                    bound[recipe.unique_id] = MacroGenerator(recipe, ctx, made_for.node, made_for.thread_ctx)
                return bound[recipe.unique_id]

            self.bind = bind
            self.top = layout.top
            super().__init__(
                global_namespace=Lazy(layout.root, bind),
                local_namespace=Lazy(layout.local, bind),
                global_project_namespace=Lazy(layout.internal, bind),
                packages=Lazy(layout.packages, bind),
            )

    def build_namespace(self: Any) -> Any:  # noqa: ANN401
        made_for = self._get_namespace_builder()
        if type(made_for) is not builder or self._ctx:
            return made_for.build_namespace(self.manifest.get_macros_by_package(), self._ctx)
        layout = _layout(self.manifest, made_for, macros.GLOBAL_PROJECT_NAME)
        self._ctx = Lazy({}, lambda recipe: self.namespace.bind(recipe))
        return LazyNamespace(layout, made_for, self._ctx)

    def to_dict(self: Any) -> Any:  # noqa: ANN401
        if not isinstance(self.namespace, LazyNamespace):
            return whole_dict(self)
        found = plain_dict(self)
        for name in set(dict.keys(found)) & self.namespace.top.keys():  # a macro goes before what dbt itself brings
            dict.__delitem__(found, name)
        found._recipes = self.namespace.top
        return found

    whole_dict = context.to_dict
    context._build_namespace = build_namespace
    context.to_dict = to_dict
    # a test's arguments are rendered by the other kind of template, which copies the whole context, twice
    NativeSandboxTemplate.new_context = MacroFuzzTemplate.new_context  # type: ignore[method-assign, assignment]


class _Layout:
    """Which macro a name means, for nodes of one package: dbt's MacroNamespaceBuilder without the binding."""

    def __init__(self, by_package: Mapping[str, Mapping[str, Any]], made_for: Any, dbt_package: str) -> None:  # noqa: ANN401
        internal_names = made_for.internal_package_names
        self.packages = {name: found for name, found in by_package.items() if name not in internal_names}
        self.local = by_package.get(made_for.search_package, {}) if made_for.search_package in self.packages else {}
        self.root: Mapping[str, Any] = {}
        if made_for.root_package != made_for.search_package and made_for.root_package in self.packages:
            self.root = by_package[made_for.root_package]
        self.internal: dict[str, Any] = {}
        for name in reversed(made_for.internal_package_names_order):
            self.internal.update(by_package.get(name, {}))
        self.top: dict[str, Any] = {
            **self.internal,
            dbt_package: self.internal,
            **self.packages,
            **self.root,
            **self.local,
        }


def _layout(manifest: Any, made_for: Any, dbt_package: str) -> _Layout:  # noqa: ANN401
    """The layout for nodes of the builder's package; kept with the manifest until its macros change."""
    by_package = manifest.get_macros_by_package()
    size = sum(len(found) for found in by_package.values())
    kept: dict[Any, _Layout] = manifest.__dict__.setdefault("_ritorno_layouts", {})
    key = (
        id(by_package),
        size,
        made_for.root_package,
        made_for.search_package,
        tuple(made_for.internal_package_names_order),
    )
    if key not in kept:
        kept[key] = _Layout(by_package, made_for, dbt_package)
    return kept[key]


# --- debug events that nobody reads are not made


def _leave_out_debug_events() -> None:
    from dbt.adapters.events import types as adapter_events
    from dbt.events import types as events
    from dbt_common.events.base_types import BaseEvent, DebugLevel
    from dbt_common.events.event_manager import EventManager

    silent = []
    for name in SILENT:
        kind = getattr(events, name, None) or getattr(adapter_events, name, None)
        if kind is None or not issubclass(kind, DebugLevel) or "__init__" in vars(kind):
            raise Unexpected(f"dbt's event {name} is no debug event of the usual kind")
        silent.append(kind)
    expect(EventManager.fire_event, "self", "e", "level", "node", "force_warn_or_error_handling")
    fire = EventManager.fire_event

    def make_nothing(self: BaseEvent, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        pass

    def fire_event(self: EventManager, e: BaseEvent, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        if type(e) not in unheard:
            fire(self, e, *args, **kwargs)

    unheard = frozenset(silent)
    for kind in silent:
        kind.__init__ = make_nothing
    EventManager.fire_event = fire_event  # type: ignore[method-assign]


# --- the graph is linked once for all stages


def _link_the_graph_once() -> None:
    from dbt.compilation import Compiler
    from dbt.task.build import BuildTask

    expect(BuildTask.compile_manifest, "self")
    expect(Compiler.compile, "self", "manifest", "write", "add_test_edges")

    def compile_manifest(self: Any) -> None:  # noqa: ANN401
        nodes = self.manifest.nodes if self.manifest is not None else ()
        kept = getattr(self.manifest, "_ritorno_graph", None)
        if kept is not None and kept[0] == len(nodes):
            self.compiler.initialize()
            self.graph = kept[1]
            return
        plain(self)
        self.manifest.__dict__["_ritorno_graph"] = (len(nodes), self.graph)

    plain = BuildTask.compile_manifest
    BuildTask.compile_manifest = compile_manifest


# --- Jinja is compiled once


class CompiledTemplates:
    """Python code of Jinja templates by their source, kept in a file from run to run.

    The file's name says the versions that the code is good for. When it has grown too large, by edits of the project,
    only what the last run used is kept.
    """

    def __init__(self) -> None:
        self._path: Path | None = None
        self._kept: dict[str, CodeType] = {}
        self._used: dict[str, CodeType] = {}

    def open(self, folder: Path) -> None:
        """Use the file in this folder, from here on."""
        made_by = "|".join(
            [version("jinja2"), version("dbt-common"), version("dbt-core"), str(importlib.util.MAGIC_NUMBER)]
        )
        path = folder / f"jinja-{hashlib.sha256(made_by.encode()).hexdigest()[:12]}.marshal"
        if path == self._path:
            return
        self._path, self._kept, self._used = path, {}, {}
        try:
            self._kept = marshal.loads(path.read_bytes())
        except FileNotFoundError:
            pass
        except (OSError, EOFError, ValueError, TypeError) as error:
            log.info("%s can't be read, and is written anew: %s", path, error)

    def code(self, kind: str, source: str, make: Callable[[], CodeType]) -> CodeType:
        """The code of a template."""
        key = hashlib.sha256(f"{kind}\n{source}".encode()).hexdigest()
        found = self._used.get(key) or self._kept.get(key)
        if found is None:
            found = make()
        self._used[key] = found
        return found

    def save(self) -> None:
        """Write what was used, if it is more than stands in the file."""
        if self._path is None or self._used.keys() <= self._kept.keys():
            return
        everything = {**self._kept, **self._used}
        if len(everything) > MOST_TEMPLATES:
            everything = dict(self._used)
        fresh = self._path.with_suffix(f".{os.getpid()}")
        try:
            fresh.write_bytes(marshal.dumps(everything))
            fresh.replace(self._path)
        except OSError as error:
            log.info("%s can't be written: %s", self._path, error)
        self._kept = everything


TEMPLATES = CompiledTemplates()


@contextmanager
def templates_in(folder: Path) -> Iterator[None]:
    """Keep compiled templates in this folder while dbt runs."""
    folder.mkdir(parents=True, exist_ok=True)
    TEMPLATES.open(folder)
    yield
    TEMPLATES.save()


def _compile_jinja_once() -> None:
    from dbt_common.clients.jinja import MACRO_DEBUGGING, MacroFuzzEnvironment
    from jinja2 import Environment

    if "compile" in vars(MacroFuzzEnvironment):
        raise Unexpected("dbt compiles Jinja by a method of its own")
    expect(Environment.compile, "self", "source", "name", "filename", "raw", "defer_init")

    def compile(self: Any, source: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        plain = super(MacroFuzzEnvironment, self).compile
        if MACRO_DEBUGGING or not isinstance(source, str) or any(args) or any(kwargs.values()):
            return plain(source, *args, **kwargs)
        return TEMPLATES.code(type(self).__name__, source, lambda: plain(source))

    MacroFuzzEnvironment.compile = compile  # type: ignore[method-assign]


# --- the types of a result's columns are looked for by the same testers


def _keep_type_testers() -> None:
    from dbt_common.clients import agate_helper

    expect(agate_helper.build_type_tester, "text_columns", "string_null_values")
    plain = agate_helper.build_type_tester
    kept = threading.local()

    def build_type_tester(text_columns: Iterable[str], string_null_values: Any = ("null", "")) -> Any:  # noqa: ANN401
        # of each result dbt makes seven types anew, two of which read dates of all the world's languages
        nulls = None if string_null_values is None else tuple(string_null_values)
        key = (tuple(text_columns), nulls)
        testers: dict[Any, Any] = kept.__dict__
        if key not in testers:
            testers[key] = plain(*key)
        return testers[key]

    agate_helper.build_type_tester = build_type_tester


# --- small things that every node does several times


def _read_plain_vars_as_they_are() -> None:
    from dbt.context.base import Var

    expect(Var.get_rendered_var, "self", "var_name")
    plain = Var.get_rendered_var

    def get_rendered_var(self: Any, var_name: str) -> Any:  # noqa: ANN401
        # rendering copies the context with all its macros, and what isn't Jinja comes out as it went in
        raw = self._merged[var_name]
        if isinstance(raw, str) and "{" not in raw and not raw.endswith("\n"):
            return raw
        return plain(self, var_name)

    Var.get_rendered_var = get_rendered_var


def _make_empty_tables_without_testers() -> None:
    from dbt_common.clients import agate_helper

    table: Any = agate_helper.agate.Table  # type: ignore[attr-defined]
    expect(agate_helper.empty_table)
    expect(table.__init__, "self", "rows", "column_names", "column_types", "row_names", "_is_fork")

    def empty_table() -> Any:  # noqa: ANN401
        # what types its columns have: there are none, and the testers read dates of all the world's languages
        return table(rows=[], column_names=[], column_types=[])

    agate_helper.empty_table = empty_table


def _compare_relations_of_the_same_name() -> None:
    from dbt.adapters.base.impl import BaseAdapter
    from dbt.adapters.duckdb.impl import DuckDBAdapter

    expect(BaseAdapter._make_match, "self", "relations_list", "database", "schema", "identifier")
    plain = BaseAdapter._make_match

    def make_match(self: Any, relations_list: Any, database: str, schema: str, identifier: str) -> Any:  # noqa: ANN401
        # whether a relation is the one asked for takes 20 µs, and a schema has hundreds
        name = identifier.lower().strip('"')
        alike = [one for one in relations_list if str(one.identifier).lower().strip('"') == name]
        return plain(self, alike, database, schema, identifier)

    DuckDBAdapter._make_match = make_match


def expect(function: Callable[..., Any], *parameters: str) -> None:
    """Check that a function of dbt still takes what a shortcut gives it.

    Raises:
        Unexpected: it doesn't.
    """
    code = function.__code__
    found = code.co_varnames[: code.co_argcount]
    if found != parameters:
        raise Unexpected(f"{function.__qualname__} takes {', '.join(found)}, not {', '.join(parameters)}")


# --- settings that hold for the whole database are made when it is opened


def _set_settings_once() -> None:
    from dbt.adapters.duckdb.environments import Environment
    from dbt.adapters.duckdb.utils import escape_sql_string

    expect(Environment.initialize_db.__func__, "cls", "creds", "plugins")
    expect(Environment.initialize_cursor.__func__, "cls", "creds", "cursor", "plugins", "registered_df")
    open_plainly, cursor_plainly = Environment.initialize_db, Environment.initialize_cursor

    def initialize_db(cls: Any, creds: Any, plugins: Any = None) -> Any:  # noqa: ANN401
        con = open_plainly(creds, plugins)
        for name, value in (creds.settings or {}).items():
            con.execute(f"set global {name} = '{escape_sql_string(value)}'")
        return con

    def initialize_cursor(cls: Any, creds: Any, cursor: Any, *plugins_and_frames: Any) -> Any:  # noqa: ANN401
        without = copy(creds)
        without.settings = None
        return cursor_plainly(without, cursor, *plugins_and_frames)

    Environment.initialize_db = classmethod(initialize_db)
    Environment.initialize_cursor = classmethod(initialize_cursor)


SHORTCUTS: Mapping[str, Callable[[], None]] = {
    "macros bound when called": _bind_macros_when_called,
    "no debug events": _leave_out_debug_events,
    "one graph for all stages": _link_the_graph_once,
    "Jinja compiled once": _compile_jinja_once,
    "type testers kept": _keep_type_testers,
    "settings once": _set_settings_once,
    "plain vars": _read_plain_vars_as_they_are,
    "empty tables": _make_empty_tables_without_testers,
    "relations by name": _compare_relations_of_the_same_name,
}

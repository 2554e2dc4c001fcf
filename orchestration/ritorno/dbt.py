"""The dbt project as Ritorno runs it: parsed once, built in stages, inside this process.

dagster-dbt's own `dbt.cli()` starts a process per call: 3 s of imports and 1-2 s of parsing for every stage, 4.6 s
more for `dbt --version`, a target folder that nobody removes, and, when the parent is killed, an orphan that goes on
writing the warehouse. So dbt runs here through its `dbtRunner`, with the manifest handed over; dagster-dbt still
defines the assets and turns dbt's events into Dagster's.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from ritorno import dbt_speed, incremental
from ritorno.engines import Engine, make_engine
from ritorno.errors import CheckFailed, RitornoError, UnusableInput
from ritorno.home import PROJECT_ROOT, Home
from ritorno.policy import load_policy

if TYPE_CHECKING:
    from ritorno.steps import PythonStep

Manifest = Mapping[str, Any]
"""The content of manifest.json."""
Event = Mapping[str, Any]
"""One of dbt's structured log events."""

_PROJECT_FILES = ("dbt_project.yml", "profiles.yml")
_PROJECT_FOLDERS = ("models", "macros", "seeds", "snapshots", "tests/dbt")
_FINGERPRINT = "ritorno_fingerprint.txt"
_OF_A_RUN = ("RITORNO_AS_OF", "RITORNO_RUN_ID", "RITORNO_FULL", "RITORNO_POLICY_HASH", "RITORNO_CODE_HASH")
_PARSE_ENVIRONMENT = {"RITORNO_HOME": "var", **dict.fromkeys(_OF_A_RUN, "")}
"""Nothing of a run is known to the parser, so that neither another home nor another day makes it start again."""
OVERRIDES_KEPT_SECONDS = 7 * 24 * 3600
BUILT = ("model", "seed", "snapshot")
FAILED = frozenset({"error", "fail", "runtime error"})


class BuildFailed(RitornoError):  # noqa: N818
    """dbt could not build a model; the last published state stays."""

    exit_code = 1


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a block; an empty value unsets."""
    before = {name: os.environ.get(name) for name in values}
    for name, value in values.items():
        if value:
            os.environ[name] = value
        else:
            os.environ.pop(name, None)
    try:
        yield
    finally:
        for name, old in before.items():
            if old is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = old


# --- stages, from a manifest


@dataclass(frozen=True)
class Stage:
    """What dbt builds between two rounds of Python steps.

    Attributes:
        number: 0 for what reads no step's output.
        nodes: unique ids of models, seeds and snapshots.
        tests: unique ids of data tests; each runs in the stage of the last thing it reads.
    """

    number: int
    nodes: tuple[str, ...]
    tests: tuple[str, ...]

    @property
    def name(self) -> str:
        """The stage as people and Dagster see it."""
        return f"dbt_stage_{self.number}"


@dataclass(frozen=True)
class Stages:
    """The whole refresh between landing and publishing."""

    dbt: tuple[Stage, ...]
    steps: Mapping[int, tuple[PythonStep, ...]]
    """Python steps by the dbt stage they come after."""


def stage_of(manifest: Manifest, steps: Sequence[PythonStep] | None = None) -> dict[str, int]:
    """The stage of every enabled node and source, and of every step as `step.<name>` (the dbt stage it comes after).

    A node comes after everything it reads. A model also waits for what its tests read, so that a test hangs on a
    model of the stage it runs in, and can stop what comes after.

    Raises:
        UnusableInput: a step reads a model that isn't there, or a test waits for what its own model feeds.
    """
    steps = _all_steps() if steps is None else steps
    producers = {output: step for step in steps for output in step.outputs}
    by_name = {node["name"]: unique_id for unique_id, node in manifest["nodes"].items() if _is_built(node)}
    known: dict[str, int] = dict.fromkeys(manifest["sources"], 0)
    known |= {unique_id: 0 for unique_id, node in manifest["nodes"].items() if _has_stage(node)}
    known |= {f"step.{step.name}": 0 for step in steps}
    reads: list[tuple[str, str, int]] = []  # (who comes after, whom, by how many stages)
    for step in steps:
        inputs = step.reads(manifest)
        missing = [name for name in inputs if name not in by_name]
        if missing:
            raise UnusableInput(f"step {step.name} reads {', '.join(missing)}, which the dbt project doesn't have")
        reads.extend((f"step.{step.name}", by_name[name], 0) for name in inputs)
    for unique_id, source in manifest["sources"].items():
        writer = producers.get(f"{source['source_name']}.{source['name']}")
        if writer:
            reads.append((unique_id, f"step.{writer.name}", 1))
    for unique_id, node in manifest["nodes"].items():
        if _has_stage(node):
            reads.extend((unique_id, parent, 0) for parent in node["depends_on"].get("nodes", []) if parent in known)
            attached = _attached_to(manifest, node)
            if attached:
                reads.append((attached, unique_id, 0))
    changed = True
    while changed:
        changed = False
        for after, before, by in reads:
            if known[after] < known[before] + by:
                known[after], changed = known[before] + by, True
                if known[after] > len(steps):
                    raise UnusableInput(f"{after} waits for {before}, which it feeds itself through a Python step")
    return known


def stages(manifest: Manifest, steps: Sequence[PythonStep] | None = None) -> Stages:
    """The dbt stages and the Python steps between them."""
    steps = _all_steps() if steps is None else steps
    numbers = stage_of(manifest, steps)
    last = max((number for key, number in numbers.items() if not key.startswith(("source.", "step."))), default=0)

    def of_kind(number: int, kinds: Sequence[str]) -> tuple[str, ...]:
        return tuple(
            unique_id
            for unique_id, node in manifest["nodes"].items()
            if node["resource_type"] in kinds and numbers.get(unique_id) == number
        )

    found = tuple(Stage(number, of_kind(number, BUILT), of_kind(number, ("test",))) for number in range(last + 1))
    after = {
        number: tuple(step for step in steps if numbers[f"step.{step.name}"] == number) for number in range(last + 1)
    }
    return Stages(found, after)


def cross_stage_tests(manifest: Manifest, steps: Sequence[PythonStep] | None = None) -> dict[str, list[str]]:
    """dbt tests that hang on no single model of their stage, with what they read.

    Such a test is no asset check: Dagster could neither show nor block on it.
    """
    numbers = stage_of(manifest, steps)
    found = {}
    for unique_id, node in manifest["nodes"].items():
        if node["resource_type"] == "test":
            parents = [parent for parent in node["depends_on"].get("nodes", []) if not parent.startswith("source.")]
            attached = _attached_to(manifest, node)
            home = [attached] if attached else parents
            if parents and (len(home) != 1 or numbers[home[0]] != numbers[unique_id]):
                found[node["name"]] = sorted(parents)
    return found


def _all_steps() -> Sequence[PythonStep]:
    from ritorno.steps import STEPS  # and with it scipy: the process that builds has no need of it

    return STEPS


def _attached_to(manifest: Manifest, node: Mapping[str, Any]) -> str | None:
    """The model a test hangs on: a generic test's own, or the one a singular test over several models names.

    The name stands where Dagster looks for it, `config(meta={'dagster': {'ref': {'name': …}}})`, so that both agree.
    """
    named = ((node.get("config") or {}).get("meta") or {}).get("dagster", {}).get("ref", {}).get("name")
    if not named:
        attached = node.get("attached_node")
        return attached if attached in manifest["nodes"] else None
    found = [parent for parent in node["depends_on"].get("nodes", []) if parent.endswith(f".{named}")]
    if len(found) != 1:
        raise UnusableInput(
            f"test {node['name']} names {named} as the model it hangs on, which it doesn't read; "
            "name one of those it reads"
        )
    return str(found[0])


def _has_stage(node: Mapping[str, Any]) -> bool:
    return _is_built(node) or node["resource_type"] == "test"


def _is_built(node: Mapping[str, Any]) -> bool:
    return node["resource_type"] in BUILT


def marts(manifest: Manifest) -> list[Mapping[str, Any]]:
    """The models in models/marts, which is what gets published, by name."""
    found = [
        node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["original_file_path"].startswith("models/marts/")
    ]
    return sorted(found, key=lambda node: str(node["name"]))


# --- parsing and building


@dataclass(frozen=True)
class Failure:
    """A node that failed, in a line for people."""

    unique_id: str
    is_test: bool
    message: str


@dataclass
class BuildResult:
    """What dbt did: its result events, and what failed."""

    events: list[Event] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def raise_for_failures(self) -> None:
        """Raise the readable reason if anything failed.

        Raises:
            CheckFailed: only checks failed.
            BuildFailed: a model or seed did.
        """
        if not self.failures:
            return
        first = [failure for failure in self.failures if not failure.is_test] or self.failures
        shown = "; ".join(failure.message for failure in first[:3])
        more = f" (and {len(first) - 3} more)" if len(first) > 3 else ""
        kind = CheckFailed if all(failure.is_test for failure in self.failures) else BuildFailed
        raise kind(shown + more)


@dataclass(frozen=True)
class DbtProject:
    """The dbt project with the policy vars of one run and the home it writes to.

    Attributes:
        home: where the warehouse stands.
        overrides: policy vars that differ from dbt_project.yml; empty most days.
        engine: where its SQL runs.
        full: build the heavy tier whole, whatever the policy would have.
    """

    home: Home
    overrides: Mapping[str, Any] = field(default_factory=dict)
    engine: Engine = field(default_factory=make_engine)
    full: bool = False

    @cached_property
    def target(self) -> Path:
        """Where dbt keeps its parse and compiled SQL between runs; overridden vars get places of their own, since
        changed vars throw the whole cached parse away.
        """
        base = self._targets
        if self.engine.name != "duckdb":
            base /= self.engine.name
        return base / "overridden" / _digest(self.overrides)[:12] if self.overrides else base

    @property
    def _targets(self) -> Path:
        """The target of all days on DuckDB; those of other engines and of overridden vars are below."""
        return Path(os.environ.get("DBT_TARGET_PATH") or self.home.root / "dbt").resolve()

    @property
    def logs(self) -> Path:
        """dbt's log folder."""
        return self.home.logs / "dbt"

    def manifest(self) -> Manifest:
        """manifest.json, parsed anew if the project changed since."""
        path = self.target / "manifest.json"
        with self._parse_lock():  # whoever parses writes the file in its place
            if not self.is_fresh and self._kept_parse() is None:
                self._write_manifest()
            return _read_manifest(path, path.stat().st_mtime_ns)

    @property
    def is_fresh(self) -> bool:
        """Whether manifest.json is that of the project as it stands."""
        return (self.target / "manifest.json").exists() and self._cached_fingerprint() == self._fingerprint()

    @cached_property
    def parsed(self) -> Any:  # noqa: ANN401  dbt's Manifest; dbt is imported only where it runs
        """dbt's own manifest object, to hand to each build; the last parse's if nothing changed since."""
        with self._parse_lock():
            kept = self._kept_parse()
            return self._write_manifest() if kept is None else kept

    def _kept_parse(self) -> Any:  # noqa: ANN401
        """What the last parse found, from the file that dbt keeps for its next one; None if anything is another.

        dbt would read it too, and then compare every file and write it all anew: 1.4 s instead of 0.4. For the other
        engines it does: what their settings say stands in the nodes' configuration.
        """
        if self.engine.name != "duckdb":
            return None
        from dbt.contracts.graph.manifest import Manifest
        from dbt.parser.manifest import PARTIAL_PARSE_FILE_NAME, extended_mashumuro_decoder

        with self._parse_lock():
            path = self.target / PARTIAL_PARSE_FILE_NAME
            if self._cached_fingerprint() != self._fingerprint() or self._cached_parse() != _identity(path):
                return None
            try:
                found = Manifest.from_msgpack(path.read_bytes(), decoder=extended_mashumuro_decoder)
            except Exception:  # a file cut short, or of another dbt: parse
                return None
            os.utime(self.target / _FINGERPRINT)  # in use
        found.build_flat_graph()
        return found

    def _parse_lock(self) -> FileLock:
        """Held by who parses or reads a parse; who holds it may take it again."""
        self.target.mkdir(parents=True, exist_ok=True)
        return FileLock(self.target / "parse.lock", is_singleton=True)

    def build(
        self,
        unique_ids: Sequence[str],
        *,
        as_of: date,
        run_id: str,
        on_event: Callable[[Event], None] = lambda event: None,
    ) -> BuildResult:
        """Run `dbt build` for the nodes named, nothing more and nothing less; unit tests are no part of a refresh.

        The nodes are marked with a tag in the manifest in memory: naming each to dbt's selector takes time by nodes
        times nodes, 8 s for 450 of them.

        Args:
            unique_ids: models, seeds, snapshots and tests; the tests of a model must be named too.
            as_of: the day every model is a function of.
            run_id: what the marts call this run.
            on_event: called with each structured event while dbt runs.

        Raises:
            BuildFailed: dbt itself could not start or stopped with an exception.
        """
        from dbt.cli.main import dbtRunner
        from dbt_common.events.functions import msg_to_dict

        result = BuildResult()

        def listen(message: Any) -> None:  # noqa: ANN401
            if message.info.name in _RESULT_EVENTS:
                event = msg_to_dict(message)
                result.events.append(event)
                on_event(event)

        arguments = [
            *self._global_arguments(),
            "build",
            *self._project_arguments(),
            "--indirect-selection",
            "empty",
            "--exclude-resource-type",
            "unit_test",
            "--select",
            f"tag:{CHOSEN}",
        ]
        dbt_speed.install()
        with (
            environment(self._run_environment(as_of, run_id)),
            _tagged(self.parsed, unique_ids),
            dbt_speed.templates_in(self.target),
        ):
            try:
                outcome = dbtRunner(manifest=self.parsed, callbacks=[listen]).invoke(arguments)
            finally:
                _close_warehouse()
        if outcome.exception is not None:
            raise BuildFailed(_first_lines(str(outcome.exception)))
        result.failures.extend(self._failures(outcome.result))
        return result

    def _failures(self, execution: Any) -> Iterator[Failure]:  # noqa: ANN401  dbt's RunExecutionResult
        for result in getattr(execution, "results", []):
            if str(result.status) not in FAILED:
                continue
            node = result.node
            message = _first_lines(str(result.message or result.status))
            if str(node.resource_type) != "test":
                yield Failure(node.unique_id, False, f"{node.resource_type} {node.name}: {message}")
                continue
            name = node.name
            attached = getattr(node, "attached_node", None) or next(iter(node.depends_on.nodes), "")
            if str(result.status) == "fail" and _has_nulls(node):
                rows = self.engine.rows(self.home.warehouse, str(node.compiled_code))
                message = ", ".join(f"{column} has no value in {nulls:,} rows" for column, nulls in rows) or message
                name = "never_null"
            model = str(attached).rsplit(".", 1)[-1]
            yield Failure(node.unique_id, True, f"check {name} on {model}: {message}")

    def compile_inline(self, sql: str, as_of: date, where: str) -> tuple[str, list[str]]:
        """Compile SQL that is no file of the project, as of a day; returns it with the unique ids it reads.

        Raises:
            UnusableInput: dbt can't; the message begins with `where`.
        """
        from dbt.cli.main import dbtRunner

        arguments = [*self._global_arguments(), "compile", *self._project_arguments(), "--inline", sql]
        with environment(self._run_environment(as_of, "inline")):
            try:
                outcome = dbtRunner(manifest=self.parsed).invoke(arguments)
            finally:
                _close_warehouse()
        if outcome.exception is not None or not outcome.success:
            raise UnusableInput(f"{where}: {_first_lines(str(outcome.exception or 'dbt could not compile it'))}")
        result: Any = outcome.result
        node = result.results[0].node
        return str(node.compiled_code), [str(parent) for parent in node.depends_on.nodes]

    @cached_property
    def hashes(self) -> Mapping[str, str]:
        """What tells SQL that the policy or the code is another than in the last run."""
        return {
            "RITORNO_POLICY_HASH": incremental.policy_hash(load_policy(overrides=self.overrides).values),
            "RITORNO_CODE_HASH": incremental.code_hash(self.manifest()),
        }

    def _run_environment(self, as_of: date, run_id: str) -> dict[str, str]:
        return {
            **self.engine.environment,
            "RITORNO_HOME": str(self.home.root),
            "RITORNO_AS_OF": as_of.isoformat(),
            "RITORNO_RUN_ID": run_id,
            "RITORNO_KEEP_OPEN": "True",
            "RITORNO_FULL": "1" if self.full else "",
            **self.hashes,
            "DBT_TARGET_PATH": "",
        }

    def _global_arguments(self) -> list[str]:
        return ["--log-level", "none", "--log-level-file", "info", "--no-use-colors", "--no-write-json"]

    def _project_arguments(self) -> list[str]:
        overrides = ["--vars", json.dumps(self.overrides, sort_keys=True, default=str)] if self.overrides else []
        return [
            *("--project-dir", str(PROJECT_ROOT)),
            *("--profiles-dir", str(PROJECT_ROOT)),
            *("--target-path", str(self.target)),
            *("--log-path", str(self.logs)),
            *overrides,
        ]

    def _write_manifest(self) -> Any:  # noqa: ANN401
        from dbt.cli.main import dbtRunner
        from dbt.parser.manifest import PARTIAL_PARSE_FILE_NAME

        project_arguments = self._project_arguments()
        self.logs.mkdir(parents=True, exist_ok=True)
        dbt_speed.install()
        with (
            self._parse_lock(),
            environment(
                {**_PARSE_ENVIRONMENT, **self.engine.environment, "DBT_TARGET_PATH": ""}
            ),  # an argument says the same, and more
            # the same templates for every engine and all overrides; not among those of a build, which reads a fifth
            dbt_speed.templates_in(self._targets / "parsed"),
        ):
            fingerprint = self._fingerprint()
            arguments = [*self._global_arguments()[:-1], "--write-json", "parse", *project_arguments]
            outcome = dbtRunner().invoke(arguments)
            if outcome.exception is not None or not outcome.success:
                raise UnusableInput(f"the dbt project can't be parsed: {_first_lines(str(outcome.exception))}")
            parse = _identity(self.target / PARTIAL_PARSE_FILE_NAME)
            (self.target / _FINGERPRINT).write_text(f"{fingerprint}\n{parse}", encoding="utf-8")
            if self.overrides:
                _forget_overrides(self.target.parent, keep=self.target)
        return outcome.result

    def _cached_fingerprint(self) -> str:
        return self._cached().partition("\n")[0]

    def _cached_parse(self) -> str:
        """Which file of dbt's belongs to the fingerprint: somebody's plain dbt may have written another."""
        return self._cached().partition("\n")[2]

    def _cached(self) -> str:
        try:
            return (self.target / _FINGERPRINT).read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def _fingerprint(self) -> str:
        """What the parse depends on: every project file's size and time, the overrides, and who parses."""
        files = [PROJECT_ROOT / name for name in _PROJECT_FILES]
        for folder in _PROJECT_FOLDERS:
            files.extend(path for path in sorted((PROJECT_ROOT / folder).rglob("*")) if path.is_file())
        digest = hashlib.sha256(_digest(self.overrides).encode())
        digest.update(self.engine.name.encode())
        digest.update("|".join(version(name) for name in ("dbt-core", "dbt-common", "dbt-duckdb")).encode())
        for path in files:
            stat = path.stat()
            digest.update(f"{path.relative_to(PROJECT_ROOT)}|{stat.st_size}|{stat.st_mtime_ns}\n".encode())
        return digest.hexdigest()


def _digest(overrides: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(overrides, sort_keys=True, default=str).encode()).hexdigest()


def _forget_overrides(parent: Path, keep: Path) -> None:
    """Remove the parses of overridden vars that nobody has used for so long, 15 MB each."""
    for folder in parent.iterdir():
        written = folder / _FINGERPRINT
        if folder != keep and written.exists() and written.stat().st_mtime < time.time() - OVERRIDES_KEPT_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _identity(path: Path) -> str:
    """Tells a file from another that was written in its place; of no file: none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return "none"
    return f"{found.st_size} {found.st_mtime_ns}"


@lru_cache(maxsize=2)
def _read_manifest(path: Path, written_at: int) -> Manifest:
    """manifest.json as it was written then: several steps of a refresh look at it, and none changes it."""
    content: Manifest = json.loads(path.read_text(encoding="utf-8"))
    return content


CHOSEN = "ritorno_chosen"


@contextmanager
def _tagged(manifest: Any, unique_ids: Sequence[str]) -> Iterator[None]:  # noqa: ANN401  dbt's Manifest
    """Mark nodes of dbt's manifest for the length of a block."""
    nodes = [manifest.nodes[unique_id] for unique_id in unique_ids]
    for node in nodes:
        node.tags = [*node.tags, CHOSEN]
    try:
        yield
    finally:
        for node in nodes:
            node.tags = [tag for tag in node.tags if tag != CHOSEN]


def with_stage_tags(manifest: Manifest, found: Stages) -> Manifest:
    """The manifest with each node's stage among its tags, which is how dagster-dbt selects a stage and shows it."""
    nodes = dict(manifest["nodes"])
    for stage in found.dbt:
        for unique_id in (*stage.nodes, *stage.tests):
            nodes[unique_id] = {**nodes[unique_id], "tags": [*nodes[unique_id].get("tags", []), stage.name]}
    return {**manifest, "nodes": nodes}


def _close_warehouse() -> None:
    """Release the DuckDB file that dbt kept open for the stage (RITORNO_KEEP_OPEN in profiles.yml)."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    kept = DuckDBConnectionManager._ENV
    if kept is not None:
        kept.close()
    DuckDBConnectionManager.close_all_connections()


_RESULT_EVENTS = frozenset({"LogSeedResult", "LogModelResult", "LogSnapshotResult", "LogTestResult"})


def _has_nulls(node: Any) -> bool:  # noqa: ANN401  dbt's GenericTestNode
    """Whether the test is never_null, whose rows say which columns."""
    metadata = getattr(node, "test_metadata", None)
    return metadata is not None and metadata.name == "never_null"


def _first_lines(message: str, limit: int = 400) -> str:
    """The message on one line, without dbt's indentation, cut at `limit`."""
    line = " ".join(message.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"

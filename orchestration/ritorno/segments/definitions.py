"""What a segment's YAML says, `config.meta.segment`, read from dbt's manifest and refused where it can't be meant.

A segment is any model in models/segments. Its definition hash covers what decides who is in it and what becomes of
that: the model's SQL as written, the SQL of every macro of this project that it uses (and that those use), and its
meta. Of a macro that differs between engines it is DuckDB's. It does not cover the models it reads, the policy vars or
the data: those are in git and in the policy hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ritorno.engines import NAMES as ENGINES
from ritorno.errors import UnusableInput

FOLDER = "models/segments/"
REQUIRED_COLUMNS = ("customer_key", "reason")
_META = "config.meta.segment"

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Text = Annotated[str, Field(min_length=1)]
Days = Annotated[int, Field(ge=0, le=3650)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ExclusiveGroup(_Strict):
    """Segments of which a customer is in one at most: the smallest priority number wins."""

    name: Name
    priority: Annotated[int, Field(ge=1, strict=True)]


class Expect(_Strict):
    """The share of all people that the segment should have; `critical` stops the run, which is the default."""

    min_share: Share = 0.0
    max_share: Share = 1.0
    severity: Literal["critical", "warning"] = "critical"

    @model_validator(mode="after")
    def _ordered(self) -> Expect:
        if self.min_share > self.max_share:
            raise ValueError(f"min_share {self.min_share} is greater than max_share {self.max_share}: swap them")
        return self


class Experiment(_Strict):
    """An experiment on the segment's members."""

    key: Name
    salt: Text
    arms: Annotated[dict[Name, Annotated[float, Field(gt=0, le=1)]], Field(min_length=2)]
    metric: Text
    end_date: date

    @model_validator(mode="after")
    def _whole(self) -> Experiment:
        total = sum(self.arms.values())
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the shares of arms add up to {total:g}, not to 1: mend them, or add an arm `holdout`")
        return self


class SegmentMeta(_Strict):
    """`config.meta.segment`."""

    owner: Text
    purpose: Text
    exit_grace_days: Days = 0
    reentry_cooldown_days: Days = 0
    exclusive_group: ExclusiveGroup | None = None
    expect: Expect = Expect()
    experiment: Experiment | None = None


@dataclass(frozen=True)
class Segment:
    """A segment of the project.

    Attributes:
        name: the model's.
        relation: the table, as SQL.
        path: the model's file, relative to the project.
        meta: what its YAML says.
        columns: declared columns, which are all that may leave.
        definition_hash: see the module.
    """

    name: str
    schema: str
    path: str
    description: str
    meta: SegmentMeta
    columns: tuple[str, ...]
    definition_hash: str

    @property
    def relation(self) -> str:
        """The table, as SQL."""
        return f'"{self.schema}"."{self.name}"'


def segment_nodes(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The models in models/segments, by name."""
    found = [
        node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and str(node.get("original_file_path", "")).startswith(FOLDER)
    ]
    return sorted(found, key=lambda node: str(node["name"]))


def segment_names(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Their names."""
    return tuple(str(node["name"]) for node in segment_nodes(manifest))


def load_segments(manifest: Mapping[str, Any]) -> tuple[Segment, ...]:
    """The project's segments, by name.

    Raises:
        UnusableInput: one message with every problem, each naming file, field and remedy.
    """
    problems: list[str] = []
    segments: list[Segment] = []
    for node in segment_nodes(manifest):
        where = _where(node)
        problems += [f"{where}: {problem}" for problem in _model_problems(node)]
        meta = _meta(node)
        if meta is None:
            problems.append(f"{where}: {_META} is missing. Give at least owner and purpose (docs/segments.md)")
            continue
        try:
            parsed = SegmentMeta.model_validate(meta)
        except ValidationError as error:
            problems += [f"{where}: {_described(detail)}" for detail in error.errors()]
            continue
        segments.append(
            Segment(
                name=str(node["name"]),
                schema=str(node["schema"]),
                path=str(node["original_file_path"]),
                description=str(node.get("description", "")),
                meta=parsed,
                columns=tuple(node.get("columns", {})),
                definition_hash=definition_hash(manifest, node),
            )
        )
    problems += _between(segments)
    if problems:
        raise UnusableInput("segments can't be used:\n  - " + "\n  - ".join(problems))
    return tuple(segments)


def definition_hash(manifest: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    """A hash of the segment's SQL, the project's macros in it, and its meta; 16 hexadecimal digits."""
    macros = {
        macro["unique_id"]: " ".join(str(macro["macro_sql"]).split())
        for macro in _macros_of(manifest, node.get("depends_on", {}).get("macros", []))
    }
    content = {"sql": str(node.get("raw_code", "")).strip(), "macros": macros, "meta": _meta(node)}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _macros_of(manifest: Mapping[str, Any], names: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    """The macros of this project among `names`, and those that they use."""
    known = manifest.get("macros", {})
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = _told_once(waiting.pop(), known)
        macro = known.get(name)
        if macro is None or name in seen or macro.get("package_name") != "ritorno":
            continue
        seen.add(name)
        waiting += macro.get("depends_on", {}).get("macros", [])
        yield macro


def _told_once(name: str, known: Mapping[str, Any]) -> str:
    """The macro as DuckDB has it: the same definition has the same hash wherever its SQL runs."""
    package, _, own = name.rpartition(".")
    engine, _, meaning = own.partition("__")
    if not meaning or engine not in ENGINES:
        return name
    alike = (f"{package}.duckdb__{meaning}", f"{package}.default__{meaning}")
    return next((found for found in alike if found in known), name)


def _meta(node: Mapping[str, Any]) -> Any:  # noqa: ANN401  whatever the YAML says
    return node.get("config", {}).get("meta", {}).get("segment") or node.get("meta", {}).get("segment")


def _where(node: Mapping[str, Any]) -> str:
    """The file to mend: the YAML where the model has one."""
    patch = str(node.get("patch_path") or "").split("://")[-1]
    return f"{patch or node['original_file_path']}, segment {node['name']}"


def _model_problems(node: Mapping[str, Any]) -> Iterator[str]:
    columns = list(node.get("columns", {}))
    missing = [name for name in REQUIRED_COLUMNS if name not in columns]
    if missing:
        yield f"columns lacks {', '.join(missing)}. Declare every column, customer_key and reason among them"
    if not node.get("config", {}).get("contract", {}).get("enforced"):
        yield "config.contract.enforced is off. Segments promise their columns: leave it on"
    if node.get("config", {}).get("enabled") is False:
        yield "config.enabled is off. Remove the file instead"


def _described(detail: Mapping[str, Any]) -> str:
    field = ".".join([_META, *(str(part) for part in detail["loc"] if part != "[key]")])
    if detail["type"] == "extra_forbidden":
        known = ", ".join(_known_fields(detail["loc"]))
        return f"{field}: no such field. Known here: {known}"
    if detail["type"] == "missing":
        return f"{field}: missing. Add it"
    message = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    if detail["type"] == "value_error":
        return f"{field}: {message}"
    return f"{field}: found {detail['input']!r}, expected {message}"


def _known_fields(location: Sequence[Any]) -> list[str]:
    model: type[BaseModel] = SegmentMeta
    nested: dict[str, type[BaseModel]] = {"exclusive_group": ExclusiveGroup, "expect": Expect, "experiment": Experiment}
    if len(location) > 1:
        model = nested.get(str(location[0]), model)
    return list(model.model_fields)


def _between(segments: Sequence[Segment]) -> Iterator[str]:
    """What two segments may not both say."""
    places: dict[tuple[str, int], Segment] = {}
    salts: dict[str, Segment] = {}
    for segment in segments:
        group, experiment = segment.meta.exclusive_group, segment.meta.experiment
        if group is not None:
            first = places.setdefault((group.name, group.priority), segment)
            if first is not segment:
                yield (
                    f"{segment.path}: {_META}.exclusive_group.priority {group.priority} of group {group.name} is also "
                    f"that of {first.name}: nobody could say who wins. Give each its own number (1 wins over 2)"
                )
        if experiment is not None:
            other = salts.setdefault(experiment.salt, segment)
            same = other.meta.experiment
            if same is not None and same.key != experiment.key:
                yield (
                    f"{segment.path}: {_META}.experiment.salt {experiment.salt!r} is also that of {other.name}: two "
                    "experiments with one salt put the same people together. Give each its own"
                )
            if same is not None and same.key == experiment.key and same.arms != experiment.arms:
                yield (
                    f"{segment.path}: {_META}.experiment.arms of {experiment.key!r} differ from those in {other.name}: "
                    "one experiment has one set of arms"
                )

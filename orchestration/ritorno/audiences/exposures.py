"""Audiences are dbt exposures: `config.meta.audience` on an exposure that depends on one segment.

Read from manifest.json, so nothing is configured twice; every mistake is named with file, audience, field and remedy
before anything is planned.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ritorno.errors import UnusableInput

Manifest = Mapping[str, Any]
Mode = Literal["mirror", "upsert", "append", "replace_file"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_CLOCK = re.compile(r"([01]\d|2[0-4]):([0-5]\d)\Z")
_PERSONAL = frozenset({"email", "phone", "first_name", "last_name", "name", "address", "street", "birth_date"})
"""Names that no field may have: a segment holds keys only, the address is joined in while sending."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Caps(_Strict):
    """At most so many contacts in so many days, counted over all audiences."""

    contacts: Annotated[int, Field(ge=1)]
    days: Annotated[int, Field(ge=1)]


class Guards(_Strict):
    """What stops a plan. Percentages are of what the destination holds, and asked from `min_baseline` members on."""

    max_add_pct: Annotated[float, Field(gt=0, strict=False)] | None = 50.0
    max_remove_pct: Annotated[float, Field(gt=0, le=100, strict=False)] | None = 20.0
    max_size: Annotated[int, Field(ge=1)] | None = None
    allow_empty: bool = False
    min_baseline: Annotated[int, Field(ge=1)] = 100


class SendWindow(_Strict):
    """When something may leave, in the business time zone: from (inclusive) to (exclusive), on these days."""

    start: Annotated[str, Field(alias="from")] = "00:00"
    end: Annotated[str, Field(alias="to")] = "24:00"
    days: list[Weekday] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

    @field_validator("start", "end")
    @classmethod
    def _is_a_clock(cls, value: str) -> str:
        if not _CLOCK.match(value) or value > "24:00":
            raise ValueError(f'{value!r} is no time of day: write "08:00", quoted, up to "24:00"')
        return value

    @model_validator(mode="after")
    def _is_some_time(self) -> SendWindow:
        if self.start == self.end or not self.days:
            raise ValueError("it is never open: give a `from` that differs from `to`, and at least one day")
        return self

    def is_open(self, local: datetime) -> bool:
        """Whether a moment of the business time zone lies inside. A window over midnight belongs to its first day."""
        minute = f"{local:%H:%M}"
        today = WEEKDAYS[local.weekday()]
        if self.start < self.end:
            return today in self.days and self.start <= minute < self.end
        yesterday = WEEKDAYS[(local.weekday() - 1) % 7]
        return (today in self.days and minute >= self.start) or (yesterday in self.days and minute < self.end)


class AudienceMeta(_Strict):
    """`config.meta.audience` of an exposure."""

    destination: dict[str, Any]
    channel: Literal["email", "sms", "push", "social", "post"]
    purpose: Annotated[str, Field(min_length=1)]
    mode: Mode = "mirror"
    key: Literal["email", "phone", "customer_key"] = "email"
    fields: list[str] = Field(default_factory=list)
    arms: list[str] | None = None
    caps: Caps | None = None
    guards: Guards = Guards()
    reassert_days: Annotated[int, Field(ge=1)] | None = None
    send_window: SendWindow | None = None
    stale_after_hours: Annotated[float, Field(gt=0, strict=False)] = 36.0

    @field_validator("destination")
    @classmethod
    def _has_a_type(cls, value: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(value.get("type"), str):
            raise ValueError("it has no `type`: write destination: {type: files, …}")
        return value

    @field_validator("purpose")
    @classmethod
    def _is_compared_in_lower_case(cls, value: str) -> str:
        return value.strip().lower()

    @field_validator("fields")
    @classmethod
    def _hold_no_personal_data(cls, value: list[str]) -> list[str]:
        personal = sorted(_PERSONAL & {name.lower() for name in value})
        if personal:
            raise ValueError(
                f"{', '.join(personal)}: personal data is no field; the address goes along as the `key`, nothing else"
            )
        if len(set(value)) != len(value):
            raise ValueError("a field stands there twice")
        return value


@dataclass(frozen=True)
class Experiment:
    """The experiment of the audience's segment.

    Attributes:
        key: its name.
        salt: of its buckets.
        arms: its arms by share, `holdout` among them by that name.
        end_date: the last business day on which anybody is assigned.
    """

    key: str
    salt: str
    arms: Mapping[str, float]
    end_date: date | None = None

    @property
    def variants(self) -> Mapping[str, float]:
        """The arms that are no holdout, their shares made to add up to 1: who is dealt to them when it has ended."""
        shares = {arm: share for arm, share in self.arms.items() if arm != HOLDOUT}
        total = sum(shares.values())
        return {arm: share / total for arm, share in shares.items()} if total else shares


@dataclass(frozen=True)
class Audience:
    """One audience, ready to plan.

    Attributes:
        name: the exposure's name.
        file: where it is declared.
        segment: the segment model it depends on.
        meta: its configuration.
        experiment: the segment's experiment, if it has one.
        description: for people.
        owner: the exposure's owner.
    """

    name: str
    file: str
    segment: str
    meta: AudienceMeta
    experiment: Experiment | None = None
    description: str = ""
    owner: str = ""

    @property
    def address_kinds(self) -> tuple[str, ...]:
        """Which kinds of address may identify a person here, and carry the consent."""
        if self.meta.key in ("email", "phone"):
            return (self.meta.key,)
        return {"email": ("email",), "sms": ("phone",)}.get(self.meta.channel, ("email", "phone", "account"))

    @property
    def sent_arms(self) -> tuple[str, ...]:
        """The arms that are sent: those declared, else every one but the holdout."""
        if self.experiment is None:
            return ()
        wanted = self.meta.arms or [arm for arm in self.experiment.arms if arm != HOLDOUT]
        return tuple(arm for arm in wanted if arm != HOLDOUT)

    @property
    def definition_hash(self) -> str:
        """The same for equal definitions."""
        content = {
            "meta": self.meta.model_dump(mode="json", by_alias=True),
            "segment": self.segment,
            "experiment": (
                [
                    self.experiment.key,
                    self.experiment.salt,
                    dict(self.experiment.arms),
                    str(self.experiment.end_date),
                ]
                if self.experiment
                else None
            ),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


HOLDOUT = "holdout"


def audiences(manifest: Manifest) -> list[Audience]:
    """Every audience of the project, by name.

    Raises:
        UnusableInput: an exposure's `config.meta.audience` is wrong; file, audience, field and remedy are named.
    """
    found = [_audience(node, manifest) for node in manifest.get("exposures", {}).values() if "audience" in _meta(node)]
    return sorted(found, key=lambda audience: audience.name)


def find(manifest: Manifest, name: str) -> Audience:
    """The audience of this name.

    Raises:
        UnusableInput: there is none.
    """
    known = {audience.name: audience for audience in audiences(manifest)}
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known) or 'none'}"
        raise UnusableInput(f"audience {name}: no exposure with config.meta.audience has this name; {hint}")
    return known[name]


def _meta(node: Mapping[str, Any]) -> Mapping[str, Any]:
    meta: Mapping[str, Any] = node.get("config", {}).get("meta") or node.get("meta") or {}
    return meta


def _audience(node: Mapping[str, Any], manifest: Manifest) -> Audience:
    file, name = node["original_file_path"], node["name"]
    if not _NAME.match(name):
        raise UnusableInput(f"{file}: audience {name}: name: use lower case letters, digits and _")
    try:
        meta = AudienceMeta.model_validate(_meta(node)["audience"])
    except ValidationError as error:
        raise UnusableInput("; ".join(_problems(file, name, error))) from None
    segment = _segment(file, name, node, manifest)
    experiment = _experiment(file, name, segment)
    audience = Audience(
        name=name,
        file=file,
        segment=segment["name"],
        meta=meta,
        experiment=experiment,
        description=node.get("description", ""),
        owner=(node.get("owner") or {}).get("name") or (node.get("owner") or {}).get("email") or "",
    )
    _check_fields(audience, segment)
    _check_arms(audience)
    return audience


def _problems(file: str, name: str, error: ValidationError) -> list[str]:
    shown = []
    for problem in error.errors():
        field = ".".join(str(part) for part in problem["loc"]) or "audience"
        text = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            model = _model_at(problem["loc"][:-1])
            known = [info.alias or key for key, info in model.model_fields.items()]
            close = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
            text = "is no such field; " + (f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}")
        elif problem["type"] == "missing":
            text = "is missing; add it to config.meta.audience"
        shown.append(f"{file}: audience {name}: {field}: {text}")
    return shown


def _model_at(path: Sequence[int | str]) -> type[BaseModel]:
    inner: Mapping[str, type[BaseModel]] = {"caps": Caps, "guards": Guards, "send_window": SendWindow}
    return inner.get(str(path[0]), AudienceMeta) if path else AudienceMeta


def _segment(file: str, name: str, node: Mapping[str, Any], manifest: Manifest) -> Mapping[str, Any]:
    """The one segment model that the exposure depends on."""
    models = [manifest["nodes"].get(unique_id, {}) for unique_id in node["depends_on"].get("nodes", [])]
    segments = [model for model in models if model.get("original_file_path", "").startswith("models/segments/")]
    if len(segments) != 1:
        raise UnusableInput(
            f"{file}: audience {name}: depends_on: names {len(segments)} segments, it must be exactly one: "
            "depends_on: [ref('at_risk')]"
        )
    found: Mapping[str, Any] = segments[0]
    return found


def _experiment(file: str, name: str, segment: Mapping[str, Any]) -> Experiment | None:
    declared = (_meta(segment).get("segment") or {}).get("experiment")
    if not declared:
        return None
    try:
        experiment = Experiment(
            str(declared["key"]),
            str(declared["salt"]),
            {str(arm): float(share) for arm, share in declared["arms"].items()},
            date.fromisoformat(str(declared["end_date"])[:10]) if declared.get("end_date") else None,
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UnusableInput(
            f"{segment['original_file_path']}: segment {segment['name']} (audience {name} in {file}): experiment: "
            f"needs key, salt and arms with shares, and a day as end_date ({type(error).__name__}: {error})"
        ) from None
    if abs(sum(experiment.arms.values()) - 1) > 1e-9:
        raise UnusableInput(
            f"{segment['original_file_path']}: segment {segment['name']}: experiment.arms: the shares add up to "
            f"{sum(experiment.arms.values()):g}, they must add up to 1"
        )
    return experiment


def _check_fields(audience: Audience, segment: Mapping[str, Any]) -> None:
    columns = segment.get("columns", {})
    unknown = [field for field in audience.meta.fields if field not in columns]
    if unknown:
        offered = ", ".join(column for column in columns if column != "customer_key")
        raise UnusableInput(
            f"{audience.file}: audience {audience.name}: fields: {', '.join(unknown)}: no column of segment "
            f"{audience.segment}, which offers {offered or 'none'}"
        )
    personal = [
        field
        for field in audience.meta.fields
        if ((columns[field].get("config") or {}).get("meta") or columns[field].get("meta") or {}).get("pii")
    ]
    if personal:
        raise UnusableInput(
            f"{audience.file}: audience {audience.name}: fields: {', '.join(personal)}: tagged as personal data "
            f"in segment {audience.segment}; nothing personal but the key leaves"
        )


def _check_arms(audience: Audience) -> None:
    arms = audience.meta.arms
    if arms is None:
        return
    where = f"{audience.file}: audience {audience.name}: arms"
    if audience.experiment is None:
        raise UnusableInput(f"{where}: segment {audience.segment} has no experiment; leave arms out")
    unknown = [arm for arm in arms if arm not in audience.experiment.arms]
    if unknown:
        known = ", ".join(audience.experiment.arms)
        raise UnusableInput(f"{where}: {', '.join(unknown)}: no arm of {audience.experiment.key}, which has {known}")
    if HOLDOUT in arms:
        raise UnusableInput(f"{where}: the arm {HOLDOUT} is never sent; take it out")
    if not arms:
        raise UnusableInput(f"{where}: is empty: nobody would be sent; name the arms or leave arms out")

"""Values as they leave: exact, in one spelling, or refused with a reason that holds no value."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TypeVar

from ritorno.audiences.destinations.base import Member, Refusal, Value

Json = str | int | float | bool | None

ADDRESS = re.compile(r"[^\s@<>\"',;:()\[\]]+@[^\s@<>\"',;:()\[\]]+|\+?\d[\d\s().-]{5,}\d|\b[0-9a-fA-F]{32,}\b")
REASON_LENGTH = 160

Written = TypeVar("Written")


class UnsendableValue(ValueError):  # noqa: N818
    """A value that can't be written; the text says why, without the value."""


def as_json(value: Value) -> Json:
    """A value as JSON: decimals as numbers if that is exact, days and times in ISO 8601, times in UTC."""
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise UnsendableValue("is no finite number")
        number = int(value) if value == value.to_integral_value() else float(value)
        if Decimal(repr(number)) != value:
            raise UnsendableValue("has more digits than a JSON number keeps")
        return number
    if isinstance(value, float) and not math.isfinite(value):
        raise UnsendableValue("is no finite number")
    if isinstance(value, datetime):
        return as_utc(value).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        return as_text(value)
    return value


def as_text(value: str) -> str:
    """A text that every destination can hold: no half of a surrogate pair, no NUL."""
    if "\x00" in value:
        raise UnsendableValue("holds a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UnsendableValue("is no valid Unicode") from None
    return value


def as_utc(value: datetime) -> datetime:
    """An instant in UTC; without an offset it is UTC already, as everywhere in the warehouse."""
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def sendable(
    members: Iterable[Member], write: Callable[[Value], Written]
) -> tuple[list[tuple[Member, dict[str, Written]]], list[Refusal]]:
    """Members with their fields written, and those of whom one can't be."""
    good: list[tuple[Member, dict[str, Written]]] = []
    refused: list[Refusal] = []
    for member in members:
        try:
            as_text(member.member_id)
            good.append((member, written(member.fields, write)))
        except UnsendableValue as error:
            refused.append(Refusal(member.member_id, str(error)))
    return good, refused


def written(fields: Mapping[str, Value], write: Callable[[Value], Written]) -> dict[str, Written]:
    """The fields written; an error names the field."""
    result = {}
    for name, value in fields.items():
        try:
            result[name] = write(value)
        except UnsendableValue as error:
            raise UnsendableValue(f"field {name} {error}") from None
    return result


def body(payload: object) -> bytes:
    """JSON as it is signed and sent: the same bytes for the same payload."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def harmless(reason: object, members: Iterable[Member] = ()) -> str:
    """What a destination says, fit for a log: one line, short, without addresses, hashes or any value of the members.

    Platforms like to quote the address they refuse.
    """
    text = " ".join(str(reason).split())
    for secret in sorted(_values(members), key=len, reverse=True):
        text = re.sub(re.escape(secret), "…", text, flags=re.IGNORECASE)
    text = ADDRESS.sub("…", text)
    return text[: REASON_LENGTH - 1] + "…" if len(text) > REASON_LENGTH else text


def hush(*names: str) -> None:
    """Keep a library's debug lines off the logs: they hold URLs and bodies, so addresses, whatever the root's level."""
    for name in names:
        logger = logging.getLogger(name)
        if logger.level < logging.WARNING:
            logger.setLevel(logging.WARNING)


def _values(members: Iterable[Member]) -> set[str]:
    found = set()
    for member in members:
        found.add(member.member_id)
        found.update(str(value) for value in member.fields.values() if isinstance(value, str))
    return {value for value in found if len(value) > 2}

"""What a destination must do: the whole protocol, small enough to add one in an afternoon.

The engine decides who is sent, in which order, how often it is tried again and what is booked. A destination turns one
batch into one call and tells the truth about what came of it. There are four truths, and they must not be confused:

- `Answer`: the destination took the batch; members it refused are listed, all others are acknowledged.
- `RefusedBatch`: it refused the batch as a whole, for good (a 4xx). The engine halves it until the bad members are
  alone in the dead letters.
- `NotSent`: certainly nothing was applied (connection refused, 429, 503 before any work). The engine tries again.
- `Unanswered`: it may or may not have been applied (a time-out, a lost connection after the first byte, a 500). The
  engine books every member as unknown and asserts it again, so `send` must be idempotent: adding who is there, and
  removing who isn't, succeed.

No message of an exception and no reason of a refusal holds personal data: they are logged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import IntEnum
from typing import ClassVar, Protocol, Self, runtime_checkable

Value = str | int | float | bool | Decimal | date | datetime | None


class Kind(IntEnum):
    """Kinds of operation, in the order in which they leave."""

    ERASE = 0
    REMOVE = 1
    UPDATE = 2
    ADD = 3


@dataclass(frozen=True, slots=True)
class Member:
    """A person as the destination knows them.

    Attributes:
        member_id: the normalised value of the audience's `key` (an address or a customer_key): unique in the audience.
        fields: the declared fields and nothing else; empty for removals and erasures.
    """

    member_id: str
    fields: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batch:
    """Operations of one kind on distinct members.

    Attributes:
        audience: name of the audience (a list, table or file set at the destination).
        idempotency_key: the same whenever the same batch is tried again, different otherwise.
        kind: what to do with the members.
        members: at most the destination's `max_batch`.
    """

    audience: str
    idempotency_key: str
    kind: Kind
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """One member that the destination refused for good, and why (no personal data in the reason)."""

    member_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The destination's answer to a batch: who was refused. Everyone else is acknowledged."""

    refused: tuple[Refusal, ...] = ()


class SendError(Exception):
    """A batch that was not simply answered. Its text is logged: no personal data."""


class RefusedBatch(SendError):  # noqa: N818
    """Refused as a whole and for good; nothing was applied."""


class NotSent(SendError):  # noqa: N818
    """Certainly nothing was applied; worth another try, after `retry_after` seconds if the destination said so."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unanswered(SendError):  # noqa: N818
    """Nobody knows whether it was applied."""


@runtime_checkable
class Destination(Protocol):
    """A place that keeps a set of members. Made once per run by `from_settings`, closed at its end."""

    type: ClassVar[str]
    """What `config.meta.audience.destination.type` says."""
    modes: ClassVar[frozenset[str]]
    """Which of mirror, upsert, append it can do (replace_file: see FileDestination)."""
    keys: ClassVar[frozenset[str]]
    """Which of email, phone, customer_key may identify a member there."""
    max_batch: int
    """The most members it takes at once."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, object], environment: Mapping[str, str]) -> Self:
        """From the exposure's `destination` mapping; secrets come from the environment, by the names it gives.

        Raises:
            UnusableInput: a setting is missing, unknown or wrong (named, with the remedy), or a variable isn't set.
        """
        ...

    def normalise(self, key: str, value: str) -> str | None:
        """The member_id for a raw value of `key`, as this platform wants it; None: it takes no such value."""
        ...

    def send(self, batch: Batch) -> Answer:
        """Apply one batch, idempotently.

        Raises:
            RefusedBatch, NotSent, Unanswered: see the module.
        """
        ...

    def read_back(self, audience: str) -> Iterator[Member] | None:
        """Who is there now, or None where the platform can't tell. Fields as far as the platform returns them.

        A class that returns every field it was sent says `reads_fields = True`: then values are held against what was
        acknowledged too, not only who is there.
        """
        ...

    def close(self) -> None:
        """Release connections."""
        ...


@runtime_checkable
class FileDestination(Destination, Protocol):
    """A destination that can also be replaced whole (mode replace_file): parts, then manifest, then the pointer."""

    def replace(self, audience: str, run_id: str, members: Iterable[Member]) -> int:
        """Write the whole audience anew so that a reader sees the old or the new one, never half; returns its size.

        Raises:
            NotSent: the pointer still shows the old state.
            Unanswered: it may show either.
        """
        ...

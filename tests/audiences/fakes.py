"""Destinations that misbehave as told. They check, call by call, that nobody is sent who may not be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar

from ritorno.audiences.destinations.base import (
    Answer,
    Batch,
    Kind,
    Member,
    NotSent,
    Refusal,
    RefusedBatch,
    Unanswered,
)
from tests.audiences.oracle import member_id


class Broken(BaseException):
    """The engine did what it must never do; no handler of errors may swallow it."""


class Crash(BaseException):
    """The process dies here."""


@dataclass
class Fake:
    """A set of members in memory, which outlives the engine.

    Attributes:
        allowed: who may be added or updated at this moment, None: anybody.
        refused: member ids that it never takes.
        faults: share of calls that go wrong.
    """

    type: ClassVar[str] = "fake"
    modes: ClassVar[frozenset[str]] = frozenset({"mirror", "upsert", "append", "replace_file"})
    keys: ClassVar[frozenset[str]] = frozenset({"email", "customer_key"})
    reads_fields: ClassVar[bool] = True

    random: Random
    max_batch: int = 3
    faults: float = 0.0
    can_read_back: bool = False
    refused: set[str] = field(default_factory=set)
    allowed: Mapping[str, Any] | None = None
    customers: Mapping[str, str] = field(default_factory=dict)
    held: dict[str, str | None] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    entered: list[str] = field(default_factory=list)
    calls: int = 0
    last: tuple[str, int] = ("", 0)

    @classmethod
    def from_settings(cls, settings: Mapping[str, object], environment: Mapping[str, str]) -> Fake:
        return cls(Random(0))

    def normalise(self, key: str, value: str) -> str | None:
        return member_id(value) if key == "email" else value

    def send(self, batch: Batch) -> Answer:
        self._check(batch)
        fault = self._fault()
        if fault == "down":
            raise NotSent("connection refused")
        if fault == "busy":
            raise NotSent("429", retry_after=0)
        if fault == "lost":
            raise Unanswered("time-out before anything was applied")
        bad = [member.member_id for member in batch.members if member.member_id in self.refused]
        if bad and batch.kind in (Kind.ADD, Kind.UPDATE) and fault == "whole":
            raise RefusedBatch("400")
        members = [member for member in batch.members if member.member_id not in bad or batch.kind < Kind.UPDATE]
        if fault == "half":
            self._apply(batch.kind, members[: len(members) // 2])
            raise Unanswered("the connection broke half way")
        self._apply(batch.kind, members)
        if fault == "silent":
            raise Unanswered("no answer, but all applied")
        if fault == "bug":
            raise KeyError("a fault of the destination's own code")
        refused = tuple(Refusal(one, "no such mailbox") for one in bad) if batch.kind >= Kind.UPDATE else ()
        return Answer(refused)

    def replace(self, audience: str, run_id: str, members: Iterable[Member]) -> int:
        new = {member.member_id: _field(member) for member in members}
        if self.allowed is not None:
            strangers = {one for one in new if one not in self.allowed and one not in self.held}
            if strangers:
                raise Broken(f"{len(strangers)} members in the file who may not be sent")
        fault = self._fault()
        if fault in ("down", "busy", "whole"):
            raise NotSent("disk full", retry_after=0 if fault == "busy" else None)
        if fault == "lost":
            raise Unanswered("the pointer may show either")
        self.held = new
        if fault in ("silent", "half", "bug"):
            raise Unanswered("the pointer may show either")
        return len(new)

    def read_back(self, audience: str) -> Iterator[Member] | None:
        return (Member(one, {"tier": tier}) for one, tier in self.held.items()) if self.can_read_back else None

    def close(self) -> None:
        pass

    def _fault(self) -> str:
        self.calls += 1
        if self.random.random() >= self.faults:
            return ""
        return self.random.choice(["down", "busy", "lost", "whole", "half", "silent", "bug"])

    def _check(self, batch: Batch) -> None:
        ids = [member.member_id for member in batch.members]
        if not ids or len(ids) > self.max_batch or len(set(ids)) != len(ids):
            raise Broken("a batch is empty, too large, or holds a member twice")
        people = [self.customers.get(one, one) for one in ids]
        if len(set(people)) != len(people):
            raise Broken("two operations of one person are open at once")
        run = batch.idempotency_key.rsplit("-", 1)[0]
        if run == self.last[0] and batch.kind < self.last[1]:
            raise Broken("erase, remove, update, add: the order is broken")
        self.last = (run, batch.kind)
        if self.allowed is not None and batch.kind in (Kind.ADD, Kind.UPDATE):
            strangers = [one for one in ids if one not in self.allowed]
            if strangers:
                raise Broken(f"{len(strangers)} members were sent who may not be")

    def _apply(self, kind: Kind, members: Iterable[Member]) -> None:
        for member in members:
            if kind in (Kind.ERASE, Kind.REMOVE):
                self.held.pop(member.member_id, None)
                continue
            if member.member_id not in self.held:
                self.entered.append(member.member_id)
            self.held[member.member_id] = _field(member)


def _field(member: Member) -> str | None:
    value = member.fields.get("tier")
    return None if value is None else str(value)

"""What the adapters of marketing platforms share. Tested on format and limits only: see docs/destinations.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, ClassVar, TypeVar

from ritorno.audiences.destinations.base import Batch, Member, NotSent, Refusal
from ritorno.audiences.destinations.http import Http, after_first_call
from ritorno.audiences.destinations.normalise import SHA256
from ritorno.audiences.destinations.values import Json, as_json, body, sendable

Entry = TypeVar("Entry")


class Platform:
    """One connection; nothing to read back unless an adapter can."""

    modes: ClassVar[frozenset[str]] = frozenset({"mirror", "upsert", "append"})
    takes_fields: ClassVar[frozenset[str] | None] = None
    """Which declared fields it takes; None: any."""

    def __init__(self, http: Http, max_batch: int) -> None:
        self.max_batch = max_batch
        self._http = http

    def read_back(self, audience: str) -> Iterator[Member] | None:
        """The platform's API doesn't list members."""
        return None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _written(self, batch: Batch) -> tuple[list[tuple[Member, dict[str, Json]]], list[Refusal]]:
        unknown = set().union(*(member.fields for member in batch.members)) - (self.takes_fields or set())
        if self.takes_fields is not None and unknown:
            taken = ", ".join(sorted(self.takes_fields)) or "none"
            raise NotSent(f"it takes no field {', '.join(sorted(unknown))}: declare only {taken}")
        return sendable(batch.members, as_json)

    @staticmethod
    def _each(chunks: Iterable[Entry], call: Callable[[Entry], Any]) -> list[Any]:
        """Calls one after the other; once the first was applied, a failure leaves the batch unanswered."""
        results = []
        for place, chunk in enumerate(chunks):
            with after_first_call() if place else nullcontext():
                results.append(call(chunk))
        return results


def chunked(entries: Sequence[Entry], most: int, most_bytes: int | None = None) -> Iterator[list[Entry]]:
    """Entries in lists of at most `most`, each of at most `most_bytes` as JSON (a single larger one goes alone)."""
    chunk: list[Entry] = []
    size = 0
    for entry in entries:
        weight = len(body(entry)) + 1 if most_bytes is not None else 0
        if chunk and (len(chunk) == most or (most_bytes is not None and size + weight > most_bytes)):
            yield chunk
            chunk, size = [], 0
        chunk.append(entry)
        size += weight
    if chunk:
        yield chunk


def too_large(
    good: Iterable[tuple[Member, dict[str, Json]]], most_bytes: int
) -> tuple[list[tuple[Member, dict[str, Json]]], list[Refusal]]:
    """Members whose fields a platform takes, and those with more bytes than it takes of one person."""
    fits, refused = [], []
    for member, fields in good:
        if len(body(fields)) > most_bytes:
            refused.append(Refusal(member.member_id, f"its fields are larger than {most_bytes} bytes"))
        else:
            fits.append((member, fields))
    return fits, refused


def hashed_id(kind: str, digest: str | None) -> str | None:
    """A member id that says what was hashed: a digest alone doesn't show it."""
    return f"{kind}:{digest}" if digest is not None else None


def by_kind(
    members: Iterable[tuple[Member, Mapping[str, Json]]], kinds: Iterable[str]
) -> tuple[list[tuple[str, str, Mapping[str, Json]]], list[Refusal]]:
    """(kind, digest, fields) of members; whoever isn't hashed is refused, so that no address leaves in clear."""
    found, refused = [], []
    for member, fields in members:
        kind, _, digest = member.member_id.partition(":")
        if kind in kinds and SHA256.match(digest):
            found.append((kind, digest, fields))
        else:
            refused.append(Refusal(member.member_id, "is no SHA-256 made by this destination's normaliser"))
    return found, refused

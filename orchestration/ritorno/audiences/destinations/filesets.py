"""An audience as a set of files that a reader never sees half: parts, then a manifest, then one pointer.

    <audience>/parts/<version>-<n>.<format>   never changed once written
    <audience>/manifests/<version>.json       which parts make up a version: rows, bytes, SHA-256; column types
    <audience>/current.json                   the pointer: the manifest's name and hash; replaced in one step

A reader opens `current.json`, then that manifest, then its parts: all of one version, whatever is written meanwhile.
The same code keeps files, S3 and SFTP; they differ in their `Store`.

A batch of an incremental mode makes a new version: parts it doesn't touch are carried over by name, touched and small
ones are written anew. Nothing changed, nothing written: a batch may be sent twice. Earlier versions stay for readers
in mid-read (`keep_versions`), except after an erasure: then every file that might hold the person goes at once.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar, Protocol

from ritorno.audiences.destinations.base import Answer, Batch, Kind, Member, NotSent, Refusal, SendError, Unanswered
from ritorno.audiences.destinations.columns import FORMATS, KEY, TYPES, UNKNOWN, Columns
from ritorno.audiences.destinations.normalise import plain
from ritorno.audiences.destinations.settings import SAFE_NAME, Settings
from ritorno.audiences.destinations.values import UnsendableValue

POINTER = "current.json"
SMALL = 4
"""A part with fewer than 1/4 of the rows a part may have is merged with others when a version is written."""

HALF_WRITTEN = re.compile(r"/\.[^/]+\.[0-9a-f]{32}\Z")
"""What a writer that was killed leaves: a store writes beside the name, then renames."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pointer:
    """What the pointer says, and the store's token of that state (for a conditional put)."""

    data: bytes
    token: str


class Store(Protocol):
    """A place for files. Names are relative, with `/`. Failures are `NotSent` unless said otherwise."""

    def read(self, name: str) -> bytes | None:
        """A file's content, None if there is none."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """A new file, durable and whole when this returns."""
        ...

    def pointer(self, name: str) -> Pointer | None:
        """The pointer, None if there is none."""
        ...

    def swap(self, name: str, data: bytes, expected: Pointer | None) -> None:
        """Replace the pointer in one step, unless somebody else did since `expected` (NotSent then).

        Raises:
            Unanswered: it may or may not have been replaced.
        """
        ...

    def names(self, folder: str) -> list[str]:
        """Files below a folder, with the folder."""
        ...

    def delete(self, names: Iterable[str]) -> None:
        """Delete files with all their versions; missing ones are fine."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...


@dataclass(frozen=True)
class Layout:
    """How an audience is cut into files."""

    form: str
    part_rows: int
    keep_versions: int
    columns: Mapping[str, str]

    @classmethod
    def from_settings(cls, read: Settings) -> Layout:
        """Settings: format (csv, jsonl, parquet), part_rows, keep_versions, columns (field: type)."""
        columns = read.mapping("columns")
        for name, column in columns.items():
            if column not in TYPES:
                raise read.wrong("columns", f"gives {name} the type {column!r}: give one of {', '.join(TYPES)}")
        return cls(
            read.choice("format", FORMATS),
            read.integer("part_rows", 50_000, most=1_000_000),
            read.integer("keep_versions", 3, most=1_000),
            columns,
        )


@dataclass(frozen=True)
class Version:
    """A manifest that was written, with the pointer that shows it (None: nothing was ever written)."""

    manifest: Mapping[str, Any]
    pointer: Pointer | None

    @property
    def sequence(self) -> int:
        """Counts versions."""
        return int(self.manifest.get("sequence", 0))

    @property
    def parts(self) -> list[dict[str, Any]]:
        """The parts' entries."""
        return list(self.manifest.get("parts", []))

    @property
    def types(self) -> dict[str, str]:
        """The columns' types."""
        return dict(self.manifest.get("columns", {}))


class FileSet:
    """The destination behind files, S3 and SFTP: everything but where the bytes go."""

    type: ClassVar[str] = "fileset"
    modes: ClassVar[frozenset[str]] = frozenset({"mirror", "upsert", "append", "replace_file"})
    keys: ClassVar[frozenset[str]] = frozenset({"email", "phone", "customer_key"})
    reads_fields: ClassVar[bool] = True

    def __init__(self, store: Store, layout: Layout, max_batch: int) -> None:
        self.max_batch = max_batch
        self._store = store
        self._layout = layout

    def normalise(self, key: str, value: str) -> str | None:
        """Plain addresses and keys."""
        return plain(key, value)

    def close(self) -> None:
        """Release connections."""
        self._store.close()

    def send(self, batch: Batch) -> Answer:
        """A new version with the batch applied; none if it changes nothing."""
        current = self._current(batch.audience)
        gone = batch.kind in (Kind.REMOVE, Kind.ERASE)
        columns = self._columns(batch.audience, () if gone else batch.members, current)
        wanted: dict[str, Member | None] = {}
        refused: list[Refusal] = []
        for member in batch.members:
            try:
                wanted[member.member_id] = None if gone else columns.row(member)
            except UnsendableValue as error:
                refused.append(Refusal(member.member_id, str(error)))
        if self._apply(batch, current, columns, wanted) or batch.kind is Kind.ERASE:
            self._clean(batch.audience, 1 if batch.kind is Kind.ERASE else self._layout.keep_versions, batch.kind)
        return Answer(tuple(refused))

    def replace(self, audience: str, run_id: str, members: Iterable[Member]) -> int:
        """A new version with exactly these members. Earlier versions but `keep_versions` - 1 go."""
        current = self._current(audience)
        writer = _Writer(self._store, self._layout, audience, current.sequence + 1, run_id)
        stream = iter(members)
        columns: Columns | None = None
        while rows := list(islice(stream, self._layout.part_rows)):
            columns = columns or self._named(audience, Columns.of(rows, self._layout.columns))
            try:
                writer.part([columns.row(row) for row in rows], columns)
            except UnsendableValue as error:
                raise NotSent(f"audience {audience}: {error}; declare its type in the destination's columns") from None
            unknown = set().union(*(row.fields for row in rows)) - set(columns.types)
            if unknown:
                raise NotSent(f"audience {audience}: {', '.join(sorted(unknown))} came late: declare it in columns")
        columns = columns or Columns(dict(self._layout.columns))
        writer.publish(columns, current.pointer)
        self._clean(audience, self._layout.keep_versions, Kind.UPDATE)
        return writer.rows

    def read_back(self, audience: str) -> Iterator[Member] | None:
        """Everybody in the current version, part by part, each part's hash compared with the manifest."""
        return self._rows(audience, self._current(audience))

    def _columns(self, audience: str, members: Iterable[Member], current: Version) -> Columns:
        for name, declared in self._layout.columns.items():
            if current.types.get(name, UNKNOWN) not in (UNKNOWN, declared):
                raise NotSent(
                    f"audience {audience} keeps {name} as {current.types[name]}, columns says {declared}: "
                    "use another folder, or replace the audience once"
                )
        known = {name: kind for name, kind in current.types.items() if name not in self._layout.columns}
        return self._named(audience, Columns.of(members, {**self._layout.columns, **known}))

    @staticmethod
    def _named(audience: str, columns: Columns) -> Columns:
        if KEY in columns.types:
            raise NotSent(f"audience {audience} has a field {KEY}, the name of the key's column: rename the field")
        return columns

    def _apply(self, batch: Batch, current: Version, columns: Columns, wanted: dict[str, Member | None]) -> bool:
        """Write a version with the wanted rows (None: gone); whether there was anything to write."""
        kept: list[dict[str, Any]] = []
        rows: list[Member] = []
        small: list[list[Member]] = []
        retyped = bool(current.parts) and dict(columns.types) != current.types
        changed = retyped
        writer = _Writer(self._store, self._layout, batch.audience, current.sequence + 1, batch.idempotency_key)
        left = dict(wanted)
        before = Columns(current.types)
        for part in current.parts:
            found = self._part(batch.audience, part, before, current)
            touched = False
            result = []
            for member in found:
                if member.member_id not in wanted:
                    result.append(member)
                    continue
                replacement = left.pop(member.member_id, None)
                touched = touched or replacement != member
                if replacement is not None:
                    result.append(replacement)
            if touched or retyped:
                changed = True
                rows += result
            elif len(found) * SMALL < self._layout.part_rows:
                small.append(found)
            else:
                kept.append(part)
            # Full parts leave at once: memory holds the batch and a few parts, not the audience.
            rows = writer.full_parts(rows, columns)
        rows += [member for member in left.values() if member is not None]
        if not changed and not rows:
            return False
        for found in small:
            rows = writer.full_parts(rows + found, columns)
        rows = writer.full_parts(rows, columns)
        if rows:
            writer.part(rows, columns)
        writer.keep(kept)
        writer.publish(columns, current.pointer)
        return True

    def _current(self, audience: str) -> Version:
        if not SAFE_NAME.match(audience):
            raise NotSent("an audience's name becomes a folder: use letters, digits, _, - and . only")
        pointer = self._store.pointer(f"{audience}/{POINTER}")
        if pointer is None:
            return Version({}, None)
        shown = json.loads(pointer.data)
        data = self._store.read(f"{audience}/{shown['manifest']}")
        if data is None or hashlib.sha256(data).hexdigest() != shown["sha256"]:
            raise NotSent(f"audience {audience}: {shown['manifest']} isn't what {POINTER} says: restore it")
        manifest = json.loads(data)
        if manifest["format"] != self._layout.form:
            raise NotSent(
                f"audience {audience} is kept as {manifest['format']}, not {self._layout.form}: use another folder"
            )
        return Version(manifest, pointer)

    def _rows(self, audience: str, version: Version) -> Iterator[Member]:
        columns = Columns(version.types)
        for part in version.parts:
            yield from self._part(audience, part, columns, version)

    def _part(self, audience: str, part: Mapping[str, Any], columns: Columns, version: Version) -> list[Member]:
        data = self._store.read(f"{audience}/{part['file']}")
        if data is None or hashlib.sha256(data).hexdigest() != part["sha256"]:
            raise NotSent(f"audience {audience}: {part['file']} isn't what the manifest says: restore it")
        return columns.decode(data, self._layout.form)

    def _clean(self, audience: str, keep: int, kind: Kind) -> None:
        """Delete what no kept version needs. The new state stands already, so only an erasure may fail here."""
        try:
            current = self._current(audience)
            listed = sorted(self._store.names(f"{audience}/manifests"))
            leftovers = [name for name in listed + self._store.names(audience) if HALF_WRITTEN.search(name)]
            manifests = [name for name in listed if name not in leftovers]
            stale = [name for name in manifests if _sequence(name) <= current.sequence - keep]
            # Leftovers of a writer that was killed carry a sequence that some other version took, or will.
            shown = json.loads(current.pointer.data)["manifest"] if current.pointer else ""
            stale += [
                name
                for name in manifests
                if _sequence(name) >= current.sequence and name != f"{audience}/{shown}" and name not in stale
            ]
            needed: set[str] = set()
            for name in manifests:
                if name not in stale:
                    data = self._store.read(name)
                    needed |= {f"{audience}/{part['file']}" for part in json.loads(data or b"{}").get("parts", [])}
            unneeded = [name for name in self._store.names(f"{audience}/parts") if name not in needed]
            self._store.delete([*stale, *unneeded, *leftovers])
        except SendError as error:
            if kind is Kind.ERASE:
                raise Unanswered(f"audience {audience}: earlier versions could not be deleted ({error})") from None
            log.warning("audience %s: earlier versions are still there (%s)", audience, error)


class _Writer:
    """Writes the parts of one version, then its manifest, then the pointer."""

    def __init__(self, store: Store, layout: Layout, audience: str, sequence: int, run: str) -> None:
        self.rows = 0
        self._store = store
        self._layout = layout
        self._audience = audience
        self._sequence = sequence
        self._run = run
        self._version = f"{sequence:010d}-{hashlib.sha256(run.encode()).hexdigest()[:8]}"
        self._parts: list[dict[str, Any]] = []
        self._written = 0

    def part(self, rows: list[Member], columns: Columns) -> None:
        """One part with these rows."""
        data = columns.encode(rows, self._layout.form)
        self._written += 1
        name = f"parts/{self._version}-{self._written:05d}.{self._layout.form}"
        self._store.write(f"{self._audience}/{name}", data)
        digest = hashlib.sha256(data).hexdigest()
        self._parts.append({"file": name, "rows": len(rows), "bytes": len(data), "sha256": digest})
        self.rows += len(rows)

    def full_parts(self, rows: list[Member], columns: Columns) -> list[Member]:
        """Write as many full parts as there are; the rows left over."""
        size = self._layout.part_rows
        while len(rows) >= size:
            self.part(rows[:size], columns)
            rows = rows[size:]
        return rows

    def keep(self, parts: list[dict[str, Any]]) -> None:
        """Carry parts of the version before over."""
        self._parts = parts + self._parts
        self.rows += sum(int(part["rows"]) for part in parts)

    def publish(self, columns: Columns, expected: Pointer | None) -> None:
        """The manifest, then the pointer."""
        manifest = {
            "audience": self._audience,
            "sequence": self._sequence,
            "run": self._run,
            "format": self._layout.form,
            "key": "member_id",
            "columns": dict(columns.types),
            "members": self.rows,
            "parts": self._parts,
        }
        data = json.dumps(manifest, indent=1).encode()
        name = f"manifests/{self._version}.json"
        self._store.write(f"{self._audience}/{name}", data)
        shown = {"manifest": name, "sha256": hashlib.sha256(data).hexdigest(), "members": self.rows}
        self._store.swap(f"{self._audience}/{POINTER}", json.dumps(shown, indent=1).encode(), expected)


def _sequence(manifest: str) -> int:
    return int(manifest.rpartition("/")[2].partition("-")[0])

"""One state for several homes: kept in PostgreSQL, locked by one home at a time.

State says what was sent to whom, who is in which arm of an experiment, when a segment was entered. Two machines with a
state each would send twice. With RITORNO_STATE_URL set, every command that may write state first locks the one that
PostgreSQL keeps, fetches it if it is newer than this home's, and at its end stores it and unlocks. In between the
state is an ordinary file of this home, written transaction by transaction, so a send that is killed goes on from its
outbox as it always does: in this home. Any other home waits and then refuses, because it can't know what has left
already; that is also why a lock never expires by itself. Terraform keeps its state in PostgreSQL in the same manner.

A home is one folder on one machine; several processes of it (a refresh, two sends) share its lock, and the last to end
stores.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import socket
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import IO

import psycopg2
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from ritorno.engines.postgres import Server
from ritorno.errors import RitornoError, UnusableInput
from ritorno.home import Home
from ritorno.state import open_file

STATE_URL = "RITORNO_STATE_URL"
"""Environment variable with the address of the PostgreSQL database that keeps the state of several homes."""
WAIT_SECONDS = 600.0
"""How long to wait for another home: longer than a refresh of some millions of orders takes."""
_PART = 8 * 2**20
_TABLES = """
create schema if not exists ritorno_state;
create table if not exists ritorno_state.kept (
    one boolean primary key default true check (one),
    version bigint not null, sha256 text, bytes bigint, stored_at timestamptz, stored_by text,
    locked_by text, lock_place text, lock_command text, locked_at timestamptz
);
create table if not exists ritorno_state.part (number integer primary key, content bytea not null);
insert into ritorno_state.kept (version) values (0) on conflict do nothing;
"""


class StateLocked(RitornoError):  # noqa: N818
    """Another home has the state and didn't give it back within the time given."""

    exit_code = 1


@dataclass(frozen=True)
class Kept:
    """What PostgreSQL keeps, and who has locked it.

    Attributes:
        version: counts what was stored; 0 is nothing yet.
        sha256: of the stored file; null for version 0.
        size: of the stored file in bytes.
        stored_at: when.
        stored_by: host and folder of the home.
        locked_by: the id of a home; null if free.
        lock_place: its host and folder.
        lock_command: what it was doing.
        locked_at: since when.
    """

    version: int
    sha256: str | None
    size: int | None
    stored_at: datetime | None
    stored_by: str | None
    locked_by: str | None
    lock_place: str | None
    lock_command: str | None
    locked_at: datetime | None

    @property
    def lock(self) -> str:
        """Who has it, in words."""
        return f"{self.lock_place} since {self.locked_at:%Y-%m-%d %H:%M:%S} UTC ({self.lock_command})"


@dataclass(frozen=True)
class Marker:
    """What a home remembers beside its state file: its id, and which version the file was when it was last unlocked."""

    home_id: str
    version: int | None = None
    sha256: str | None = None

    @classmethod
    def of(cls, home: Home) -> Marker:
        """The home's; a new one if it has none."""
        path = _marker_file(home)
        if path.exists():
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        fresh = cls(secrets.token_hex(8))
        fresh.write(home)
        return fresh

    def write(self, home: Home) -> None:
        """Keep it, whole or not at all."""
        path = _marker_file(home)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self)), encoding="utf-8")
        fresh.replace(path)


_inside: Counter[Path] = Counter()


def _say(message: str) -> None:
    print(message, file=sys.stderr)


def is_shared() -> bool:
    """Whether this process was told to keep its state in PostgreSQL."""
    return bool(os.environ.get(STATE_URL))


def home_id(home: Home) -> str | None:
    """What tells this home's runs from those of the others that share its state; null if it has its own."""
    return Marker.of(home).home_id if is_shared() else None


def require_lock(state: Path) -> None:
    """Refuse to write a shared state outside of `locked`: what one home wrote unlocked, another would not know.

    Raises:
        RitornoError: nobody in this process has locked it.
    """
    if is_shared() and not _inside[state.resolve()]:
        raise RitornoError(f"{state} is to be written without the lock that {STATE_URL} asks for: a fault of Ritorno")


@contextmanager
def locked(home: Home, *, wait_seconds: float = WAIT_SECONDS, on_wait: Callable[[str], None] = _say) -> Iterator[None]:
    """Have the shared state in this home for a block; nothing happens unless RITORNO_STATE_URL is set.

    Args:
        home: whose state file it becomes.
        wait_seconds: how long to wait for another home that has it.
        on_wait: told once when waiting begins, and if storing fails while another error is on its way.

    Raises:
        StateLocked: another home has it.
        UnusableInput: this home's own state is not of the line that PostgreSQL keeps.
        RitornoError: PostgreSQL can't be used. At the block's end: what was written stands in this home, which keeps
            the lock; its next command, or `ritorno state push`, stores it.
    """
    if not is_shared():
        yield
        return
    with _open(home, "state-inside.lock") as inside:
        with _turn(home):
            if _alone(inside):
                _fetch(home, wait_seconds, on_wait)
            fcntl.flock(inside, fcntl.LOCK_SH)
        _inside[home.state.resolve()] += 1
        try:
            yield
        except BaseException:
            try:
                _leave(home, inside)
            except RitornoError as error:  # the block's own error is what the user must read
                on_wait(str(error))
            raise
        else:
            _leave(home, inside)


def look(home: Home) -> tuple[Kept, Marker]:
    """What PostgreSQL keeps and what this home has."""
    with _kept(home) as (_, kept):
        return kept, Marker.of(home)


def push(home: Home) -> Kept:
    """Store what a command of this home wrote but could not store, and unlock.

    Raises:
        StateLocked: a command of this home is under way.
        UnusableInput: this home has no lock, so there is nothing to store.
    """
    with _open(home, "state-inside.lock") as inside, _turn(home):
        if not _alone(inside):
            raise StateLocked(f"a command is under way in {home.root}: it stores the state at its end")
        kept, marker = look(home)
        if kept.locked_by != marker.home_id:
            raise UnusableInput(
                f"this home has no lock, {kept.lock if kept.locked_by else 'nobody'} has: nothing to store"
            )
        _store(home)
    return look(home)[0]


def force_unlock(home: Home, home_id: str) -> Kept:
    """Take the lock from a home that is lost; returns whose it was.

    Raises:
        UnusableInput: that home has no lock.
    """
    with _kept(home) as (cursor, kept):
        if kept.locked_by != home_id:
            raise UnusableInput(f"{home_id} has no lock: {kept.locked_by or 'nobody'} has")
        cursor.execute("update ritorno_state.kept set locked_by = null")
    return kept


# --- the two ends of a lock


def _fetch(home: Home, wait_seconds: float, on_wait: Callable[[str], None]) -> None:
    """Lock, and make this home's file the kept one."""
    deadline = time.monotonic() + wait_seconds
    told = False
    while True:
        with _kept(home) as (cursor, kept):
            marker = Marker.of(home)
            if kept.locked_by in (None, marker.home_id):
                if kept.locked_by is None:  # else a command of this home was killed: its file is the newest there is
                    _agree(cursor, home, kept, marker)
                cursor.execute(
                    "update ritorno_state.kept set locked_by = %s, lock_place = %s, lock_command = %s, "
                    "locked_at = now()",
                    (marker.home_id, _place(home), " ".join(["ritorno", *sys.argv[1:2]])),
                )
                return
        if time.monotonic() >= deadline:
            raise StateLocked(
                f"the state is locked by {kept.lock}, nothing was done. If no command runs there any more, run "
                f"`ritorno state push` there; if that home is lost, `ritorno state force-unlock {kept.locked_by}`"
            )
        if not told:
            on_wait(f"the state is locked by {kept.lock}: waiting for it")
            told = True
        time.sleep(min(2.0, max(0.0, deadline - time.monotonic())))


def _agree(cursor: Cursor, home: Home, kept: Kept, marker: Marker) -> None:
    """Fetch the kept file if this home's is older; refuse what would lose anything of either."""
    ours = _sha256(home.state)
    if ours == kept.sha256 or kept.version == 0:
        _mark(home, marker, kept)
        return
    if ours is not None and ours != marker.sha256:
        why = (
            f"changed after version {marker.version} without {STATE_URL}, or its lock was taken away"
            if marker.version is not None
            else "this home had a state of its own"
        )
        raise UnusableInput(
            f"{home.state} holds what {STATE_URL} doesn't know ({why}), and version {kept.version} of {kept.stored_by} "
            f"is kept there: nothing was done. Move {home.state.name} away to go on with what is kept, or use a "
            "database of its own"
        )
    if marker.version is not None and marker.version > kept.version:
        raise UnusableInput(
            f"{STATE_URL} keeps version {kept.version}, this home has seen {marker.version}: was the database restored "
            f"from a backup? Nothing was done. Move {home.state.name} away to go on with the older state"
        )
    _download(cursor, home, kept)
    _mark(home, marker, kept)


def _leave(home: Home, inside: IO[str]) -> None:
    """Store and unlock, unless another process of this home is still at work."""
    with _turn(home):
        _inside[home.state.resolve()] -= 1
        if _alone(inside):
            _store(home)


def _store(home: Home) -> None:
    try:
        with _kept(home) as (cursor, kept):
            marker = Marker.of(home)
            if kept.locked_by != marker.home_id:
                now = f"{kept.lock_place} has it" if kept.locked_by else "nobody has it"
                raise StateLocked(
                    f"this home's lock of the state was taken away, {now}: what it wrote since version "
                    f"{marker.version} stands in {home.state} only"
                )
            _close_the_books(home)
            sha256 = _sha256(home.state)
            if sha256 is not None and sha256 != kept.sha256:
                kept = _upload(cursor, home, replace(kept, sha256=sha256))
            cursor.execute("update ritorno_state.kept set locked_by = null")
        _mark(home, marker, kept)
        _free_the_old()
    except StateLocked:
        raise
    except (RitornoError, psycopg2.Error) as error:
        raise RitornoError(
            f"the state could not be stored ({str(error).splitlines()[0]}). It stands in {home.state}, and this home "
            "keeps the lock: its next command stores it, or `ritorno state push`"
        ) from error


def _close_the_books(home: Home) -> None:
    """Fold the write-ahead log into the file."""
    if home.state.exists():
        with open_file(home.state) as con:
            con.execute("checkpoint")


def _upload(cursor: Cursor, home: Home, kept: Kept) -> Kept:
    cursor.execute("delete from ritorno_state.part")
    with home.state.open("rb") as file:
        for number, part in enumerate(iter(lambda: file.read(_PART), b"")):
            cursor.execute(
                "insert into ritorno_state.part values (%s, %s)", (number, psycopg2.Binary(zlib.compress(part, 1)))
            )
    cursor.execute(
        "update ritorno_state.kept set version = version + 1, sha256 = %s, bytes = %s, stored_at = now(), "
        "stored_by = %s returning version",
        (kept.sha256, home.state.stat().st_size, _place(home)),
    )
    (version,) = cursor.fetchone() or (kept.version + 1,)
    return replace(kept, version=version)


def _download(cursor: Cursor, home: Home, kept: Kept) -> None:
    log = home.state.with_name(home.state.name + ".wal")
    if log.exists():  # DuckDB would replay it onto the fetched file
        raise UnusableInput(f"{log} belonged to a state that isn't there: nothing was done. Move it away as well")
    fresh = home.state.with_suffix(".fetched")
    cursor.execute("select number from ritorno_state.part order by number")
    numbers = [number for (number,) in cursor.fetchall()]
    with fresh.open("wb") as file:
        for number in numbers:
            cursor.execute("select content from ritorno_state.part where number = %s", (number,))
            file.write(zlib.decompress(bytes((cursor.fetchone() or (b"",))[0])))
    if _sha256(fresh) != kept.sha256:
        fresh.unlink()
        raise RitornoError(f"version {kept.version} of the state came out of {STATE_URL} damaged: nothing was done")
    fresh.replace(home.state)


def _free_the_old() -> None:
    """Make PostgreSQL let the former version go: who was erased must not stand in dead rows until it feels like it."""
    with suppress(RitornoError, psycopg2.Error), _server().connect() as con:
        con.rollback()  # vacuum wants no transaction
        con.autocommit = True
        con.cursor().execute("vacuum ritorno_state.part")


def _mark(home: Home, marker: Marker, kept: Kept) -> None:
    replace(marker, version=kept.version, sha256=kept.sha256).write(home)


# --- small things


def _server() -> Server:
    try:
        return Server.from_url(os.environ[STATE_URL])
    except UnusableInput:
        raise UnusableInput(f"{STATE_URL}: want postgresql://user:password@host:5432/database") from None


@contextmanager
def _kept(home: Home) -> Iterator[tuple[Cursor, Kept]]:
    """The kept row, locked for a transaction."""
    home.ensure()
    with _server().connect() as con, con.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(hashtext('ritorno_state'))")  # two may come first at once
        cursor.execute(_TABLES)
        cursor.execute(
            "select version, sha256, bytes, stored_at, stored_by, locked_by, lock_place, lock_command, locked_at "
            "from ritorno_state.kept for update"
        )
        row = cursor.fetchone()
        assert row is not None
        yield cursor, Kept(*row)


def _marker_file(home: Home) -> Path:
    return home.root / "state.json"


def _place(home: Home) -> str:
    return f"{socket.gethostname()}:{home.root}"


def _sha256(path: Path) -> str | None:
    """Of a file and of a write-ahead log beside it; null if there is no file."""
    if not path.exists():
        return None
    log = path.with_name(path.name + ".wal")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    if log.exists():
        digest.update(log.read_bytes())
    return digest.hexdigest()


@contextmanager
def _open(home: Home, name: str) -> Iterator[IO[str]]:
    folder = home.root / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("a", encoding="utf-8") as file:
        yield file


@contextmanager
def _turn(home: Home) -> Iterator[None]:
    """One process of this home at a time comes or goes."""
    with _open(home, "state-turn.lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _alone(inside: IO[str]) -> bool:
    """Whether no other process of this home is at work with the state."""
    try:
        fcntl.flock(inside, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

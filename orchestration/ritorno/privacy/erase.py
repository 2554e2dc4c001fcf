"""`ritorno erase CUSTOMER`: freeze, take out everywhere, rewrite, search, prove.

Killed anywhere, a second run ends the same: what is to be done is written down first, each step finds what is left of
it, and the note goes last of all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from ritorno import incremental, lock, shared_state, sql
from ritorno.audiences import exposures, operate
from ritorno.audiences.explain import resolve
from ritorno.audiences.operate import Context
from ritorno.audiences.planner import key_id
from ritorno.audiences.store import FileStore, transaction
from ritorno.contract import RawTable, raw_tables
from ritorno.errors import CheckFailed, RitornoError, UnusableInput
from ritorno.home import Home
from ritorno.identity.tables import MEMORY
from ritorno.landing import csv_files, export_quarantine
from ritorno.landing.quarantine_files import RELATION as QUARANTINED
from ritorno.privacy import files, sweep, tokens
from ritorno.privacy.person import Work, collect, find_erased
from ritorno.privacy.rewrite import recognise, rewrite
from ritorno.privacy.tokens import Erased

FOLDER = "erasures"
PENDING, ERASED = "pending", "erased"


class StillThere(CheckFailed):
    """The search afterwards found the person."""


def no_stop(point: str) -> None:
    """Where a test may crash the erasure."""


@dataclass
class Proof:
    """What was done, without saying to whom: the token is random."""

    token: str
    customer_key: str
    requested_at: str = ""
    finished_at: str | None = None
    status: str = PENDING
    raw: dict[str, int] = field(default_factory=dict)
    tables: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    destinations: dict[str, dict[str, str]] = field(default_factory=dict)
    input_files: dict[str, int] = field(default_factory=dict)
    shared_addresses_kept: int = 0
    searched: dict[str, int] = field(default_factory=dict)

    @classmethod
    def path(cls, home: Home, token: str) -> Path:
        """Where it stands."""
        return home.root / FOLDER / f"{token}.json"

    @classmethod
    def read(cls, home: Home, token: str) -> Proof | None:
        """An earlier run's."""
        try:
            return cls(**json.loads(cls.path(home, token).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def write(self, home: Home) -> Path:
        """Write it, by one rename."""
        path = self.path(home, self.token)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(self.__dict__, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        fresh.replace(path)
        return path


@dataclass(frozen=True)
class ErasedRows:
    """The rewriter that landing calls: people who were erased stay so."""

    erased: Erased

    def rows(self, con: duckdb.DuckDBPyConnection, table: RawTable, where: str) -> None:
        """Rewrite rows as they land."""
        rewrite(con, table, recognise(con, table, self.erased, where), where)

    def reject(self, reject: csv_files.Reject) -> csv_files.Reject:
        """A broken row without erased people's addresses."""
        return csv_files.Reject(reject.line, reject.column, self.erased.without(reject.value) or "", reject.reason)


def rewriter(home: Home, policy: Mapping[str, Any], environment: Mapping[str, str]) -> ErasedRows | None:
    """What landing needs of a home in which people were erased; None where nobody was.

    Raises:
        UnusableInput: people were, and the key isn't there or another.
    """
    if not home.state.exists():
        return None
    with duckdb.connect(":memory:") as con, FileStore.of(home).attached(con):
        erased = tokens.read(con, operate.hmac_key(environment), str(policy["default_phone_region"]))
    return ErasedRows(erased) if erased else None


@dataclass
class Erasure:
    """One erasure under way; the home's lock is held.

    Attributes:
        checkpoint: called with a name between every two steps; tests crash there.
        skip_tables: for the test that must see the search find something.
    """

    context: Context
    key: bytes
    environment: Mapping[str, str]
    checkpoint: Callable[[str], None] = no_stop
    skip_tables: Sequence[str] = ()

    @property
    def home(self) -> Home:
        """Whose."""
        return self.context.home

    @property
    def _region(self) -> str:
        return str(self.context.policy["default_phone_region"])

    def run(self, text: str) -> Proof:
        """Erase a person, or end what an earlier run began.

        Raises:
            UnusableInput: the text means nobody or several; nothing was changed.
            StillThere: the search found the person afterwards; run it again.
        """
        work, proof = self._begin(text)
        self.checkpoint("frozen")
        self._destinations(work, proof)
        self.checkpoint("destinations")
        if work is not None:
            self._rewrite(work, proof)
            self._databases(work, proof)
            self._texts(work, proof)
            self._search(work, proof)
            self.checkpoint("searched")
        self._end(proof, work)
        return proof

    # --- steps

    def _begin(self, text: str) -> tuple[Work | None, Proof]:
        """Find the person, freeze them, and write down what is to be done, in one transaction."""
        now = self.context.clock()
        with duckdb.connect(":memory:") as con, FileStore.of(self.home).attached(con):
            made = {
                found
                for (found,) in con.execute(
                    "select key_id from state.publish.erased union select key_id from state.publish.suppression"
                ).fetchall()
            }
            if made - {key_id(self.key)}:
                raise UnusableInput(
                    "RITORNO_HMAC_KEY is not the key that earlier hashes were made with: nothing was erased. Export it"
                )
            known = find_erased(con, text, self.key, self._region)
            if known is not None:
                token, customer_key = known
                row = con.execute("select work from state.pii.erasing where token = ?", [token]).fetchone()
                proof = Proof.read(self.home, token) or Proof(token, customer_key, _at(now))
                return (Work.load(row[0]) if row else None), proof
            work = self._collect(text)
            with transaction(con):
                con.execute("insert into state.pii.erasing values (?, ?)", [work.token, work.dump()])
                con.execute(
                    "insert into state.publish.erasure select ?, ?, null where not exists "
                    "(select 1 from state.publish.erasure where customer_key = ?)",
                    [work.customer_key, now, work.customer_key],
                )
                for value_hash, kind, token in work.hashes(self.key):
                    con.execute(
                        "insert into state.publish.erased values (?, ?, ?, ?, ?, ?)",
                        [value_hash, key_id(self.key), kind, token, work.new_key, now],
                    )
                    if kind in ("email", "phone"):
                        con.execute(
                            "insert into state.publish.suppression select ?, ?, ?, ?, 'erasure' where not exists "
                            "(select 1 from state.publish.suppression where address_hash = ?)",
                            [value_hash, key_id(self.key), kind, now, value_hash],
                        )
            return work, Proof(work.token, work.new_key, _at(now), shared_addresses_kept=work.shared)

    def _collect(self, text: str) -> Work:
        if not self.home.warehouse.exists():
            raise UnusableInput(f"{self.home.root} holds no warehouse: run ritorno refresh --raw DIR first")
        with duckdb.connect(":memory:") as con:
            con.execute(f"attach {sql.text(str(self.home.warehouse))} as warehouse (read_only)")
            con.execute("use warehouse")
            customer = resolve(con, text, self._region)
            return collect(con, customer, self._region)

    def _destinations(self, work: Work | None, proof: Proof) -> None:
        """Take the person out wherever they are or may be; one destination's trouble doesn't stop the others."""
        keys = [proof.customer_key, *(work.keys if work else ())]
        for name in self._audiences(keys):
            proof.destinations[name] = self._ask(name, keys)

    def _audiences(self, keys: Sequence[str]) -> list[str]:
        with duckdb.connect(":memory:") as con, FileStore.of(self.home).attached(con):
            return [
                name
                for (name,) in con.execute(
                    "select distinct audience from state.publish.delivered "
                    "where customer_key in (select unnest(?::varchar[])) order by audience",
                    [list(keys)],
                ).fetchall()
            ]

    def _ask(self, name: str, keys: Sequence[str]) -> dict[str, str]:
        reason = ""
        try:
            audience = exposures.find(self.context.manifest, name)
            with operate.opened(self.context, audience, self.environment) as (engine, _):
                outcome = engine.erase(keys)
                reason = outcome.reason or ("refused, see publish.dead_letter" if outcome.refused else "")
        except RitornoError as error:
            reason = str(error)
        except Exception as error:  # its text may hold an address
            reason = f"unexpected {type(error).__name__}"
        if name in self._audiences(keys):
            return {"state": PENDING, "reason": reason or "no answer", "at": _at(self.context.clock())}
        return {"state": "acknowledged", "at": _at(self.context.clock())}

    def _rewrite(self, work: Work, proof: Proof) -> None:
        """Raw tables, broken rows and everything derived, in one transaction; then the quarantine's files."""
        if self.home.warehouse.exists():
            with duckdb.connect(str(self.home.warehouse), config={"temp_directory": str(self.home.tmp)}) as con:
                con.execute("set TimeZone = 'UTC'")
                sql.bound_memory(con)
                with transaction(con):
                    for table in raw_tables():
                        if table.identifier not in self.skip_tables:
                            self._rewrite_raw(con, table, work, proof)
                    counts = sweep.sweep(con, "warehouse", work, skip_schemas=("raw",), skip_tables=self.skip_tables)
                    for finished in incremental.FINISHED:  # tables that were written over are built in full by the next
                        con.execute(f"drop table if exists intermediate.{finished}")
                    for name in MEMORY:  # who is who too; and a hash of a guest's key could be guessed as the key could
                        con.execute(f"drop table if exists identity.{name}")
                _add(proof.tables, {f"warehouse.{name}": count for name, count in counts.items()})
                proof.write(self.home)
                self.checkpoint("rewritten")
                if _exists(con, QUARANTINED):
                    export_quarantine(con, self.home)
        self.checkpoint("quarantine")

    def _rewrite_raw(self, con: duckdb.DuckDBPyConnection, table: RawTable, work: Work, proof: Proof) -> None:
        by_file = rewrite(con, table, work.known())
        if by_file:
            _add(proof.raw, {table.identifier: sum(by_file.values())})
            _add(proof.input_files, {file: count for file, count in by_file.items() if file})

    def _databases(self, work: Work, proof: Proof) -> None:
        """The state's own tables, the published run, then fresh files without the old bytes."""
        pending = _pending(proof)
        with duckdb.connect(":memory:") as con, FileStore.of(self.home).attached(con):
            with transaction(con):
                counts = sweep.sweep(con, "state", work, skip_tables=("erased", "suppression", *self.skip_tables))
                _sweep_publish(con, work)
                if not pending:
                    _forget_members(con)
            _add(proof.tables, {f"state.{name}": count for name, count in counts.items()})
        self.checkpoint("state")
        _add(proof.files, files.rewrite_runs(self.home, work))
        self.checkpoint("runs")
        files.compact(self.home.warehouse)
        self.checkpoint("warehouse_compacted")

    def _texts(self, work: Work, proof: Proof) -> None:
        counts, stuck = files.clean_texts(self.home, work, self._file_destinations())
        _add(proof.files, counts)
        if stuck:
            proof.write(self.home)
            raise StillThere(f"{len(stuck)} files hold the person and can't be rewritten: {', '.join(stuck[:5])}")
        self.checkpoint("texts")

    def _file_destinations(self) -> list[Path]:
        """Folders below the home that are destinations."""
        settings = [audience.meta.destination for audience in exposures.audiences(self.context.manifest)]
        return [self.home.root / str(one.get("path", "audiences")) for one in settings if str(one["type"]) == "files"]

    def _search(self, work: Work, proof: Proof) -> None:
        """Look into every table that was rewritten; a table that was forgotten stops it here."""
        found: dict[str, int] = {}
        with duckdb.connect(":memory:") as con:
            for name, path in (("warehouse", self.home.warehouse), ("state", self.home.state)):
                if path.exists():
                    con.execute(f"attach {sql.text(str(path))} as {name} (read_only)")
                    found |= {f"{name}.{place}": count for place, count in sweep.left(con, name, work).items()}
                    con.execute(f"detach {name}")
            marts = self.home.published / "marts.duckdb"
            if marts.exists():
                con.execute(f"attach {sql.text(str(marts))} as published (read_only)")
                found |= {f"published.{place}": count for place, count in sweep.left(con, "published", work).items()}
        if found:
            proof.searched = found
            proof.write(self.home)
            places = ", ".join(f"{place} ({count})" for place, count in sorted(found.items())[:8])
            raise StillThere(f"the person is still there: {places}. Nothing is ended; report this, and run it again")
        proof.searched = {}

    def _end(self, proof: Proof, work: Work | None) -> None:
        """Forget what was to be done, and whoever is at no destination any more; compact the state, write the proof."""
        pending = _pending(proof)
        now = self.context.clock()
        with duckdb.connect(":memory:") as con, FileStore.of(self.home).attached(con), transaction(con):
            con.execute("delete from state.pii.erasing where token = ?", [proof.token])
            _forget_members(con)
            if not pending:
                con.execute(
                    "update state.publish.erasure set completed_at = ? where customer_key = ? and completed_at is null",
                    [now, proof.customer_key],
                )
        self.checkpoint("forgotten")
        files.compact(self.home.state)
        self.checkpoint("state_compacted")
        if work is not None and not pending:
            bytes_left = files.still_there(self.home, work)
            if bytes_left:
                proof.write(self.home)
                raise StillThere(f"bytes of the person are left in {', '.join(bytes_left[:5])}")
        proof.status = PENDING if pending else ERASED
        proof.finished_at = None if pending else proof.finished_at or _at(now)
        proof.write(self.home)


def erase(
    context: Context,
    text: str,
    environment: Mapping[str, str] | None = None,
    checkpoint: Callable[[str], None] = no_stop,
    skip_tables: Sequence[str] = (),
) -> Proof:
    """Erase a person from a home and its destinations.

    Raises:
        UnusableInput: no key, nobody, or several.
        StillThere: the search found something afterwards.
    """
    environment = environment if environment is not None else os.environ
    key = operate.hmac_key(environment, required=True)
    assert key is not None
    with lock.hold(context.home), shared_state.locked(context.home):
        return Erasure(context, key, environment, checkpoint, skip_tables).run(text)


def _sweep_publish(con: duckdb.DuckDBPyConnection, work: Work) -> None:
    """What was sent of a person is nobody's business any more."""
    mine = "customer_key = ?"
    for table in ("outbox", "delivered"):
        con.execute(
            f"update state.publish.{table} set fields = null, payload_hash = null where {mine} "
            "and (fields is not null or payload_hash is not null)",
            [work.new_key],
        )
    con.execute(f"delete from state.publish.dead_letter where {mine} and kind > 0", [work.new_key])


def _forget_members(con: duckdb.DuckDBPyConnection) -> None:
    """The vault holds who is or may be there, and nobody else."""
    con.execute("delete from state.pii.member where member_key not in (select member_key from state.publish.delivered)")


def _pending(proof: Proof) -> list[str]:
    return [name for name, answer in proof.destinations.items() if answer["state"] == PENDING]


def _exists(con: duckdb.DuckDBPyConnection, relation: str) -> bool:
    schema, _, table = relation.partition(".")
    found = con.execute(
        "select 1 from information_schema.tables where table_schema = ? and table_name = ?", [schema, table]
    ).fetchone()
    return found is not None


def _add(counts: dict[str, int], more: Mapping[str, int]) -> None:
    for name, count in more.items():
        counts[name] = counts.get(name, 0) + count


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"

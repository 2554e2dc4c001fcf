"""The publish state: what was decided, sent and acknowledged, in schemas `publish` and `pii` of the state store.

One set of tables, documented here and readable by others. Everything is written in transactions of milliseconds, so
that a reader of the state store never waits long, and a killed engine leaves a state that the next run understands:

- a run writes its plan (`run`, `outbox`, contacts, decisions) in one transaction before anything leaves;
- each batch is journalled before it is sent and after it was answered (`batch`, `dead_letter`);
- the journal is folded into `delivered` in one transaction at the run's end, or at the beginning of the next one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import duckdb

from ritorno import shared_state, sql
from ritorno.errors import UnusableInput
from ritorno.home import Home
from ritorno.state import WAIT_SECONDS, when_free


@dataclass(frozen=True)
class Table:
    """A table of the publish state: what a row is, and its columns with their meaning."""

    description: str
    columns: Mapping[str, tuple[str, str]]


TABLES: Mapping[str, Table] = {
    "publish.run": Table(
        "One row per plan or send of an audience.",
        {
            "run_id": ("varchar not null", "Key, sortable by time."),
            "audience": ("varchar not null", "The exposure's name."),
            "segment": ("varchar", "The segment it publishes."),
            "status": (
                "varchar not null",
                "planned (only shown), held (a guard stopped it), sending (under way, or killed), done, incomplete "
                "(something is unknown or was not sent), superseded (a held or shown plan that a newer one replaced).",
            ),
            "build_run_id": ("varchar", "The refresh whose segments were read."),
            "as_of": ("date", "The day those describe."),
            "definition_hash": ("varchar", "The audience's definition."),
            "digest": ("varchar", "Hash of everything that the plan would change, for `ritorno approve`."),
            "started_at": ("timestamp not null", "When it was planned (UTC)."),
            "finished_at": ("timestamp", "When it ended."),
            "acknowledged_at": ("timestamp", "When everything it planned was answered; null while anything is open."),
            "reason": ("varchar", "Why it was held or is incomplete; no personal data."),
            "approved": ("boolean", "Whether a person approved the plan over a guard."),
            "only_forced": ("boolean", "Whether a guard stopped all but the removals that nothing may stop."),
            "members": ("bigint", "Customers in the segment."),
            "wanted": ("bigint", "Those of them whom the destination should hold."),
            "baseline": ("bigint", "Members that the destination held or may have held before."),
            "to_add": ("bigint", "Planned additions."),
            "to_update": ("bigint", "Planned updates, re-assertions included."),
            "to_remove": ("bigint", "Planned removals."),
            "to_erase": ("bigint", "Planned erasures."),
            "acknowledged": ("bigint", "Operations that the destination acknowledged."),
            "refused": ("bigint", "Operations refused for good (dead letters)."),
            "unknown": ("bigint", "Operations without an answer, asserted again next time."),
            "not_sent": ("bigint", "Operations that certainly changed nothing, planned again next time."),
        },
    ),
    "publish.exclusion": Table(
        "One row per run, reason and detail: how many customers of the segment were left out, by first reason.",
        {
            "run_id": ("varchar not null", "The run."),
            "audience": ("varchar not null", "The audience."),
            "position": ("integer not null", "Place in the waterfall, from 1."),
            "reason": ("varchar not null", "First reason that applied."),
            "detail": ("varchar not null", "Which form of it; empty where it has one form only."),
            "customers": ("bigint not null", "How many."),
        },
    ),
    "publish.decision": Table(
        "One row per audience, customer and time in which the same was decided about them.",
        {
            "audience": ("varchar not null", "The audience."),
            "customer_key": ("varchar not null", "The customer; resolve it through customer_aliases."),
            "decision": ("varchar not null", "wanted, excluded, or left (no longer in the segment)."),
            "reason": ("varchar not null", "Why excluded; the segment's reason for wanted."),
            "detail": ("varchar not null", "Which form of the reason."),
            "valid_from": ("timestamp not null", "Since when (UTC)."),
            "valid_to": ("timestamp", "Until when; null = still."),
            "run_id": ("varchar not null", "The run that decided it first."),
        },
    ),
    "publish.assignment": Table(
        "One row per experiment and customer: the arm recorded when they were first eligible.",
        {
            "experiment": ("varchar not null", "Key of the segment's experiment."),
            "customer_key": ("varchar not null", "The customer as they were called then."),
            "bucket": ("integer not null", "Salted SHA-256 bucket, 0 to 9,999."),
            "arm": ("varchar not null", "The arm; it never changes."),
            "assigned_at": ("timestamp not null", "When (UTC)."),
            "run_id": ("varchar not null", "The run that recorded it."),
        },
    ),
    "publish.outbox": Table(
        "One row per operation of a run, written before anything leaves; gone with the first send of any audience 30 "
        "days after its run ended, unless it is still unanswered or held for approval.",
        {
            "run_id": ("varchar not null", "The run."),
            "audience": ("varchar not null", "The audience."),
            "batch": ("varchar not null", "The batch it goes with; halves of a refused batch are 7.0 and 7.1."),
            "kind": ("integer not null", "0 erase, 1 remove, 2 update, 3 add: the order in which they leave."),
            "customer_key": ("varchar not null", "The person."),
            "member_key": ("varchar not null", "The member at the destination: a random token (pii.member)."),
            "fields": ("varchar", "The declared fields as JSON."),
            "payload_hash": ("varchar", "Hash of the fields."),
            "is_forced": ("boolean not null", "Goes through any guard: withdrawn, expired, suppressed, erased."),
            "is_contact": ("boolean not null", "Counts as a contact."),
            "reason": ("varchar not null", "Why the operation."),
            "state": (
                "varchar not null",
                "planned, held, acknowledged, refused, unknown, not_sent. While a run is under way the batch knows.",
            ),
        },
    ),
    "publish.batch": Table(
        "One row per batch that began to be sent: the journal between the outbox and what was delivered.",
        {
            "run_id": ("varchar not null", "The run."),
            "audience": ("varchar not null", "The audience."),
            "batch": ("varchar not null", "Number, with a suffix for halves."),
            "idempotency_key": ("varchar not null", "Handed to the destination; the same at every try."),
            "kind": ("integer not null", "As in outbox."),
            "members": ("integer not null", "How many."),
            "state": ("varchar not null", "sending, acknowledged, refused, split, unknown, not_sent."),
            "attempts": ("integer not null", "How often it was tried."),
            "reason": ("varchar", "What went wrong last; no personal data."),
            "started_at": ("timestamp not null", "When it was journalled (UTC)."),
            "settled_at": ("timestamp", "When its outcome was known."),
        },
    ),
    "publish.delivered": Table(
        "One row per audience and member that the destination acknowledged, or may hold: the next diff is against it.",
        {
            "audience": ("varchar not null", "The audience."),
            "member_key": ("varchar not null", "The member (pii.member)."),
            "customer_key": ("varchar not null", "The person as called when it was sent."),
            "state": ("varchar not null", "present (acknowledged) or unknown (the last operation was not answered)."),
            "unknown_kind": ("integer", "Which operation was not answered."),
            "fields": ("varchar", "Fields last acknowledged (or last sent, while unknown)."),
            "payload_hash": ("varchar", "Their hash."),
            "first_sent_at": ("timestamp not null", "When they were first sent (UTC)."),
            "acknowledged_at": ("timestamp", "When the destination last acknowledged them."),
            "run_id": ("varchar not null", "The run that changed the row last."),
        },
    ),
    "publish.dead_letter": Table(
        "One row per audience, member and kind of operation that the destination refused for good; gone at the first "
        "send of any audience 30 days after it was resolved.",
        {
            "audience": ("varchar not null", "The audience."),
            "customer_key": ("varchar not null", "The person."),
            "member_key": ("varchar not null", "The member."),
            "kind": ("integer not null", "As in outbox."),
            "reason": ("varchar not null", "What the destination said; no personal data."),
            "times": ("integer not null", "How many runs it was refused in."),
            "first_at": ("timestamp not null", "First refusal (UTC)."),
            "last_at": ("timestamp not null", "Last refusal."),
            "run_id": ("varchar not null", "The last run."),
            "resolved_at": ("timestamp", "When it was acknowledged after all, or no longer wanted."),
        },
    ),
    "publish.contact_ledger": Table(
        "One row per contact: a person was handed to an audience anew. Caps count these over all audiences.",
        {
            "customer_key": ("varchar not null", "The person as called then."),
            "audience": ("varchar not null", "The audience."),
            "channel": ("varchar not null", "Its channel."),
            "contacted_at": ("timestamp not null", "When (UTC)."),
            "run_id": ("varchar not null", "The run."),
            "member_key": ("varchar not null", "The member."),
        },
    ),
    "publish.suppression": Table(
        "One row per address that is never to be written to again, as a keyed hash; it survives erasure.",
        {
            "address_hash": ("varchar not null", "HMAC-SHA-256 of kind:address under RITORNO_HMAC_KEY."),
            "key_id": ("varchar not null", "Which key made it: a hash of the key, so that another one is noticed."),
            "kind": ("varchar not null", "email or phone."),
            "suppressed_at": ("timestamp not null", "When (UTC)."),
            "reason": ("varchar", "Why, as told."),
        },
    ),
    "publish.erasure": Table(
        "One row per customer whose erasure was asked for.",
        {
            "customer_key": ("varchar not null", "The person; nobody of this key is ever sent again."),
            "requested_at": ("timestamp not null", "When (UTC)."),
            "completed_at": ("timestamp", "When every destination had acknowledged the removal."),
        },
    ),
    "publish.erased": Table(
        "One row per address and source id of an erased person, as a keyed hash: landing knows them again by it.",
        {
            "value_hash": ("varchar not null", "HMAC-SHA-256 of kind:value under RITORNO_HMAC_KEY."),
            "key_id": ("varchar not null", "Which key made it."),
            "kind": ("varchar not null", "email, phone, key (an earlier customer key), or SYSTEM/account, /contact."),
            "token": ("varchar not null", "What stands for it: the id's token, or the person's for an address."),
            "customer_key": ("varchar not null", "The person as called since the erasure."),
            "erased_at": ("timestamp not null", "When (UTC)."),
        },
    ),
    "publish.drift": Table(
        "One row per run and kind of difference between what was acknowledged and what the destination shows.",
        {
            "run_id": ("varchar not null", "The run after which it was read back."),
            "audience": ("varchar not null", "The audience."),
            "kind": (
                "varchar not null",
                "missing (acknowledged but not there), changed (there with other values than acknowledged), lingering "
                "(removed but still there), foreign (never ours), matching.",
            ),
            "members": ("bigint not null", "How many."),
            "read_at": ("timestamp not null", "When it was read back (UTC)."),
            "fields": ("varchar", "Of changed: which fields, with how many members each; no values."),
        },
    ),
    "pii.erasing": Table(
        "One row per erasure under way, so that a killed one can be ended; gone when it is.",
        {
            "token": ("varchar not null", "The person's token."),
            "work": ("varchar not null", "PERSONAL. Everything to look for, as JSON."),
        },
    ),
    "pii.member": Table(
        "One row per audience and member that is or may be there: the only place of the publish state with addresses.",
        {
            "member_key": ("varchar not null", "Random token that the other tables use."),
            "audience": ("varchar not null", "The audience."),
            "member_id": ("varchar not null", "PERSONAL. The member as the destination knows them."),
            "kind": ("varchar not null", "email, phone, or customer_key."),
            "value": ("varchar not null", "PERSONAL. The address itself, normalised as identity does it."),
            "created_at": ("timestamp not null", "When (UTC)."),
        },
    ),
}

PERSONAL = frozenset({("pii.member", "member_id"), ("pii.member", "value"), ("pii.erasing", "work")})
"""The columns of the publish state that hold personal data."""


_SECOND_VERSION = ("publish.erased", "pii.erasing")


_ADDED = frozenset({("publish.drift", "fields")})
"""Columns that a later version added."""


def _create(names: Iterable[str], without: Collection[tuple[str, str]] = ()) -> str:
    statements = ["create schema if not exists {db}.pii"]
    for name in names:
        table = TABLES[name]
        columns = ", ".join(
            f"{column} {kind}" for column, (kind, _) in table.columns.items() if (name, column) not in without
        )
        statements.append(f"create table {{db}}.{name} ({columns})")
    return ";\n".join(statements)


MIGRATIONS: tuple[tuple[int, str, str], ...] = (
    (1, "the publish state", _create((name for name in TABLES if name not in _SECOND_VERSION), without=_ADDED)),
    (2, "erasure", _create(_SECOND_VERSION)),
    (3, "drift of fields", "alter table {db}.publish.drift add column fields varchar"),
)
"""(version, name, SQL with {db} for the catalog). Never change one that was released: add another."""


class Store(Protocol):
    """Where the publish state stands; attached to a connection as `state` for moments only."""

    def attached(self, con: duckdb.DuckDBPyConnection) -> Iterator[None] | object:
        """A context manager in which `state.publish` and `state.pii` can be read and written."""
        ...


class FileStore:
    """The state store of a home."""

    def __init__(self, path: Path, wait_seconds: float = WAIT_SECONDS) -> None:
        self.path = path
        self.wait_seconds = wait_seconds

    @classmethod
    def of(cls, home: Home) -> FileStore:
        """The home's."""
        return cls(home.state)

    @contextmanager
    def attached(self, con: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Attach the file, waiting for whoever has it open just now, and let it go at the end."""
        shared_state.require_lock(self.path)
        when_free(lambda: con.execute(f"attach {sql.text(str(self.path))} as state"), self.wait_seconds)
        try:
            migrate(con)
            yield
        finally:
            con.execute("detach state")


class KeptStore:
    """A state that is attached to the connection already and stays so: for tests that run thousands of sends."""

    def __init__(self) -> None:
        self._migrated = False

    @contextmanager
    def attached(self, con: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Nothing to attach."""
        if not self._migrated:
            migrate(con)
            self._migrated = True
        yield


@contextmanager
def transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All or nothing."""
    con.execute("begin transaction")
    try:
        yield
        con.execute("commit")
    except BaseException:
        con.execute("rollback")
        raise


def migrate(con: duckdb.DuckDBPyConnection, db: str = "state") -> None:
    """Bring the schemas `publish` and `pii` of an attached store to this version.

    Raises:
        UnusableInput: the store was written by a newer Ritorno.
    """
    newest = MIGRATIONS[-1][0]
    known = con.execute(
        "select 1 from duckdb_tables() where database_name = ? and schema_name = 'publish' "
        "and table_name = 'migrations'",
        [db],
    ).fetchone()
    version = 0
    if known:
        row = con.execute(f"select max(version) from {db}.publish.migrations").fetchone()
        version = int(row[0]) if row and row[0] is not None else 0
    if version > newest:
        raise UnusableInput(
            f"the publish state is of version {version}, this Ritorno knows up to {newest}: "
            "nothing was touched. Install the Ritorno that wrote it, or a newer one"
        )
    for number, name, statements in MIGRATIONS:
        if number > version:
            with transaction(con):
                con.execute(f"create schema if not exists {db}.publish")
                con.execute(
                    f"create table if not exists {db}.publish.migrations "
                    "(version integer not null, name varchar not null, applied_at timestamp not null)"
                )
                con.execute(statements.format(db=db))
                con.execute(
                    f"insert into {db}.publish.migrations values (?, ?, ?)",
                    [number, name, datetime.now(UTC).replace(tzinfo=None)],
                )


def describe() -> str:
    """Every table and column as Markdown, for docs/audiences.md."""
    lines: list[str] = []
    for name, table in TABLES.items():
        lines += [f"### `{name}`", "", table.description, "", "| column | type | meaning |", "|---|---|---|"]
        lines += [
            f"| `{column}` | {kind.removesuffix(' not null')} | {meaning} |"
            for column, (kind, meaning) in table.columns.items()
        ]
        lines.append("")
    return "\n".join(lines)

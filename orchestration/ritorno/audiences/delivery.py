"""Carrying a plan out: journalled before and after every call, so that being killed anywhere loses no knowledge.

The engine's knowledge of a member has three states only: the destination acknowledged it, it may or may not be there
(unknown), or it isn't. A batch that was journalled and not answered is unknown, whatever ended the process.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import duckdb
import stamina

from ritorno.audiences.destinations.base import (
    Answer,
    Batch,
    Destination,
    FileDestination,
    Kind,
    Member,
    NotSent,
    Refusal,
    RefusedBatch,
    Unanswered,
    Value,
)
from ritorno.audiences.exposures import Audience
from ritorno.audiences.planner import Plan, Strategy
from ritorno.audiences.store import FileStore, KeptStore, transaction
from ritorno.errors import RitornoError

LOGGER = logging.getLogger("ritorno.audiences")
stamina.instrumentation.set_on_retry_hooks([])  # retries are logged here, by audience and batch
AnyStore = FileStore | KeptStore
ROWS_AT_ONCE = 20_000
"""Members in memory at a time."""
GIVE_UP_AFTER = 3
"""Batches in a row without an answer, after which the destination is left alone until the next run."""
OUTBOX_DAYS = 30
"""How long what was handed over, and letters that are dead no longer, are kept."""


@dataclass(frozen=True)
class Retries:
    """How often and how patiently a batch is tried.

    Attributes:
        attempts: in total.
        longest_wait: of a destination's Retry-After, in seconds; one that asks for more is left until the next run.
        timeout: seconds after which no further try begins.
    """

    attempts: int = 5
    longest_wait: float = 300.0
    timeout: float = 900.0
    wait_initial: float = 0.5
    wait_max: float = 60.0
    wait_jitter: float = 1.0


@dataclass
class Outcome:
    """How a send went, in operations."""

    acknowledged: int = 0
    refused: int = 0
    unknown: int = 0
    not_sent: int = 0
    reason: str | None = None

    @property
    def is_complete(self) -> bool:
        """Whether everything was answered."""
        return not self.unknown and not self.not_sent


def no_stop(point: str) -> None:
    """Where a test may crash the engine."""


@dataclass
class Delivery:
    """One run on its way out.

    Attributes:
        con: the scratch connection with work.ops.
        clock: the moment, in UTC without zone.
        checkpoint: called with a name between every two steps; tests crash there.
    """

    con: duckdb.DuckDBPyConnection
    store: AnyStore
    destination: Destination
    audience: Audience
    run_id: str
    clock: Callable[[], datetime]
    field_types: Mapping[str, str] = field(default_factory=dict)
    retries: Retries = field(default_factory=Retries)
    checkpoint: Callable[[str], None] = no_stop
    only_forced: bool = False
    _held_back: set[str] = field(default_factory=set)
    _silent: int = 0

    def deliver(self) -> None:
        """Send every batch of work.ops; what becomes of each is in the journal."""
        if self.audience.meta.mode == "replace_file":
            self._replace()
            return
        for batch, kind, rows in self._batches():
            if self._silent >= GIVE_UP_AFTER:
                LOGGER.warning("%s: the destination doesn't answer; the rest waits", self.audience.name)
                return
            wanted = [row for row in rows if row[3] not in self._held_back]
            if wanted and not self._send(str(batch), kind, wanted, maybe_applied=False):
                return

    # --- batches

    def _batches(self) -> Iterator[tuple[int, Kind, list[tuple[str, str, str | None, str, bool]]]]:
        """Batch number, kind and rows (member_key, member_id, fields, customer_key, has_others), in order."""
        only = "where is_forced" if self.only_forced else ""
        last = self.con.execute(f"select coalesce(max(batch_no), 0) from work.ops {only}").fetchone()
        numbers = int(last[0]) if last else 0
        step = max(1, ROWS_AT_ONCE // max(self.destination.max_batch, 1))
        for begin in range(1, numbers + 1, step):
            found: dict[int, tuple[Kind, list[tuple[str, str, str | None, str, bool]]]] = {}
            for batch, kind, *row in self.con.execute(
                "select batch_no, kind, member_key, member_id, fields, customer_key, has_others from work.ops "
                f"where batch_no between ? and ? {'and is_forced' if self.only_forced else ''} "
                "order by batch_no, member_id",
                [begin, begin + step - 1],
            ).fetchall():
                found.setdefault(batch, (Kind(kind), []))[1].append(cast("Any", tuple(row)))
            for number, (kind, rows) in sorted(found.items()):
                yield number, kind, rows

    def _send(
        self, batch: str, kind: Kind, rows: Sequence[tuple[str, str, str | None, str, bool]], maybe_applied: bool
    ) -> bool:
        """Send one batch, halving it while it is refused whole; False: the destination takes nothing more now."""
        keys = {row[1]: row for row in rows}
        message = Batch(
            audience=self.audience.name,
            idempotency_key=f"{self.run_id}-{batch}",
            kind=kind,
            members=tuple(
                Member(row[1], self._fields(row[2]) if kind in (Kind.ADD, Kind.UPDATE) else {}) for row in rows
            ),
        )
        self._journal(batch, message)
        self.checkpoint("journalled")
        attempt = _Attempt(self, batch, message, maybe_applied)
        try:
            answer = attempt.run()
        except RefusedBatch as error:
            return self._refused(batch, kind, rows, str(error), attempt.maybe_applied)
        except NotSent as error:
            self._settle(batch, "unknown" if attempt.maybe_applied else "not_sent", attempt.tries, str(error))
            self._hold_back(rows)
            LOGGER.warning("%s: batch %s was not sent: %s", self.audience.name, batch, error)
            return False
        except Unanswered as error:
            self._settle(batch, "unknown", attempt.tries, str(error))
            self._hold_back(rows)
            self._silent += 1
            return True
        self._silent = 0
        self.checkpoint("answered")
        refused = [(refusal, keys[refusal.member_id]) for refusal in answer.refused if refusal.member_id in keys]
        self._settle(batch, "acknowledged", attempt.tries, None, refused, kind, attempt.maybe_applied)
        self._hold_back([row for _, row in refused])
        self.checkpoint("settled")
        return True

    def _refused(
        self,
        batch: str,
        kind: Kind,
        rows: Sequence[tuple[str, str, str | None, str, bool]],
        reason: str,
        maybe_applied: bool,
    ) -> bool:
        """Halve a refused batch until the bad rows are alone."""
        if len(rows) == 1:
            refusal = Refusal(rows[0][1], reason)
            self._settle(batch, "acknowledged", 1, None, [(refusal, rows[0])], kind, maybe_applied)
            self._hold_back(rows)
            return True
        middle = len(rows) // 2
        halves = {f"{batch}.0": rows[:middle], f"{batch}.1": rows[middle:]}
        with self.store.attached(self.con), transaction(self.con):
            for name, half in halves.items():
                self.con.execute(
                    f"update state.publish.outbox set batch = ? where run_id = ? and audience = ? and batch = ? "
                    f"and member_key in ({', '.join('?' * len(half))})",
                    [name, self.run_id, self.audience.name, batch, *(row[0] for row in half)],
                )
                if maybe_applied:  # what a try without an answer left unknown stays so until the half is answered
                    self._begin(name, f"{self.run_id}-{name}", kind, len(half), "unknown")
            self._update_batch(batch, "split", 1, reason)
        self.checkpoint("split")
        return all(self._send(name, kind, half, maybe_applied) for name, half in halves.items())

    def _hold_back(self, rows: Sequence[tuple[str, str, str | None, str, bool]]) -> None:
        """One open operation per person: whoever's removal isn't acknowledged is not added under another address."""
        self._held_back.update(row[3] for row in rows if row[4])

    def _fields(self, text: str | None) -> dict[str, Value]:
        return decode_fields(text, self.field_types)

    # --- whole files

    def _replace(self) -> None:
        """Hand the whole audience over anew: who is wanted, or, when a guard stopped the rest, who may stay."""
        destination = cast("FileDestination", self.destination)
        batch = "1"
        message = Batch(self.audience.name, f"{self.run_id}-{batch}", Kind.UPDATE, ())
        self._journal(batch, message)
        self.checkpoint("journalled")
        attempt = _Attempt(self, batch, message, False)
        try:
            attempt.run(lambda: destination.replace(self.audience.name, self.run_id, self._whole()))
        except (NotSent, RefusedBatch) as error:
            self._settle(batch, "unknown" if attempt.maybe_applied else "not_sent", attempt.tries, str(error))
            return
        except Unanswered as error:
            self._settle(batch, "unknown", attempt.tries, str(error))
            return
        self.checkpoint("answered")
        self._settle(batch, "acknowledged", attempt.tries, None)
        self.checkpoint("settled")

    def _whole(self) -> Iterator[Member]:
        """Every member of the new file, in order of their ids, a chunk at a time."""
        if self.only_forced:
            # Those acknowledged, without those who must go; their fields as they were last acknowledged.
            rows = (
                "select k.member_id, k.fields from work.known as k left join work.ops as o "
                "on k.member_key = o.member_key and o.is_forced "
                "where o.member_key is null and (k.state = 'present' or k.unknown_kind = 2)"
            )
        else:
            rows = """
                select coalesce(k.member_id, o.member_id), coalesce(o.fields, k.fields)
                from work.known as k
                full outer join work.ops as o on k.member_key = o.member_key
                where o.kind is null or o.kind > 1
            """
        reader = self.con.cursor().execute(f"select * from ({rows}) as whole (member_id, fields) order by member_id")
        while chunk := reader.fetchmany(ROWS_AT_ONCE):
            for member_id, fields in chunk:
                yield Member(member_id, self._fields(fields))

    # --- the journal

    def _journal(self, batch: str, message: Batch) -> None:
        """Say that a batch begins, before anything leaves."""
        with self.store.attached(self.con), transaction(self.con):
            self._begin(batch, message.idempotency_key, message.kind, len(message.members), "sending")

    def _begin(self, batch: str, idempotency_key: str, kind: Kind, members: int, state: str) -> None:
        self.con.execute(
            "delete from state.publish.batch where run_id = ? and audience = ? and batch = ?",
            [self.run_id, self.audience.name, batch],
        )
        self.con.execute(
            "insert into state.publish.batch (run_id, audience, batch, idempotency_key, kind, members, state, "
            "attempts, started_at) values (?, ?, ?, ?, ?, ?, ?, 0, ?)",
            [self.run_id, self.audience.name, batch, idempotency_key, int(kind), members, state, self.clock()],
        )

    def _settle(
        self,
        batch: str,
        state: str,
        attempts: int,
        reason: str | None,
        refused: Sequence[tuple[Refusal, tuple[str, str, str | None, str, bool]]] = (),
        kind: Kind = Kind.ADD,
        maybe_applied: bool = False,
    ) -> None:
        """Say what became of a batch, with the members that were refused for good."""
        with self.store.attached(self.con), transaction(self.con):
            for refusal, row in refused:
                self._dead_letter(refusal, row, kind)
                self.con.execute(
                    "update state.publish.outbox set state = ? where run_id = ? and audience = ? and member_key = ? "
                    "and batch = ?",
                    # Refused now, but an earlier try without an answer may have been applied.
                    ["unknown" if maybe_applied else "refused", self.run_id, self.audience.name, row[0], batch],
                )
            self._update_batch(batch, state, attempts, reason)

    def _update_batch(self, batch: str, state: str, attempts: int, reason: str | None) -> None:
        self.con.execute(
            "update state.publish.batch set state = ?, attempts = ?, reason = ?, settled_at = ? "
            "where run_id = ? and audience = ? and batch = ?",
            [state, attempts, reason, self.clock(), self.run_id, self.audience.name, batch],
        )

    def note_unknown(self, batch: str, attempts: int, reason: str) -> None:
        """Book a batch as unknown before it is tried again."""
        with self.store.attached(self.con):
            self._update_batch(batch, "unknown", attempts, reason)

    def _dead_letter(self, refusal: Refusal, row: tuple[str, str, str | None, str, bool], kind: Kind) -> None:
        now = self.clock()
        known = self.con.execute(
            "update state.publish.dead_letter set times = times + 1, last_at = ?, reason = ?, run_id = ?, "
            "customer_key = ?, member_key = ? where audience = ? and customer_key = ? and kind = ? "
            "and resolved_at is null",
            [now, refusal.reason, self.run_id, row[3], row[0], self.audience.name, row[3], int(kind)],
        ).fetchone()
        if not known or not known[0]:
            self.con.execute(
                "insert into state.publish.dead_letter values (?, ?, ?, ?, ?, 1, ?, ?, ?, null)",
                [self.audience.name, row[3], row[0], int(kind), refusal.reason, now, now, self.run_id],
            )


@dataclass
class _Attempt:
    """The tries of one batch."""

    delivery: Delivery
    batch: str
    message: Batch
    maybe_applied: bool
    tries: int = 0

    def run(self, call: Callable[[], object] | None = None) -> Answer:
        """Try until it is answered, refused, or patience ends (the last error is raised)."""
        retries = self.delivery.retries
        for attempt in stamina.retry_context(
            on=self._backoff,
            attempts=retries.attempts,
            timeout=retries.timeout,
            wait_initial=retries.wait_initial,
            wait_max=retries.wait_max,
            wait_jitter=retries.wait_jitter,
        ):
            with attempt:
                self.tries += 1
                answer = self._once(call or (lambda: self.delivery.destination.send(self.message)))
        return answer

    def _once(self, call: Callable[[], object]) -> Answer:
        try:
            answer = call()
        except Unanswered as error:
            self._may_have_been_applied(str(error))
            raise
        except (RefusedBatch, NotSent):
            raise
        except RitornoError as error:
            self._may_have_been_applied(type(error).__name__)
            raise
        except Exception as error:
            # A fault of the destination's code: nobody knows how far it came. Its text may hold an address.
            self._may_have_been_applied(type(error).__name__)
            raise Unanswered(f"unexpected {type(error).__name__}") from error
        return answer if isinstance(answer, Answer) else Answer()

    def _may_have_been_applied(self, reason: str) -> None:
        if not self.maybe_applied:
            self.maybe_applied = True
            self.delivery.checkpoint("unanswered")
        self.delivery.note_unknown(self.batch, self.tries, reason)

    def _backoff(self, error: Exception) -> bool | float:
        LOGGER.info("%s: batch %s, try %d: %s", self.delivery.audience.name, self.batch, self.tries, error)
        if isinstance(error, NotSent) and error.retry_after is not None:
            return error.retry_after if error.retry_after <= self.delivery.retries.longest_wait else False
        return isinstance(error, NotSent | Unanswered)


def decode_fields(text: str | None, types: Mapping[str, str]) -> dict[str, Value]:
    """The declared fields as typed values."""
    if not text:
        return {}
    return {name: _decode(value, types.get(name, "varchar")) for name, value in json.loads(text).items()}


def _decode(value: str | None, kind: str) -> Value:
    if value is None:
        return None
    kind = kind.lower()
    if kind in ("bigint", "integer"):
        return int(value)
    if kind.startswith("decimal"):
        return Decimal(value)
    if kind == "double":
        return float(value)
    if kind == "boolean":
        return value == "true"
    if kind == "date":
        return date.fromisoformat(value)
    if kind == "timestamp":
        return datetime.fromisoformat(value)
    return value


# --- before and after


def record(
    con: duckdb.DuckDBPyConnection,
    plan: Plan,
    run_id: str,
    now: datetime,
    *,
    status: str,
    build_run_id: str | None,
    as_of: date | None,
    reason: str | None,
    approved: bool = False,
    only_forced: bool = False,
) -> None:
    """Write a plan into the state, all of it before anything leaves. The caller holds a transaction.

    A run of status `sending` also gets its outbox, contacts, decisions and recorded arms.
    """
    audience = plan.audience
    con.execute(
        "update state.publish.run set status = 'superseded' where audience = ? and status in ('held', 'planned')",
        [audience.name],
    )
    con.execute(
        "insert into state.publish.run (run_id, audience, segment, status, build_run_id, as_of, definition_hash, "
        "digest, started_at, reason, approved, only_forced, members, wanted, baseline, to_erase, to_remove, "
        "to_update, to_add) "
        "values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            run_id,
            audience.name,
            audience.segment,
            status,
            build_run_id,
            as_of,
            audience.definition_hash,
            plan.digest,
            now,
            reason,
            approved,
            only_forced,
            plan.members,
            plan.wanted,
            plan.baseline,
            *(plan.counts[kind] for kind in Kind),
        ],
    )
    if plan.exclusions:
        marks = ", ".join("(?, ?, ?, ?, ?, ?)" for _ in plan.exclusions)
        con.execute(
            f"insert into state.publish.exclusion values {marks}",
            [
                value
                for position, one in enumerate(plan.exclusions, start=1)
                for value in (run_id, audience.name, position, *one)
            ],
        )


def record_operations(
    con: duckdb.DuckDBPyConnection, plan: Plan, run_id: str, now: datetime, *, state: str, only_forced: bool
) -> None:
    """Write the outbox, and who is new at the destination; the caller holds a transaction."""
    audience = plan.audience
    only = "where is_forced" if only_forced else ""
    contact = "is_new" if state == "planned" else "false"
    # A whole file is one call.
    batch = "'1'" if audience.meta.mode == "replace_file" else "cast(batch_no as varchar)"
    con.execute(
        "insert into state.publish.outbox "
        f"select $run_id, $audience, {batch}, kind, customer_key, member_key, fields, payload_hash, is_forced, "
        f"{contact}, reason, $state from work.ops {only}",
        {"run_id": run_id, "audience": audience.name, "state": state},
    )
    if state != "planned":
        return
    new = "where is_new" + (" and is_forced" if only_forced else "")
    con.execute(
        "insert into state.pii.member select member_key, $audience, member_id, address_kind, value, $now "
        f"from work.ops {new}",
        {"audience": audience.name, "now": now},
    )
    con.execute(
        "insert into state.publish.contact_ledger select customer_key, $audience, $channel, $now, $run_id, member_key "
        f"from work.ops {new}",
        {"audience": audience.name, "channel": audience.meta.channel, "now": now, "run_id": run_id},
    )


def record_decisions(con: duckdb.DuckDBPyConnection, audience: Audience, run_id: str, now: datetime) -> None:
    """Write down newly recorded arms, and every decision that differs from the last; in the caller's transaction."""
    if audience.experiment is not None:
        con.execute(
            "insert into state.publish.assignment select $experiment, customer_key, bucket, arm, $now, $run_id "
            "from work.decided where is_new_arm and arm is not null",
            {"experiment": audience.experiment.key, "now": now, "run_id": run_id},
        )
    con.execute(
        "update state.publish.dead_letter set resolved_at = ? where audience = ? and resolved_at is null and kind > 1 "
        "and customer_key not in (select customer_key from work.decided where reason is null)",
        [now, audience.name],
    )
    # An open decision ends when it differs, or when its key is no longer the customer's.
    con.execute(
        """
        update state.publish.decision as d set valid_to = $now
        where d.audience = $audience and d.valid_to is null and not exists (
            select 1 from work.decided as n
            where
                n.customer_key = d.customer_key
                and d.decision = case when n.reason is null then 'wanted' else 'excluded' end
                and d.reason = coalesce(n.reason, n.segment_reason, '') and d.detail = n.detail
        ) and not (d.decision = 'left' and not exists (
            select 1 from work.decided as n where n.customer_key = d.customer_key
        ))
        """,
        {"audience": audience.name, "now": now},
    )
    con.execute(
        """
        insert into state.publish.decision
        select
            $audience, n.customer_key, case when n.reason is null then 'wanted' else 'excluded' end,
            coalesce(n.reason, n.segment_reason, ''), n.detail, $now, null, $run_id
        from work.decided as n
        left join state.publish.decision as d
            on d.audience = $audience and n.customer_key = d.customer_key and d.valid_to is null
        where d.customer_key is null
        union all
        select distinct $audience, d.customer_key, 'left', 'left', '', cast($now as timestamp), null, $run_id
        from state.publish.decision as d
        left join work.decided as n on n.customer_key = d.customer_key
        left join inputs.aliases as a on d.customer_key = a.alias
        where
            d.audience = $audience and d.valid_to = $now and n.customer_key is null
            and coalesce(a.customer_key, d.customer_key) = d.customer_key
        """,
        {"audience": audience.name, "now": now, "run_id": run_id},
    )


def purge(con: duckdb.DuckDBPyConnection, now: datetime) -> None:
    """Forget what was handed over OUTBOX_DAYS ago, of every audience; in the caller's transaction.

    What stays: runs under way and plans held for approval; operations without an answer, as long as their member is
    unknown; dead letters that nothing resolved. What the destination holds stands in `delivered`, not here.
    """
    con.execute(
        """
        delete from state.publish.outbox as o
        using state.publish.run as r
        where
            o.run_id = r.run_id and o.audience = r.audience
            and r.status in ('done', 'incomplete', 'superseded')
            and coalesce(r.finished_at, r.started_at) < cast($before as timestamp)
            and not (o.state = 'unknown' and exists (
                select 1 from state.publish.delivered as d
                where d.audience = o.audience and d.member_key = o.member_key and d.state = 'unknown'
            ))
        """,
        {"before": now - timedelta(days=OUTBOX_DAYS)},
    )
    con.execute(
        "delete from state.publish.dead_letter where resolved_at < cast($before as timestamp)",
        {"before": now - timedelta(days=OUTBOX_DAYS)},
    )


def fold(con: duckdb.DuckDBPyConnection, audience: str, run_id: str, now: datetime, strategy: Strategy) -> Outcome:
    """Fold a run's journal into what was delivered; the caller holds a transaction. Every run is folded once."""
    key = {"run_id": run_id, "audience": audience}
    con.execute(
        "update state.publish.batch set state = 'unknown', reason = coalesce(reason, 'the engine was stopped while it "
        "waited for the answer'), settled_at = $now where run_id = $run_id and audience = $audience "
        "and state = 'sending'",
        key | {"now": now},
    )
    booked = "'acknowledged'" if strategy.books_at_once else "coalesce(b.state, 'not_sent')"
    con.execute(
        f"""
        create or replace temp table folded as
        select
            o.member_key, o.customer_key, o.kind, o.fields, o.payload_hash, o.is_contact,
            case when o.state = 'planned' then {booked} else o.state end as state
        from state.publish.outbox as o
        left join state.publish.batch as b using (run_id, audience, batch)
        where o.run_id = $run_id and o.audience = $audience and o.state != 'held'
        """,
        key,
    )
    con.execute(
        "update state.publish.outbox as o set state = f.state from folded as f "
        "where o.run_id = $run_id and o.audience = $audience and o.member_key = f.member_key",
        key,
    )
    con.execute(
        "delete from state.publish.delivered as d using folded as f "
        "where d.audience = $audience and d.member_key = f.member_key and f.kind <= 1 and f.state = 'acknowledged'",
        {"audience": audience},
    )
    con.execute(
        """
        update state.publish.delivered as d set
            customer_key = f.customer_key,
            state = case when f.state = 'unknown' then 'unknown' else 'present' end,
            unknown_kind = case when f.state = 'unknown' then f.kind end,
            fields = case when f.kind > 1 then f.fields else d.fields end,
            payload_hash = case when f.kind > 1 then f.payload_hash else d.payload_hash end,
            acknowledged_at = case when f.state = 'unknown' then d.acknowledged_at else $now end,
            run_id = $run_id
        from folded as f
        where
            d.audience = $audience and d.member_key = f.member_key
            and (f.state = 'unknown' or (f.state = 'acknowledged' and f.kind > 1))
        """,
        {"audience": audience, "run_id": run_id, "now": now},
    )
    con.execute(
        """
        insert into state.publish.delivered
        select
            $audience, f.member_key, f.customer_key, case when f.state = 'unknown' then 'unknown' else 'present' end,
            case when f.state = 'unknown' then f.kind end, f.fields, f.payload_hash, $now,
            case when f.state = 'acknowledged' then cast($now as timestamp) end, $run_id
        from folded as f
        left join state.publish.delivered as d on d.audience = $audience and f.member_key = d.member_key
        where d.member_key is null and f.state in ('acknowledged', 'unknown') and f.kind > 1
        """,
        {"audience": audience, "run_id": run_id, "now": now},
    )
    con.execute(
        "delete from state.publish.contact_ledger as c using folded as f where c.run_id = $run_id "
        "and c.audience = $audience and c.member_key = f.member_key and f.state in ('refused', 'not_sent')",
        key,
    )
    con.execute(
        "update state.publish.dead_letter as l set resolved_at = $now from folded as f "
        "where l.audience = $audience and l.resolved_at is null and l.customer_key = f.customer_key "
        "and f.state = 'acknowledged'",
        {"audience": audience, "now": now},
    )
    # Addresses of whom the destination no longer holds, and nobody asks for, go at once.
    con.execute(
        "delete from state.pii.member as m where m.audience = $audience and not exists "
        "(select 1 from state.publish.delivered as d where d.member_key = m.member_key) and not exists "
        "(select 1 from state.publish.dead_letter as l where l.member_key = m.member_key and l.resolved_at is null)",
        {"audience": audience},
    )
    return _finish(con, audience, run_id, now)


def _finish(con: duckdb.DuckDBPyConnection, audience: str, run_id: str, now: datetime) -> Outcome:
    row = con.execute("select only_forced from state.publish.run where run_id = ?", [run_id]).fetchone()
    is_whole = not (row and row[0])
    counts = dict(con.execute("select state, count(*) from folded group by state").fetchall())
    trouble = con.execute(
        "select max(reason) from state.publish.batch where run_id = ? and audience = ? "
        "and state in ('unknown', 'not_sent')",
        [run_id, audience],
    ).fetchone()
    outcome = Outcome(
        acknowledged=counts.get("acknowledged", 0),
        refused=counts.get("refused", 0),
        unknown=counts.get("unknown", 0),
        not_sent=counts.get("not_sent", 0),
        reason=trouble[0] if trouble else None,
    )
    con.execute(
        "update state.publish.run set status = ?, finished_at = ?, acknowledged_at = ?, reason = coalesce(?, reason), "
        "acknowledged = ?, refused = ?, unknown = ?, not_sent = ? where run_id = ? and audience = ?",
        [
            "done" if outcome.is_complete else "incomplete",
            now,
            now if outcome.is_complete and is_whole else None,
            outcome.reason,
            outcome.acknowledged,
            outcome.refused,
            outcome.unknown,
            outcome.not_sent,
            run_id,
            audience,
        ],
    )
    return outcome

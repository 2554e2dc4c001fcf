"""One audience, one run: recover, plan, guard, record, deliver, fold, read back. No policy of when, no files: see
`operate` for the doors that a send must pass.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

import duckdb

from ritorno.audiences import delivery, planner
from ritorno.audiences.delivery import AnyStore, Delivery, Outcome, Retries, no_stop
from ritorno.audiences.destinations.base import Destination, Kind
from ritorno.audiences.exposures import Audience
from ritorno.audiences.planner import Plan, Strategy
from ritorno.audiences.store import transaction
from ritorno.errors import CheckFailed

LOGGER = logging.getLogger("ritorno.audiences")


class PlanChanged(CheckFailed):
    """The plan that was approved is no longer what would be sent."""


@dataclass(frozen=True)
class Build:
    """The refresh whose segments are read."""

    run_id: str | None = None
    as_of: date | None = None


@dataclass
class Report:
    """What a run did, in figures and keys only."""

    run_id: str
    status: str
    plan: Plan
    outcome: Outcome = field(default_factory=Outcome)
    drift: Mapping[str, int] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """1 when a guard stopped it, or not everything was answered."""
        return 0 if self.status in ("done", "planned") else 1


@dataclass
class Engine:
    """Runs one audience.

    Attributes:
        con: a scratch connection with the schema `inputs` filled.
        store: where the publish state stands.
        destination: where to.
        clock: the moment of sending, in UTC without zone.
        checkpoint: called between every two steps; tests crash there.
    """

    con: duckdb.DuckDBPyConnection
    store: AnyStore
    audience: Audience
    destination: Destination
    clock: Callable[[], datetime]
    build: Build = field(default_factory=Build)
    hmac_key: bytes | None = None
    field_types: Mapping[str, str] = field(default_factory=dict)
    retries: Retries = field(default_factory=Retries)
    strategy: Strategy = field(default_factory=Strategy)
    checkpoint: Callable[[str], None] = no_stop
    release: Callable[[], None] = lambda: None
    """Called when the inputs are no longer needed: lets the warehouse go before anything slow begins."""

    def plan(self) -> Report:
        """Show what a send would do; nothing leaves. The plan's digest is remembered for `approve`."""
        now = self.clock()
        with self.store.attached(self.con):
            self.recover()
            plan, run_id = self._make(now), self._run_id(now)
            with transaction(self.con):
                self._record(plan, run_id, now, "planned", "; ".join(trip.message for trip in plan.trips) or None)
        return Report(run_id, "planned", plan)

    def send(self, approved: str | None = None) -> Report:
        """Send what is to be sent.

        Args:
            approved: the digest that a person approved: guards are passed for exactly that plan.

        Raises:
            PlanChanged: the plan isn't the approved one any more; nothing was sent.
        """
        now = self.clock()
        with self.store.attached(self.con):
            self.recover()
            self.checkpoint("recovered")
            plan, run_id = self._make(now), self._run_id(now)
            if approved is not None and plan.digest != approved:
                with transaction(self.con):
                    self._record(plan, run_id, now, "planned", None)
                raise PlanChanged(
                    f"audience {self.audience.name}: plan {approved} is no longer what would be sent, nothing was. "
                    f"See ritorno plan {self.audience.name}; the plan of now is {plan.digest}"
                )
            stopped = bool(plan.trips) and approved is None
            if not stopped or plan.forced:
                self._begin(plan, run_id, now, stopped, approved is not None)
            else:
                with transaction(self.con):
                    delivery.record_decisions(self.con, self.audience, run_id, now)
        self.release()
        if stopped:
            return self._stopped(plan, run_id, now)
        self.checkpoint("recorded")
        outcome = self._deliver(run_id, only_forced=False)
        drift = self._read_back(run_id)
        return Report(run_id, "done" if outcome.is_complete else "incomplete", plan, outcome, drift)

    def erase(self, customers: Sequence[str]) -> Outcome:
        """Take people out of the destination, whatever guards, windows and doors say; nothing else leaves.

        Args:
            customers: every key they go by; the state's `erasure` names them already.
        """
        now = self.clock()
        with self.store.attached(self.con):
            self.recover()
            whole, run_id = self._make(now), self._run_id(now)
            self.con.execute(
                f"delete from work.ops where kind != {int(Kind.ERASE)} "
                "or customer_key not in (select unnest(?::varchar[]))",
                [list(customers)],
            )
            row = self.con.execute("select count(*) from work.ops").fetchone()
            count = int(row[0]) if row else 0
            counts = dict.fromkeys(Kind, 0) | {Kind.ERASE: count}
            plan = replace(whole, counts=counts, forced=count, exclusions=(), trips=())
            if count:
                with transaction(self.con):
                    self._record(plan, run_id, now, "sending", None, approved=False, only_forced=True)
                    delivery.record_operations(self.con, plan, run_id, now, state="planned", only_forced=True)
        self.release()
        return self._deliver(run_id, only_forced=True) if count else Outcome()

    # --- parts

    def _make(self, now: datetime) -> Plan:
        return planner.make_plan(
            self.con,
            self.audience,
            self.destination.normalise,
            self.destination.max_batch,
            now,
            hmac_key=self.hmac_key,
            strategy=self.strategy,
        )

    def _run_id(self, now: datetime) -> str:
        return f"{now:%Y%m%dT%H%M%S}-{self.audience.name}-{secrets.token_hex(3)}"

    def _record(self, plan: Plan, run_id: str, now: datetime, status: str, reason: str | None, **flags: Any) -> None:  # noqa: ANN401
        delivery.record(
            self.con,
            plan,
            run_id,
            now,
            status=status,
            build_run_id=self.build.run_id,
            as_of=self.build.as_of,
            reason=reason,
            **flags,
        )

    def _begin(self, plan: Plan, run_id: str, now: datetime, stopped: bool, approved: bool) -> None:
        """Write everything down in one transaction; after it the run is under way, killed or not."""
        with transaction(self.con):
            self._record(plan, run_id, now, "sending", None, approved=approved, only_forced=stopped)
            delivery.record_operations(self.con, plan, run_id, now, state="planned", only_forced=stopped)
            delivery.record_decisions(self.con, self.audience, run_id, now)

    def _stopped(self, plan: Plan, run_id: str, now: datetime) -> Report:
        """A guard tripped: what nothing may stop leaves, the rest is kept for approval."""
        outcome = Outcome()
        if plan.forced:
            self.checkpoint("recorded")
            outcome = self._deliver(run_id, only_forced=True)
        self.checkpoint("before_hold")
        held = self._run_id(now)
        reason = "; ".join(trip.message for trip in plan.trips)
        self.con.execute("delete from work.ops where is_forced")
        with self.store.attached(self.con), transaction(self.con):
            self._record(plan, held, now, "held", reason)
            delivery.record_operations(self.con, plan, held, now, state="held", only_forced=False)
        return Report(held, "held", plan, outcome)

    def _deliver(self, run_id: str, only_forced: bool) -> Outcome:
        now = self.clock()
        if self.con.execute("select 1 from work.ops limit 1").fetchone():
            shipment = Delivery(
                con=self.con,
                store=self.store,
                destination=self.destination,
                audience=self.audience,
                run_id=run_id,
                clock=self.clock,
                field_types=self.field_types,
                retries=self.retries,
                checkpoint=self.checkpoint,
                only_forced=only_forced,
            )
            try:
                shipment.deliver()
            except Exception:
                self._fold(run_id, now)
                raise
        self.checkpoint("delivered")
        outcome = self._fold(run_id, now)
        self.checkpoint("folded")
        return outcome

    def _fold(self, run_id: str, now: datetime) -> Outcome:
        with self.store.attached(self.con), transaction(self.con):
            return delivery.fold(self.con, self.audience.name, run_id, now, self.strategy)

    def recover(self) -> Sequence[str]:
        """Fold what a killed run left; returns the runs. The store is attached."""
        left = [
            run_id
            for (run_id,) in self.con.execute(
                "select run_id from state.publish.run where audience = ? and status = 'sending' order by started_at",
                [self.audience.name],
            ).fetchall()
        ]
        for run_id in left:
            LOGGER.warning("%s: run %s was killed; what it left open is unknown", self.audience.name, run_id)
            with transaction(self.con):
                delivery.fold(self.con, self.audience.name, run_id, self.clock(), self.strategy)
        return left

    def _read_back(self, run_id: str) -> Mapping[str, int]:
        """Hold what the destination shows against what it acknowledged; who is missing is sent again next time."""
        shown = self.destination.read_back(self.audience.name)
        if shown is None:
            return {}
        con, now = self.con, self.clock()
        con.execute("create or replace table work.shown (member_id varchar)")
        chunk: list[list[str]] = []
        for member in shown:
            chunk.append([member.member_id])
            if len(chunk) >= delivery.ROWS_AT_ONCE:
                planner.insert_texts(con, "work.shown", ("member_id",), chunk)
                chunk = []
        planner.insert_texts(con, "work.shown", ("member_id",), chunk)
        self.checkpoint("read_back")
        key = {"audience": self.audience.name}
        with self.store.attached(con), transaction(con):
            con.execute(
                """
                create or replace temp table compared as
                with ours as (
                    select d.member_key, m.member_id, d.state
                    from state.publish.delivered as d inner join state.pii.member as m on d.member_key = m.member_key
                    where d.audience = $audience
                ),
                removed as (
                    select distinct o.member_id from work.ops as o
                    inner join folded as f on o.member_key = f.member_key
                    where o.kind <= 1 and f.state = 'acknowledged'
                )
                select
                    o.member_key, s.member_id,
                    case
                        when s.member_id is null and o.state = 'present' then 'missing'
                        when s.member_id is null then 'unanswered'
                        when o.member_id is not null then 'matching'
                        when r.member_id is not null then 'lingering'
                        else 'foreign'
                    end as kind
                from ours as o
                full outer join (select distinct member_id from work.shown) as s on o.member_id = s.member_id
                left join removed as r on s.member_id = r.member_id
                """,
                key,
            )
            con.execute(
                f"update state.publish.delivered as d set state = 'unknown', unknown_kind = {int(Kind.ADD)} "
                "from compared as c where d.audience = $audience and d.member_key = c.member_key "
                "and c.kind = 'missing'",
                key,
            )
            self._take_back_lingering(now, run_id)
            counts = dict(
                con.execute("select kind, count(*) from compared where kind != 'unanswered' group by 1").fetchall()
            )
            for kind in ("missing", "lingering", "foreign", "matching"):
                con.execute(
                    "insert into state.publish.drift values (?, ?, ?, ?, ?)",
                    [run_id, self.audience.name, kind, counts.get(kind, 0), now],
                )
        return counts

    def _take_back_lingering(self, now: datetime, run_id: str) -> None:
        """Who was removed and is still there is unknown, so that the removal is asserted again."""
        lingering = """
            from work.ops as o inner join compared as c on o.member_id = c.member_id
            where o.kind <= 1 and c.kind = 'lingering'
        """
        self.con.execute(
            "insert into state.pii.member select o.member_key, $audience, o.member_id, o.address_kind, o.value, $now "
            f"{lingering}",
            {"audience": self.audience.name, "now": now},
        )
        self.con.execute(
            "insert into state.publish.delivered select $audience, o.member_key, o.customer_key, 'unknown', o.kind, "
            f"null, null, $now, null, $run_id {lingering}",
            {"audience": self.audience.name, "now": now, "run_id": run_id},
        )

"""One audience, one run: recover, plan, guard, record, deliver, fold, read back. No policy of when, no files: see
`operate` for the doors that a send must pass.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, tzinfo
from typing import Any

import duckdb

from ritorno.audiences import delivery, planner, readback
from ritorno.audiences.delivery import AnyStore, Delivery, Outcome, Retries, no_stop
from ritorno.audiences.destinations.base import Destination, Kind
from ritorno.audiences.exposures import Audience
from ritorno.audiences.planner import Plan, Strategy, Today
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
        zone: business time: in it an experiment's end date is a day.
        results_days: how long an experiment's orders count after its end (campaign_window_days).
        checkpoint: called between every two steps; tests crash there.
    """

    con: duckdb.DuckDBPyConnection
    store: AnyStore
    audience: Audience
    destination: Destination
    clock: Callable[[], datetime]
    build: Build = field(default_factory=Build)
    hmac_key: bytes | None = None
    zone: tzinfo = UTC
    results_days: int = 0
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
            with transaction(self.con):
                if not stopped or plan.forced:
                    self._begin(plan, run_id, now, stopped, approved is not None)
                delivery.record_decisions(self.con, self.audience, run_id, now)
                delivery.purge(self.con, now)
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
            today=Today(now.replace(tzinfo=UTC).astimezone(self.zone).date(), self.results_days),
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
        """Write the plan down, in the caller's transaction; after it the run is under way, killed or not."""
        self._record(plan, run_id, now, "sending", None, approved=approved, only_forced=stopped)
        delivery.record_operations(self.con, plan, run_id, now, state="planned", only_forced=stopped)

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
        return readback.read_back(
            self.con, self.store, self.destination, self.audience, self.field_types, run_id, self.clock(),
            self.checkpoint,
        )  # fmt: skip

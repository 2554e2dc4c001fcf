"""Plan, approve and send the audiences of a home: the doors that everything must pass before it leaves, and the locks.

Nothing leaves unless the very build that the segments were read from passed every check and was published, is fresh,
and the audience's window is open. Guards come after, on the plan itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
from filelock import FileLock, Timeout

from ritorno import lock, shared_state
from ritorno.audiences import exposures, warehouse
from ritorno.audiences.delivery import Retries
from ritorno.audiences.destinations.base import Destination
from ritorno.audiences.destinations.registry import destination as destination_class
from ritorno.audiences.engine import Build, Engine, Report
from ritorno.audiences.exposures import Audience
from ritorno.audiences.store import FileStore
from ritorno.errors import CheckFailed, RitornoError, UnusableInput
from ritorno.home import Home
from ritorno.policy import load_policy
from ritorno.publishing import PublishedRun, published_run
from ritorno.run_log import RunLog

HMAC_KEY = "RITORNO_HMAC_KEY"
SHORTEST_KEY = 16
QUIET = timedelta(days=7)
"""Without a valid order for so long before as-of the sources are not fresh: an export that stopped, most likely."""
DEMO_OPENS = time(9)


class NothingLeaves(CheckFailed):
    """A door is closed: stale, outside the window, or the build is not a published one."""


class AudienceBusy(RitornoError):  # noqa: N818
    """Another run of this audience is under way."""

    exit_code = 1


@dataclass(frozen=True)
class Context:
    """What every audience of a home shares in one command.

    Attributes:
        home: whose.
        manifest: dbt's manifest.json.
        policy: every var.
        now: the moment of sending.
        run_id: the refresh under way in this process, if there is one: it has published, and isn't over.
    """

    home: Home
    manifest: Mapping[str, Any]
    policy: Mapping[str, Any]
    now: datetime | None = None
    run_id: str | None = None

    @classmethod
    def of(cls, home: Home) -> Context:
        """The project's manifest and policy on a home, for a command of its own."""
        from ritorno.dbt import DbtProject

        return cls(home, DbtProject(home).manifest(), load_policy().values)

    def clock(self) -> datetime:
        """The moment, in UTC without zone. A demo's home has a simulated one: the morning after its last day."""
        if self.now is not None:
            return self.now
        published = published_run(self.home)
        if self.home.demo.exists() and published is not None:
            local = datetime.combine(published.as_of + timedelta(days=1), DEMO_OPENS, self.zone)
            return local.astimezone(UTC).replace(tzinfo=None)
        return datetime.now(UTC).replace(tzinfo=None)

    @property
    def zone(self) -> ZoneInfo:
        """Business time."""
        return ZoneInfo(str(self.policy["business_timezone"]))


def hmac_key(environment: Mapping[str, str], required: bool = False) -> bytes | None:
    """The key of the suppression list.

    Raises:
        UnusableInput: it is too short to keep anything secret, or required and absent.
    """
    text = environment.get(HMAC_KEY, "").strip()
    if not text:
        if required:
            raise UnusableInput(
                f"{HMAC_KEY} isn't set: suppressed addresses are kept as keyed hashes only. Make a key once "
                "(openssl rand -hex 32), keep it where your secrets are, and export it for every command"
            )
        return None
    if len(text) < SHORTEST_KEY:
        raise UnusableInput(f"{HMAC_KEY} is shorter than {SHORTEST_KEY} characters: use openssl rand -hex 32")
    return text.encode()


# --- doors


def closed_doors(context: Context, audience: Audience, now: datetime) -> list[str]:
    """Why nothing may leave now; empty when everything is open. The warehouse needn't be attached."""
    published = published_run(context.home)
    if published is None:
        return [f"nothing is published in {context.home.root}: run ritorno refresh first"]
    return [
        *_build_doors(context, published),
        *_freshness_doors(context, audience, published, now),
        *_window_doors(context, audience, now),
    ]


def _build_doors(context: Context, published: PublishedRun) -> Iterator[str]:
    if published.backdated:
        yield f"run {published.run_id} was published for a past day ({published.as_of}), which sends nothing"
    newest = RunLog(context.home).newest_day()
    if newest is not None and newest > published.as_of and not published.backdated:
        yield f"another home has published {newest}, this one describes {published.as_of}: run ritorno refresh"
    if context.run_id is not None:
        if context.run_id != published.run_id:
            yield f"run {context.run_id} is not the published one"
        return
    last = next(iter(RunLog(context.home).last()), None)
    if last is None or (last.run_id, last.status) != (published.run_id, "published"):
        what = f"run {last.run_id} ({last.status}: {last.reason or 'a part was built by hand'})" if last else "no run"
        yield (
            f"the warehouse was last built by {what}, not by the published run {published.run_id}: its checks don't "
            "vouch for what would be sent. Run ritorno refresh"
        )


def _freshness_doors(context: Context, audience: Audience, published: PublishedRun, now: datetime) -> Iterator[str]:
    limit = timedelta(hours=audience.meta.stale_after_hours)
    day_end = datetime.combine(published.as_of + timedelta(days=1), time(0), context.zone)
    day_end = day_end.astimezone(UTC).replace(tzinfo=None)
    described = now - day_end
    if described > limit:
        yield (
            f"the published run describes {published.as_of}, {described.total_seconds() / 3600:.0f} hours ago, "
            f"stale_after_hours is {audience.meta.stale_after_hours:g}. Run ritorno refresh"
        )


def _window_doors(context: Context, audience: Audience, now: datetime) -> Iterator[str]:
    window = audience.meta.send_window
    local = now.replace(tzinfo=UTC).astimezone(context.zone)
    if window is not None and not window.is_open(local):
        yield (
            f"it is {local:%A %H:%M} in {context.zone.key}, the send window is {window.start}–{window.end} on "
            f"{', '.join(window.days)}"
        )


def _warehouse_doors(con: duckdb.DuckDBPyConnection, published: PublishedRun) -> Iterator[str]:
    """What only the attached warehouse can tell."""
    runs = {run for (run,) in con.execute("select distinct run_id from warehouse.marts.data_quality").fetchall()}
    if runs != {published.run_id}:
        other = ", ".join(sorted(str(run) for run in runs)) or "nobody"
        yield (
            f"the warehouse's marts were built by {other}, not by the published run {published.run_id} (plain dbt?): "
            "run ritorno refresh"
        )
    row = con.execute("select max(order_date) from warehouse.marts.orders").fetchone()
    newest: date | None = row[0] if row else None
    if newest is None or published.as_of - newest > QUIET:
        yield (
            f"the newest valid order is of {newest or 'no day'}, the run of {published.as_of}: the sources aren't fresh"
        )


# --- one audience


@contextmanager
def hold_audience(home: Home, name: str) -> Iterator[None]:
    """One run per audience at a time.

    Raises:
        AudienceBusy: another one is under way.
    """
    folder = home.root / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    held = FileLock(folder / f"audience-{name}.lock")
    try:
        held.acquire(timeout=0)
    except Timeout:
        raise AudienceBusy(f"audience {name} is being planned or sent by another process; try again later") from None
    try:
        yield
    finally:
        held.release()


def make_destination(home: Home, audience: Audience, environment: Mapping[str, str]) -> Destination:
    """The audience's destination, able to do what the audience asks.

    Raises:
        UnusableInput: a setting is wrong, or the destination can't do the mode, key or fields asked for.
    """
    kind = str(audience.meta.destination["type"])
    settings = dict(audience.meta.destination)
    if kind == "files" and not Path(str(settings.get("path", "audiences"))).is_absolute():
        settings["path"] = str(home.root / str(settings.get("path", "audiences")))
    where = f"{audience.file}: audience {audience.name}"
    found = destination_class(kind)
    if audience.meta.mode not in found.modes and not (
        audience.meta.mode == "replace_file" and hasattr(found, "replace")
    ):
        raise UnusableInput(
            f"{where}: mode: {kind} can't do {audience.meta.mode}, only {', '.join(sorted(found.modes))}"
        )
    if audience.meta.key not in found.keys:
        raise UnusableInput(
            f"{where}: key: {kind} knows nobody by {audience.meta.key}, only by {', '.join(found.keys)}"
        )
    taken: frozenset[str] | None = getattr(found, "takes_fields", None)
    if taken is not None and not taken >= set(audience.meta.fields):
        extra = ", ".join(sorted(set(audience.meta.fields) - taken))
        raise UnusableInput(f"{where}: fields: {kind} doesn't take {extra}, only {', '.join(sorted(taken)) or 'none'}")
    try:
        return found.from_settings(settings, environment)
    except UnusableInput as error:
        raise UnusableInput(f"{where}: {error}") from None


@contextmanager
def opened(
    context: Context, audience: Audience, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[Engine, Callable[[], list[str]]]]:
    """An engine ready to plan, with the home's and the audience's lock; and a function that names the closed doors.

    The home's lock is given back as soon as the plan is written down, so that a refresh needn't wait for a slow
    destination.
    """
    environment = environment if environment is not None else os.environ
    now = context.clock()
    home = context.home
    key = hmac_key(environment)
    destination = make_destination(home, audience, environment)
    home.ensure()
    con = duckdb.connect(":memory:", config={"temp_directory": str(home.tmp / "audiences")})
    held = lock.hold(home)
    try:
        con.execute("set TimeZone = 'UTC'")
        with hold_audience(home, audience.name), shared_state.locked(home):
            doors = closed_doors(context, audience, now)
            held.__enter__()
            is_held = True

            def release() -> None:
                nonlocal is_held
                if is_held:
                    warehouse.detach(con)
                    is_held = False
                    held.__exit__(None, None, None)

            try:
                warehouse.attach(con, home)
                published = published_run(home)
                if published is not None:
                    doors += list(_warehouse_doors(con, published))
                types = warehouse.fill(con, audience, context.manifest, context.policy, now)
                engine = Engine(
                    con=con,
                    store=FileStore.of(home),
                    audience=audience,
                    destination=destination,
                    clock=_from(now),
                    build=Build(published.run_id, published.as_of) if published else Build(),
                    hmac_key=key,
                    zone=context.zone,
                    results_days=int(context.policy["campaign_window_days"]),
                    field_types=types,
                    retries=Retries(),
                    release=release,
                )
                yield engine, lambda: doors
            finally:
                release()
    finally:
        destination.close()
        con.close()


def _from(moment: datetime) -> Callable[[], datetime]:
    """A clock that shows `moment` now and goes on from there."""
    began = datetime.now(UTC)
    return lambda: moment + (datetime.now(UTC) - began)


def plan(context: Context, audience: Audience) -> tuple[Report, list[str], Sequence[tuple[int, str, str]]]:
    """The plan, the doors that are closed now, and a sample of operations: kind, customer_key, reason."""
    with opened(context, audience) as (engine, doors):
        report = engine.plan()
        sample = engine.con.execute(
            "select kind, customer_key, reason from (select *, row_number() over (partition by kind order by "
            "customer_key, member_id) as place from work.ops) where place <= 3 order by kind, place"
        ).fetchall()
        return report, doors(), sample


def send(context: Context, audience: Audience, approved: str | None = None) -> Report:
    """Send an audience, or exactly the approved plan of it.

    Raises:
        NothingLeaves: a door is closed.
        PlanChanged: the plan isn't the approved one any more.
    """
    with opened(context, audience) as (engine, doors):
        closed = doors()
        if closed:
            raise NothingLeaves(f"audience {audience.name}: nothing was sent: " + "; ".join(closed))
        return engine.send(approved)


def approve(context: Context, digest: str) -> Report:
    """Send the plan of this digest (or its beginning), if it is still what would be sent.

    Raises:
        UnusableInput: no plan has this digest.
    """
    with shared_state.locked(context.home):
        found = _plans(context.home, digest)
    if not found:
        raise UnusableInput(f"no plan of digest {digest}: ritorno plan AUDIENCE shows the plan of now and its digest")
    if len(found) > 1:
        raise UnusableInput(f"digest {digest} is the beginning of {len(found)} plans: give all of it")
    name, full, status = found[0]
    if status not in ("held", "planned"):
        raise UnusableInput(f"plan {full} of audience {name} was replaced by a newer one: see ritorno plan {name}")
    return send(context, exposures.find(context.manifest, name), full)


def _plans(home: Home, digest: str) -> list[tuple[str, str, str]]:
    if not digest or not home.state.exists():
        return []
    with duckdb.connect(":memory:") as con, FileStore.of(home).attached(con):
        found: list[tuple[str, str, str]] = con.execute(
            "select audience, digest, arg_max(status, run_id) from state.publish.run where starts_with(digest, ?) "
            "group by audience, digest",
            [digest],
        ).fetchall()
        return found


def suppress(home: Home, kind: str, value: str, reason: str | None, key: bytes, now: datetime | None = None) -> bool:
    """Put an address on the suppression list; whether it was new there. Only its keyed hash is kept."""
    from ritorno.audiences.planner import address_hash, key_id

    home.ensure()
    hashed = address_hash(key, kind, value)
    with shared_state.locked(home), duckdb.connect(":memory:") as con, FileStore.of(home).attached(con):
        known = {made for (made,) in con.execute("select distinct key_id from state.publish.suppression").fetchall()}
        if known - {key_id(key)}:
            raise UnusableInput(
                f"{HMAC_KEY} is not the key that the list was begun with: one list has one key. Export the old one"
            )
        if con.execute("select 1 from state.publish.suppression where address_hash = ?", [hashed]).fetchone():
            return False
        con.execute(
            "insert into state.publish.suppression values (?, ?, ?, ?, ?)",
            [hashed, key_id(key), kind, now or datetime.now(UTC).replace(tzinfo=None), reason],
        )
    return True

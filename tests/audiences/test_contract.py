"""The contract of issue 5, each line a test, on the engine itself with a publish state of its own.

Lines 10 and the formats of 11 are the destinations' (tests/audiences/destinations); lines 1 and 13 on a real home are
in test_home.py; line 9 with a real kill -9 is in test_kill.py, and at every step in test_fuzz_oracle.py.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest

from ritorno.audiences import planner, readback
from ritorno.audiences.delivery import Retries
from ritorno.audiences.destinations.base import Answer, Batch, Kind, NotSent, Refusal, RefusedBatch, Unanswered
from ritorno.audiences.engine import Engine, PlanChanged, Report
from ritorno.audiences.exposures import Audience, Experiment, SendWindow
from ritorno.audiences.store import KeptStore
from ritorno.errors import UnusableInput
from tests.audiences.fakes import Fake
from tests.audiences.oracle import in_holdout, member_id
from tests.audiences.shop import START, TYPES, Address, Shop, audience, day, give

KEY = b"a key of the tests"
RESULTS_DAYS = 5


def shop_of(count: int, consented: bool = True) -> Shop:
    """People k000, k001, … in the segment, who have said yes."""
    shop = Shop()
    for number in range(count):
        account = f"k{number:03d}"
        shop.customer_of[account] = account
        shop.accounts[account] = [Address(f"{account}@example.org", START - day(100), None, START - day(1))]
        shop.members[account] = "x"
        if consented:
            shop.events.append((f"{account}@example.org", None, "email", "marketing", True, START - day(10), None))
    return shop


def ids(*accounts: str) -> set[str]:
    return {member_id(f"{account}@example.org") for account in accounts}


class Runner:
    """Sends audiences of one shop with one publish state."""

    def __init__(self, con: duckdb.DuckDBPyConnection, shop: Shop) -> None:
        self.con, self.shop, self.store = con, shop, KeptStore()
        self.fakes: dict[str, Fake] = {}

    def fake(self, name: str = "list") -> Fake:
        return self.fakes.setdefault(name, Fake(Random(1), max_batch=10))

    def engine(self, one: Audience | None = None, key: bytes | None = KEY) -> Engine:
        give(self.con, self.shop)
        one = one or audience()
        return Engine(
            con=self.con,
            store=self.store,
            audience=one,
            destination=self.fake(one.name),
            clock=lambda: self.shop.now,
            hmac_key=key,
            zone=ZoneInfo("Europe/Berlin"),
            results_days=RESULTS_DAYS,
            field_types=TYPES,
            retries=Retries(attempts=3, wait_initial=0, wait_max=0, wait_jitter=0),
        )

    def send(self, one: Audience | None = None, **given: Any) -> Report:
        return self.engine(one).send(**given)

    def rows(self, sql: str) -> list[Any]:
        return self.con.execute(sql).fetchall()


@pytest.fixture
def runner(con: duckdb.DuckDBPyConnection) -> Callable[[Shop], Runner]:
    return lambda shop: Runner(con, shop)


Make = Callable[[Shop], Runner]


# 2


@pytest.mark.parametrize(
    ("events", "is_sent"),
    [
        ([], False),
        ([("given", -10, None)], True),
        ([("given", -10, -1)], False),
        ([("given", -10, 1)], True),
        ([("given", -10, None), ("withdrawn", -5, None)], False),
        ([("given", -5, None), ("withdrawn", -5, None)], False),
        ([("withdrawn", -9, None), ("given", -5, None)], True),
        ([("given", 1, None)], False),
        ([("given", -10, None), ("withdrawn", 1, None)], False),
        ([("given", -10, None), ("given", -5, -1)], False),
    ],
)
def test_02_consent_is_the_latest_event_up_to_now_and_everything_else_is_a_no(
    runner: Make, events: list[tuple[str, int, int | None]], is_sent: bool
) -> None:
    shop = shop_of(1, consented=False)
    for status, at, expires in events:
        until = START + day(expires) if expires is not None else None
        shop.events.append(("k000@example.org", None, "email", "marketing", status == "given", START + day(at), until))
    run = runner(shop)
    run.send()
    assert (run.fake().held != {}) is is_sent


def test_02_consent_for_another_channel_or_purpose_is_none(runner: Make) -> None:
    shop = shop_of(1, consented=False)
    for channel, purpose in (("sms", "marketing"), ("email", "service")):
        shop.events.append(("k000@example.org", None, channel, purpose, True, START - day(1), None))
    run = runner(shop)
    report = run.send()
    assert run.fake().held == {}
    assert report.plan.exclusions == [("no_consented_address", "never_given", 1)]


def test_02_a_grant_holds_for_its_address_and_a_withdrawal_for_the_whole_person(runner: Make) -> None:
    shop = shop_of(2)
    shop.merge("k000", "k001")
    shop.accounts["k001"][0].seen = START  # seen last, so it is the one used
    run = runner(shop)
    run.send()
    assert set(run.fake().held) == ids("k001")
    shop.events.append(("k000@example.org", None, "email", "marketing", False, START - day(1), None))
    run.send()
    assert run.fake().held == {}
    shop.events.append(("k000@example.org", None, "email", "marketing", True, START, None))
    run.send()
    assert set(run.fake().held) == ids("k000")


def test_02_a_grant_that_names_an_account_holds_for_the_addresses_it_had_then(runner: Make) -> None:
    shop = shop_of(1, consented=False)
    shop.events.append((None, "k000", "email", "marketing", True, START - day(10), None))
    run = runner(shop)
    run.send()
    assert set(run.fake().held) == ids("k000")
    shop.accounts["k000"][0].had_to = START - day(5)
    shop.accounts["k000"].append(Address("new@example.org", START - day(5), None, START))
    report = run.send()
    assert run.fake().held == {}
    assert report.plan.exclusions[0][0] == "no_consented_address"


def test_02_suppression_stops_every_address_of_its_owner_and_nothing_goes_without_the_key(runner: Make) -> None:
    shop = shop_of(2)
    run = runner(shop)
    run.send()
    with run.store.attached(run.con):
        run.con.execute(
            "insert into state.publish.suppression values (?, ?, 'email', ?, null)",
            [planner.address_hash(KEY, "email", "k000@example.org"), planner.key_id(KEY), START],
        )
    for key, message in ((None, "RITORNO_HMAC_KEY isn't set"), (b"another key, not this", "not the key")):
        with pytest.raises(UnusableInput, match=message):
            run.engine(key=key).send()
    shop.events.append(("k000@example.org", None, "email", "marketing", True, START, None))
    report = run.send()
    assert set(run.fake().held) == ids("k001")
    assert report.plan.exclusions == [("suppressed", "", 1)]


# 3


def test_03_the_holdout_is_never_sent_and_arms_stay_when_shares_change(runner: Make) -> None:
    shop = shop_of(60)
    run = runner(shop)
    run.send(audience(experiment=True))
    held_out = {account for account in shop.accounts if in_holdout(account)}
    assert set(run.fake().held) == ids(*set(shop.accounts) - held_out)
    changed = audience(experiment=True)
    assert changed.experiment is not None
    object.__setattr__(changed.experiment, "arms", {"holdout": 0.0, "a": 0.2, "b": 0.8})
    run.send(changed)
    assert set(run.fake().held) == ids(*set(shop.accounts) - held_out)
    arms = dict(run.rows("select customer_key, arm from state.publish.assignment"))
    assert {account for account, arm in arms.items() if arm == "holdout"} == held_out


def test_03_of_merged_customers_the_older_arm_stays(runner: Make) -> None:
    shop = shop_of(60)
    held = next(account for account in shop.accounts if in_holdout(account))
    sent = next(account for account in shop.accounts if not in_holdout(account) and account > held)
    others = {account: tier for account, tier in shop.members.items() if account == sent}
    shop.members = others
    run = runner(shop)
    run.send(audience(experiment=True))
    shop.now += day(1)
    shop.members = {sent: "x", held: "x"}
    run.send(audience(experiment=True))
    shop.merge(held, sent)
    run.send(audience(experiment=True))
    assert len(run.fake().held) == 1  # of the two the sent arm is older


def ending(**shares: float) -> Experiment:
    """An experiment that ends on the shop's second day."""
    return Experiment("exp", "salt", {"holdout": 0.3, **shares}, (START + day(1)).date())


def test_03_the_holdout_is_released_when_the_results_are_closed_and_not_before(runner: Make) -> None:
    shop = shop_of(60)
    run, one = runner(shop), audience(experiment=ending(a=0.7))
    held_out = {account for account in shop.accounts if in_holdout(account)}
    sent = set(shop.accounts) - held_out
    assert run.send(one).plan.note is None
    for days, note in ((1, None), (2, "orders count until 2026-03-08"), (1 + RESULTS_DAYS, "held out stay so")):
        shop.now = START + day(days)
        report = run.send(one)
        assert set(run.fake().held) == ids(*sent)
        assert (report.plan.note is None) if note is None else (note in (report.plan.note or ""))
    shop.now = START + day(2 + RESULTS_DAYS)
    shown = run.engine(one).plan().plan
    assert shown.note == (
        "Experiment exp ended on 2026-03-03 and its results are closed since 2026-03-08: "
        f"nobody is held out any more, {len(held_out)} released"
    )
    run.send(one)
    assert set(run.fake().held) == ids(*shop.accounts)
    # Recorded: the arm is still what it was, and the decision says who is there since when and why.
    arms = dict(run.rows("select customer_key, arm from state.publish.assignment"))
    assert {account for account, arm in arms.items() if arm == "holdout"} == held_out
    released = "select customer_key from state.publish.decision where detail = 'released' and valid_to is null"
    assert {account for (account,) in run.rows(released)} == held_out


def test_03_an_experiment_ends_with_its_day_in_business_time(runner: Make) -> None:
    shop = shop_of(60)
    shop.now = datetime(2026, 3, 8, 22, 30)  # 23:30 in Berlin, the last day whose orders count
    run, one = runner(shop), audience(experiment=ending(a=0.7))
    shop.now = START
    run.send(one)
    before = len(run.fake().held)
    shop.now = datetime(2026, 3, 8, 22, 30)
    run.send(one)
    assert len(run.fake().held) == before
    shop.now = datetime(2026, 3, 8, 23, 30)
    run.send(one)
    assert len(run.fake().held) == 60


def test_03_after_the_end_nobody_is_assigned_and_who_comes_is_sent_by_exactly_one_arm(runner: Make) -> None:
    shop = shop_of(80)
    late = {account: shop.members.pop(account) for account in sorted(shop.members)[40:]}
    run, experiment = runner(shop), ending(a=0.35, b=0.35)
    parts = [audience(arm, experiment=experiment, arms=[arm]) for arm in ("a", "b")]

    def send() -> tuple[set[str], set[str]]:
        for part in parts:
            run.send(part)
        return set(run.fake("a").held), set(run.fake("b").held)

    before = send()
    shop.members |= late
    for days in (2, 2 + RESULTS_DAYS):
        shop.now = START + day(days)
        a, b = send()
        assert a.isdisjoint(b)
        assert ids(*late) <= a | b
        assert before[0] <= a
        assert before[1] <= b
        assert len(a & ids(*late)) > 5 < len(b & ids(*late))
    assert a | b == ids(*shop.accounts)
    held_out = ids(*shop.accounts) - ids(*late) - before[0] - before[1]
    assert held_out & a, "the released are dealt to both arms, not to the one whose buckets are next"
    assert held_out & b
    assert run.rows("select count(*) from state.publish.assignment") == [(40,)]


# 4, 5


def test_04_a_refused_person_comes_back_by_itself_and_the_dead_letter_is_closed(runner: Make) -> None:
    run = runner(shop_of(3))
    run.fake().refused = ids("k001")
    report = run.send()
    assert (report.outcome.acknowledged, report.outcome.refused) == (2, 1)
    assert run.rows("select customer_key, reason, times from state.publish.dead_letter") == [
        ("k001", "no such mailbox", 1)
    ]
    run.send()
    assert run.rows("select times, resolved_at from state.publish.dead_letter") == [(2, None)]
    run.fake().refused = set()
    run.send()
    assert set(run.fake().held) == ids("k000", "k001", "k002")
    assert run.rows("select count(*) from state.publish.dead_letter where resolved_at is null") == [(0,)]


class Answers(Fake):
    """Answers from a script, then properly. True: apply before the error."""

    def script(self, *errors: tuple[bool, Exception]) -> None:
        self.errors = list(errors)
        self.seen: list[Batch] = []

    def send(self, batch: Batch) -> Answer:
        self.seen.append(batch)
        if self.errors:
            applied, error = self.errors.pop(0)
            if applied:
                super().send(batch)
            raise error
        return super().send(batch)


@pytest.mark.parametrize("applied", [True, False])
def test_05_an_unanswered_send_is_unknown_and_asserted_again_or_taken_back(runner: Make, applied: bool) -> None:
    shop = shop_of(2)
    run = runner(shop)
    fake = run.fakes["list"] = Answers(Random(1))
    fake.script(*[(applied, Unanswered("time-out"))] * 3)
    report = run.send()
    assert (report.status, report.outcome.unknown) == ("incomplete", 2)
    assert run.rows("select distinct state from state.publish.delivered") == [("unknown",)]
    del shop.members["k001"]  # leaves before anybody knows whether they are there
    run.send()
    assert set(run.fake().held) == ids("k000")
    assert [(batch.kind, len(batch.members)) for batch in fake.seen[3:]] == [(Kind.REMOVE, 1), (Kind.ADD, 1)]


# 6


GUARDS = {"max_add_pct": 50, "max_remove_pct": 20, "min_baseline": 10}


def test_06_a_guard_trip_sends_nothing_and_approval_publishes_exactly_that_plan(runner: Make) -> None:
    shop = shop_of(20)
    run = runner(shop)
    guarded = audience(guards=GUARDS)
    run.send(guarded)
    before = dict(run.fake().held)
    for account in list(shop.members)[:8]:
        del shop.members[account]
    held = run.send(guarded)
    assert (held.status, held.exit_code, [trip.guard for trip in held.plan.trips]) == ("held", 1, ["max_remove_pct"])
    assert run.fake().held == before
    assert run.rows("select count(*) from state.publish.outbox where state = 'held'") == [(8,)]
    shown = run.engine(guarded).plan()
    assert shown.plan.digest == held.plan.digest
    assert shown.plan.counts[Kind.REMOVE] == 8
    done = run.send(guarded, approved=held.plan.digest)
    assert (done.status, len(run.fake().held)) == ("done", 12)


def held_by_a_guard(runner: Make) -> tuple[Shop, Runner, Audience, Report]:
    """Of 20 members sent 8 have gone, more than the guard lets through: the plan is held."""
    shop = shop_of(20)
    run = runner(shop)
    guarded = audience(guards=GUARDS)
    run.send(guarded)
    for account in list(shop.members)[:8]:
        del shop.members[account]
    return shop, run, guarded, run.send(guarded)


def test_06_approval_refuses_a_plan_that_changed(runner: Make) -> None:
    shop, run, guarded, held = held_by_a_guard(runner)
    del shop.members["k010"]
    with pytest.raises(PlanChanged, match="no longer what would be sent"):
        run.send(guarded, approved=held.plan.digest)
    assert len(run.fake().held) == 20


@pytest.mark.parametrize("mode", ["mirror", "upsert", "append", "replace_file"])
def test_06_withdrawals_and_erasures_go_through_any_guard(runner: Make, mode: str) -> None:
    shop = shop_of(20)
    run = runner(shop)
    guarded = audience(guards=GUARDS | {"max_size": 20}, mode=mode)
    run.send(guarded)
    shop.members |= {"k020": "x"}
    late = shop_of(21)
    shop.accounts["k020"], shop.customer_of["k020"] = late.accounts["k020"], "k020"
    shop.events += [late.events[20], ("k000@example.org", None, "email", "marketing", False, START, None)]
    with run.store.attached(run.con):
        run.con.execute("insert into state.publish.erasure values ('k001', ?, null)", [START])
    guarded = audience(guards=GUARDS | {"max_size": 10}, mode=mode)
    report = run.send(guarded)
    assert report.status == "held"
    assert set(run.fake().held) == ids(*(f"k{number:03d}" for number in range(2, 20)))
    assert run.send(guarded, approved=report.plan.digest).status == "done"
    assert set(run.fake().held) == ids(*(f"k{number:03d}" for number in range(2, 21)))


def test_06_an_empty_segment_is_an_error_and_removes_nobody(runner: Make) -> None:
    shop = shop_of(3)
    run = runner(shop)
    run.send()
    shop.members.clear()
    report = run.send(audience(guards={"min_baseline": 1, "max_remove_pct": None}))
    assert (report.status, report.exit_code) == ("held", 1)
    assert "is empty" in report.plan.trips[0].message
    assert len(run.fake().held) == 3


def test_06_the_waterfall_adds_up_and_counts_the_first_reason(runner: Make) -> None:
    shop = shop_of(10)
    shop.events = [event for event in shop.events if event[0] not in ("k000@example.org", "k001@example.org")]
    shop.deleted.add("k001")  # deleted and without consent: deleted comes first
    shop.events.append(("k002@example.org", None, "email", "marketing", False, START, None))
    plan = runner(shop).send().plan
    assert plan.exclusions == [
        ("deleted_customer", "", 1),
        ("no_consented_address", "never_given", 1),
        ("no_consented_address", "withdrawn", 1),
    ]
    assert plan.members == plan.wanted + sum(count for _, _, count in plan.exclusions)


# 7


def test_07_erase_remove_update_add_in_this_order_and_one_open_operation_per_person(runner: Make) -> None:
    shop = shop_of(6)
    run = runner(shop)
    fake = run.fakes["list"] = Answers(Random(1), max_batch=10)
    fake.script()
    run.send()
    with run.store.attached(run.con):
        run.con.execute("insert into state.publish.erasure values ('k000', ?, null)", [START])
    del shop.members["k001"]
    shop.members["k002"] = "y"
    moved = shop.accounts["k003"]
    moved[0].had_to = START
    moved.append(Address("moved@example.org", START, None, START))
    shop.events.append(("moved@example.org", None, "email", "marketing", True, START, None))
    fake.script((False, NotSent("down", 0)))  # the erasure is tried again
    run.send()
    kinds = [batch.kind for batch in fake.seen]
    assert kinds == [Kind.ERASE, Kind.ERASE, Kind.REMOVE, Kind.UPDATE, Kind.ADD]
    assert set(run.fake().held) == ids("k002", "k004", "k005") | {member_id("moved@example.org")}


def test_07_who_is_not_known_to_be_gone_is_not_added_under_another_address(runner: Make) -> None:
    shop = shop_of(1)
    run = runner(shop)
    fake = run.fakes["list"] = Answers(Random(1))
    fake.script()
    run.send()
    shop.accounts["k000"][0].had_to = START
    shop.accounts["k000"].append(Address("moved@example.org", START, None, START))
    shop.events.append(("moved@example.org", None, "email", "marketing", True, START, None))
    fake.script(*[(False, Unanswered("time-out"))] * 3)
    report = run.send()
    assert {batch.kind for batch in fake.seen} == {Kind.REMOVE}
    assert (report.outcome.unknown, report.outcome.not_sent) == (1, 1)
    fake.script()
    run.send()
    assert set(run.fake().held) == {member_id("moved@example.org")}


# 8


def test_08_a_batch_keeps_its_idempotency_key_over_every_try_and_waits_as_told(
    runner: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    run = runner(shop_of(2))
    fake = run.fakes["list"] = Answers(Random(1))
    fake.script((False, NotSent("429", 7.0)), (False, NotSent("503")))
    assert run.send().status == "done"
    assert len({batch.idempotency_key for batch in fake.seen}) == 1
    assert len(fake.seen) == 3
    assert waited[0] == 7.0


def test_08_a_bad_batch_is_halved_until_the_bad_rows_are_alone_with_the_reason(runner: Make) -> None:
    class Picky(Fake):
        def send(self, batch: Batch) -> Answer:
            if {member.member_id for member in batch.members} & self.refused:
                raise RefusedBatch("400: one of them is bad")
            return super().send(batch)

    run = runner(shop_of(10))
    run.fakes["list"] = Picky(Random(1), max_batch=10)
    run.fake().refused = ids("k003", "k007")
    report = run.send()
    assert (report.outcome.acknowledged, report.outcome.refused) == (8, 2)
    assert len(run.fake().held) == 8
    assert run.rows("select customer_key, reason from state.publish.dead_letter order by all") == [
        ("k003", "400: one of them is bad"),
        ("k007", "400: one of them is bad"),
    ]


# 9 is test_fuzz_oracle.py and test_kill.py; 10 is tests/audiences/destinations

# 11


def test_11_only_declared_fields_leave_and_no_address_reaches_logs_errors_or_tables(
    runner: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    run = runner(shop_of(3))
    fake = run.fakes["list"] = Answers(Random(1))
    fake.script((False, ValueError("k000@example.org is bad")), (False, NotSent("down")))
    run.send()
    assert {tuple(member.fields) for batch in fake.seen for member in batch.members} == {("tier",)}
    assert "@example.org" not in caplog.text
    tables = run.rows(
        "select schema_name || '.' || table_name from duckdb_tables() where database_name = 'state' "
        "and schema_name = 'publish'"
    )
    assert len(tables) > 10
    for (table,) in tables:
        assert not any("@" in str(value) for row in run.rows(f"select * from state.{table}") for value in row), table


# 12


def test_12_who_shows_other_values_than_acknowledged_is_drift_and_is_sent_again(runner: Make) -> None:
    run = runner(shop_of(4))
    run.fake().can_read_back = True
    run.send()
    run.fake().held[next(iter(ids("k001")))] = "edited by hand"
    assert dict(run.send().drift) == {"changed": 1, "matching": 3}
    assert run.rows("select members, fields from state.publish.drift where kind = 'changed' order by run_id desc")[
        0
    ] in [(1, "tier (1)"), (0, None)]
    assert ("changed", 1, "tier (1)") in run.rows("select kind, members, fields from state.publish.drift")
    report = run.send()
    assert (report.plan.counts[Kind.UPDATE], dict(report.drift)) == (1, {"matching": 4})
    assert set(run.fake().held.values()) == {"x"}
    assert run.send().plan.operations == 0


def test_12_whom_append_has_added_may_be_edited_there_and_is_only_counted(runner: Make) -> None:
    run = runner(shop_of(2))
    run.fake().can_read_back = True
    run.send(audience(mode="append"))
    run.fake().held[next(iter(ids("k001")))] = "edited by hand"
    for _ in range(2):
        report = run.send(audience(mode="append"))
        assert (report.plan.operations, dict(report.drift)) == (0, {"changed": 1, "matching": 1})


@pytest.mark.parametrize(
    ("kind", "sent", "shown", "is_same"),
    [
        ("decimal(18,2)", Decimal("12.50"), 12.5, True),
        ("decimal(18,2)", Decimal("12.50"), "12.5", True),
        ("decimal(18,2)", Decimal("1200.00"), 1200, True),
        ("decimal(18,2)", Decimal("12.50"), "12.49", False),
        ("double", 0.1, "0.1", True),
        ("bigint", 100, "100", True),
        ("bigint", 100, "a hundred", False),
        ("boolean", True, "true", True),
        ("boolean", True, False, False),
        ("date", date(2026, 3, 1), "2026-03-01", True),
        ("timestamp", datetime(2026, 3, 1, 9), "2026-03-01T09:00:00Z", True),
        ("timestamp", datetime(2026, 3, 1, 9), "2026-03-01T10:00:00+01:00", True),
        ("timestamp", datetime(2026, 3, 1, 9), "2026-03-01T09:00:01Z", False),
        ("varchar", None, "", True),
        ("varchar", "1.0", "1", False),
    ],
)
def test_12_values_are_compared_by_what_they_mean(kind: str, sent: Any, shown: Any, is_same: bool) -> None:
    types = {"field": kind}
    assert (readback.comparable({"field": sent}, types) == readback.comparable({"field": shown}, types)) is is_same


def test_12_what_was_accepted_but_not_applied_is_drift_and_is_sent_again(runner: Make) -> None:
    run = runner(shop_of(4))
    run.fake().can_read_back = True
    run.send()
    gone = next(iter(ids("k002")))
    del run.fake().held[gone]
    run.fake().held["somebody else's"] = "x"
    report = run.send()
    assert dict(report.drift) == {"missing": 1, "foreign": 1, "matching": 3}
    run.send()
    assert gone in run.fake().held
    assert "somebody else's" in run.fake().held
    drift = run.rows("select kind, members from state.publish.drift where kind = 'missing' order by run_id, members")
    assert sorted(drift) == [("missing", 0), ("missing", 0), ("missing", 1)]


def test_12_a_removal_that_was_accepted_but_not_applied_is_asserted_again(runner: Make) -> None:
    class Deaf(Fake):
        is_deaf = False

        def send(self, batch: Batch) -> Answer:
            return Answer() if self.is_deaf else super().send(batch)

    shop = shop_of(2)
    run = runner(shop)
    fake = run.fakes["list"] = Deaf(Random(1), can_read_back=True)
    run.send()
    del shop.members["k001"]
    fake.is_deaf = True
    assert dict(run.send().drift) == {"lingering": 1, "matching": 1}
    fake.is_deaf = False
    run.send()
    assert set(fake.held) == ids("k000")


# 14


def test_14_caps_count_every_contact_over_all_audiences_and_never_remove_anybody(runner: Make) -> None:
    shop = shop_of(2)
    run = runner(shop)
    capped = {"caps": {"contacts": 1, "days": 7}}
    run.send(audience("first", **capped))
    report = run.send(audience("second", **capped))
    assert run.fake("second").held == {}
    assert report.plan.exclusions == [("frequency_cap", "", 2)]
    run.send(audience("first", **capped))
    assert len(run.fake("first").held) == 2  # being there is no new contact
    shop.now += day(8)
    run.send(audience("second", **capped))
    assert len(run.fake("second").held) == 2


def test_14_a_contact_that_was_refused_or_never_left_is_none(runner: Make) -> None:
    run = runner(shop_of(2))
    run.fake("first").refused = ids("k000")
    run.send(audience("first"))
    assert run.rows("select customer_key from state.publish.contact_ledger") == [("k001",)]


# what else operating relies on


def test_members_are_asserted_again_after_reassert_days(runner: Make) -> None:
    shop = shop_of(2)
    run = runner(shop)
    again = audience(reassert_days=3)
    run.send(again)
    run.fake().held.clear()  # and nobody can read it back
    shop.now += day(2)
    assert run.send(again).plan.operations == 0
    shop.now += day(2)
    assert run.send(again).plan.counts[Kind.UPDATE] == 2


def test_in_a_grace_period_who_is_there_stays_and_nobody_is_added(runner: Make) -> None:
    shop = shop_of(2)
    run = runner(shop)
    del shop.members["k001"]
    run.send()
    shop.members["k001"] = "x"
    engine = run.engine()
    run.con.execute("update inputs.membership set fields = null")
    report = engine.send()
    assert set(run.fake().held) == ids("k000")
    assert report.plan.exclusions == [("in_grace", "", 1)]


@pytest.mark.parametrize(
    ("window", "at", "is_open"),
    [
        ({"from": "08:00", "to": "20:00"}, datetime(2026, 3, 2, 8, 0), True),
        ({"from": "08:00", "to": "20:00"}, datetime(2026, 3, 2, 20, 0), False),
        ({"from": "08:00", "to": "20:00", "days": ["tue"]}, datetime(2026, 3, 2, 9, 0), False),
        ({"from": "22:00", "to": "02:00", "days": ["mon"]}, datetime(2026, 3, 3, 1, 0), True),
        ({"from": "22:00", "to": "02:00", "days": ["mon"]}, datetime(2026, 3, 2, 1, 0), False),
    ],
)
def test_a_send_window_is_open_in_business_time(window: dict[str, Any], at: datetime, is_open: bool) -> None:
    assert SendWindow.model_validate(window).is_open(at) is is_open


def test_a_newer_publish_state_is_refused_and_not_touched(con: duckdb.DuckDBPyConnection) -> None:
    KeptStore().attached(con).__enter__()
    con.execute("insert into state.publish.migrations values (99, 'from the future', ?)", [START])
    with pytest.raises(UnusableInput, match="version 99"):
        KeptStore().attached(con).__enter__()


def test_decisions_say_since_when_and_why(runner: Make) -> None:
    shop = shop_of(1)
    run = runner(shop)
    run.send()
    shop.now += day(1)
    run.send()
    shop.now += day(1)
    shop.events.append(("k000@example.org", None, "email", "marketing", False, shop.now, None))
    run.send()
    shop.now += day(1)
    shop.members.clear()
    run.send()
    decided = run.rows("select decision, reason, detail, valid_from, valid_to from state.publish.decision order by all")
    dates = [START + timedelta(days=number) for number in range(4)]
    assert sorted(decided, key=lambda row: row[3]) == [
        ("wanted", "in it", "", dates[0], dates[2]),
        ("excluded", "no_consented_address", "withdrawn", dates[2], dates[3]),
        ("left", "left", "", dates[3], None),
    ]


def test_the_address_of_whom_nobody_holds_any_more_is_forgotten(runner: Make) -> None:
    shop = shop_of(2)
    run = runner(shop)
    run.send()
    del shop.members["k000"]
    run.send()
    assert run.rows("select value from state.pii.member") == [("k001@example.org",)]


def test_a_refusal_of_an_unknown_member_is_ignored(runner: Make) -> None:
    class Confused(Fake):
        def send(self, batch: Batch) -> Answer:
            super().send(batch)
            return Answer((Refusal("nobody we know", "?"),))

    run = runner(shop_of(1))
    run.fakes["list"] = Confused(Random(1))
    assert run.send().outcome.acknowledged == 1


# what is kept how long


def outbox(run: Runner) -> list[tuple[str, str]]:
    return run.rows("select distinct audience, state from state.publish.outbox order by all")


def test_what_was_handed_over_is_forgotten_after_30_days_by_whichever_audience_sends_next(runner: Make) -> None:
    shop = shop_of(3)
    run = runner(shop)
    run.fake("first").refused = ids("k002")
    run.send(audience("first"))
    assert outbox(run) == [("first", "acknowledged"), ("first", "refused")]
    shop.now = START + day(30)
    run.send(audience("second"))
    assert outbox(run) == [("first", "acknowledged"), ("first", "refused"), ("second", "acknowledged")]
    shop.now = START + day(30.01)
    run.send(audience("second"))
    assert outbox(run) == [("second", "acknowledged")]
    # What the destination holds is still known, and nothing is sent twice for it.
    run.fake("first").refused = set()
    assert run.send(audience("first")).plan.counts[Kind.ADD] == 1
    assert len(run.rows("select 1 from state.publish.delivered where audience = 'first'")) == 3


def test_an_unanswered_operation_is_kept_until_it_is_answered(runner: Make) -> None:
    class Silent(Fake):
        def send(self, batch: Batch) -> Answer:
            raise Unanswered("time-out")

    shop = shop_of(2)
    run = runner(shop)
    run.fakes["list"] = Silent(Random(1))
    run.send()
    shop.now = START + day(40)
    run.send(audience("another"))
    assert ("list", "unknown") in outbox(run)
    run.fakes["list"] = Fake(Random(1))
    run.send()
    shop.now = START + day(41)
    run.send(audience("another"))
    assert run.rows("select distinct state from state.publish.outbox where audience = 'list'") == [("acknowledged",)]


def test_a_plan_held_for_approval_keeps_its_operations_until_another_replaces_it(runner: Make) -> None:
    shop, run, guarded, held = held_by_a_guard(runner)
    shop.now = START + day(40)
    run.send(audience("another"))
    assert ("list", "held") in outbox(run)
    run.send(guarded, approved=held.plan.digest)
    assert ("list", "held") not in outbox(run)


def test_a_dead_letter_goes_30_days_after_it_was_resolved_and_never_before(runner: Make) -> None:
    shop = shop_of(2)
    run = runner(shop)
    run.fake().refused = ids("k001")
    run.send()
    letters = "select times, resolved_at is not null from state.publish.dead_letter"
    shop.now = START + day(90)
    run.send()
    assert run.rows(letters) == [(2, False)]
    run.fake().refused = set()
    run.send()
    shop.now = START + day(120)
    run.send()
    assert run.rows(letters) == [(2, True)]
    shop.now = START + day(120.01)
    run.send()
    assert run.rows(letters) == []

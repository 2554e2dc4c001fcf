"""A home with a warehouse: the doors, what is read at the moment of sending, approval, explanation, suppression."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ritorno import publishing
from ritorno.audiences import explain, exposures, operate
from ritorno.audiences.destinations.base import Kind
from ritorno.audiences.engine import Report
from ritorno.audiences.operate import AudienceBusy, Context, NothingLeaves
from ritorno.errors import RitornoError, UnusableInput
from ritorno.home import Home
from ritorno.policy import load_policy
from ritorno.publishing import PublishedRun
from ritorno.run_log import RunLog
from ritorno.shared_state import locked
from tests.audiences.destinations.servers import new_database, postgres_server

DAY = date(2026, 3, 1)
NOW = datetime(2026, 3, 2, 9, 0)
KEY = b"0123456789abcdef0123456789abcdef"

WAREHOUSE = """
create schema raw; create schema marts; create schema identity; create schema staging; create schema intermediate;
create schema segments;
create table marts.data_quality as select 'run-1' as run_id;
create table marts.orders as select date '2026-03-01' as order_date;
create table marts.customers (customer_key varchar, is_tombstone boolean);
insert into marts.customers values ('a', false), ('b', false);
create table marts.customer_aliases (customer_key varchar, alias varchar, alias_kind varchar, system varchar);
insert into marts.customer_aliases values
    ('a', 'a', 'node_key', 'files'), ('b', 'b', 'node_key', 'files'), ('a', '17', 'source_id', 'files');
create table marts.segment_membership (segment varchar, customer_key varchar, reason varchar, entered_at timestamp);
insert into marts.segment_membership values
    ('people', 'a', 'bought twice', timestamp '2026-02-01'), ('people', 'b', 'bought once', timestamp '2026-02-02');
create table segments.people (customer_key varchar, reason varchar, tier varchar, spent decimal(18, 2));
insert into segments.people values ('a', 'bought twice', 'gold', 12.50), ('b', 'bought once', null, 3.00);
create table identity.nodes (
    node_key varchar, customer_key varchar, system varchar, entity varchar, source_id varchar,
    last_updated_at timestamp, is_retired boolean);
insert into identity.nodes values
    ('a', 'a', 'files', 'account', '17', timestamp '2026-01-01', false),
    ('b', 'b', 'files', 'account', '18', timestamp '2026-01-01', false);
create table identity.addresses (kind varchar, raw_value varchar, value varchar);
insert into identity.addresses values
    ('email', 'Anna@Example.org', 'anna@example.org'), ('email', 'ben@example.org', 'ben@example.org');
create table identity.node_addresses (
    node_key varchar, customer_key varchar, kind varchar, value varchar, last_seen_at timestamp, is_shared boolean);
insert into identity.node_addresses values
    ('a', 'a', 'email', 'anna@example.org', timestamp '2026-01-01', false),
    ('b', 'b', 'email', 'ben@example.org', timestamp '2026-01-01', false);
create table intermediate.int_canonical__customers (
    system varchar, customer_id varchar, email varchar, phone varchar, updated_at timestamp, row_status varchar,
    source_batch bigint, source_line bigint);
insert into intermediate.int_canonical__customers values
    ('files', '17', 'Anna@Example.org', null, timestamp '2026-01-01', 'current', 1, 2),
    ('files', '18', 'ben@example.org', null, timestamp '2026-01-01', 'current', 1, 3);
create table intermediate.int_canonical__orders (
    system varchar, customer_id varchar, email varchar, phone varchar, ordered_at timestamp, row_status varchar);
create table raw.consents (
    email varchar, phone varchar, customer_id varchar, channel varchar, purpose varchar, status varchar,
    occurred_at timestamp, expires_at timestamp, deleted_at timestamp, bad_column varchar);
insert into raw.consents (email, channel, purpose, status, occurred_at) values
    ('Anna@Example.org', 'email', 'marketing', 'given', timestamp '2026-01-01'),
    ('ben@example.org', 'Email ', 'Marketing', ' Given', timestamp '2026-01-01');
create view staging.stg_files__consents as select 'files' as system, * from raw.consents;
"""


def manifest(**meta: Any) -> dict[str, Any]:
    audience = {
        "destination": {"type": "files", "path": "audiences", "format": "jsonl"},
        "channel": "email",
        "purpose": "marketing",
        "fields": ["tier", "spent"],
        "guards": {"allow_empty": True},
    } | meta
    return {
        "nodes": {
            "model.ritorno.people": {
                "name": "people",
                "resource_type": "model",
                "original_file_path": "models/segments/people.sql",
                "schema": "segments",
                "alias": "people",
                "columns": {
                    "customer_key": {"data_type": "varchar"},
                    "tier": {"data_type": "varchar"},
                    "spent": {"data_type": "decimal(18,2)"},
                },
                "config": {"meta": {}},
            }
        },
        "exposures": {
            "exposure.ritorno.letters": {
                "name": "letters",
                "original_file_path": "models/segments/_audiences.yml",
                "depends_on": {"nodes": ["model.ritorno.people"]},
                "config": {"meta": {"audience": audience}},
            }
        },
    }


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home")


def make_home(root: Path) -> Home:
    made = Home(root).ensure()
    with duckdb.connect(str(made.warehouse)) as con:
        con.execute(WAREHOUSE)
    published(made, "run-1", DAY)
    return made


def context(home: Home, now: datetime = NOW, **meta: Any) -> Context:
    return Context(home, manifest(**meta), load_policy().values, now=now)


def send(home: Home, now: datetime = NOW, approved: str | None = None, **meta: Any) -> Report:
    asked = context(home, now, **meta)
    return operate.send(asked, exposures.find(asked.manifest, "letters"), approved)


def landed(home: Home, sql: str) -> None:
    with duckdb.connect(str(home.warehouse)) as con:
        con.execute(sql)


def shown(home: Home) -> dict[str, Any]:
    """Who the files show now, read as a consumer does."""
    asked = context(home)
    audience = exposures.find(asked.manifest, "letters")
    destination = operate.make_destination(home, audience, {})
    members = destination.read_back("letters")
    return {member.member_id: dict(member.fields) for member in members or ()}


def test_what_leaves_are_the_declared_fields_of_those_who_said_yes(home: Home) -> None:
    report = send(home)
    assert (report.status, report.outcome.acknowledged) == ("done", 2)
    assert {one: sorted(fields) for one, fields in shown(home).items()} == {
        "anna@example.org": ["spent", "tier"],
        "ben@example.org": ["spent", "tier"],
    }
    assert send(home).plan.operations == 0


def test_02_a_withdrawal_that_landed_after_the_build_is_read_at_the_moment_of_sending(home: Home) -> None:
    send(home)
    landed(
        home,
        "insert into raw.consents (email, channel, purpose, status, occurred_at) values "
        "(' ANNA@example.org', 'email', 'marketing', 'withdrawn', timestamp '2026-03-02 08:00')",
    )
    assert send(home).plan.counts[Kind.REMOVE] == 1
    assert set(shown(home)) == {"ben@example.org"}


@pytest.mark.parametrize(
    ("row", "stays"),
    [
        # what can't be read stops whom it names, and grants nothing
        ("('anna@example.org', null, 'marketing', 'withdrawn', null, null, 'channel')", False),
        ("('anna@example.org', 'email', 'marketing', 'unsubscribed', timestamp '2026-02-01', null, null)", False),
        ("('anna@example.org', 'email', 'marketing', 'withdrawn', timestamp '2026-02-01', "
         "timestamp '2026-02-02', null)", False),
        ("('anna@example.org', null, 'marketing', 'given', timestamp '2026-02-01', null, 'channel')", True),
        ("('anna@example.org', 'sms', 'marketing', 'withdrawn', timestamp '2026-02-01', null, null)", True),
    ],
)  # fmt: skip
def test_02_consent_fails_closed_on_what_cannot_be_read(home: Home, row: str, stays: bool) -> None:
    landed(
        home,
        f"insert into raw.consents (email, channel, purpose, status, occurred_at, deleted_at, bad_column) values {row}",
    )
    send(home)
    assert ("anna@example.org" in shown(home)) is stays


def test_02_a_deleted_grant_is_none_and_one_for_an_unreadable_address_is_no_grant_for_others(home: Home) -> None:
    landed(home, "update raw.consents set deleted_at = timestamp '2026-02-01' where email = 'ben@example.org'")
    landed(home, "update raw.consents set email = 'anna at example', customer_id = '17' where email like 'Anna%'")
    report = send(home)
    assert report.plan.exclusions == [("no_consented_address", "never_given", 2)]


def test_02_a_grant_by_account_holds_for_the_addresses_of_its_version_at_that_instant(home: Home) -> None:
    landed(home, "update raw.consents set email = null, customer_id = '17' where email like 'Anna%'")
    send(home)
    assert "anna@example.org" in shown(home)
    landed(
        home,
        "update intermediate.int_canonical__customers set row_status = 'superseded' where customer_id = '17'; "
        "insert into intermediate.int_canonical__customers values "
        "('files', '17', 'new@example.org', null, timestamp '2026-02-01', 'current', 2, 2); "
        "insert into identity.addresses values ('email', 'new@example.org', 'new@example.org'); "
        "update identity.node_addresses set value = 'new@example.org' where node_key = 'a'",
    )
    report = send(home)
    assert report.plan.exclusions[0][0] == "no_consented_address"
    assert set(shown(home)) == {"ben@example.org"}


def test_02_without_a_consent_table_nothing_goes(home: Home) -> None:
    landed(home, "drop view staging.stg_files__consents")
    with pytest.raises(UnusableInput, match=r"no staging\.stg_files__consents: nothing is sent"):
        send(home)
    nobody = replace(context(home), policy={**load_policy().values, "systems": {"files": ["orders"]}})
    with pytest.raises(UnusableInput, match="no source system provides consents"):
        operate.send(nobody, exposures.find(nobody.manifest, "letters"))


def _failed_since(home: Home) -> None:
    log = RunLog(home)
    log.start("run-2", DAY + timedelta(days=1), False)
    log.finish("run-2", "failed", "check_marts", "a check failed", {})


def _plain_dbt(home: Home) -> None:
    landed(home, "update marts.data_quality set run_id = 'manual'")


def _old_orders(home: Home) -> None:
    landed(home, "update marts.orders set order_date = date '2026-02-01'")


def _nothing_published(home: Home) -> None:
    home.published.unlink()


DOORS: dict[str, tuple[Callable[[Home], None], datetime, dict[str, Any], str]] = {
    "a later build that failed a check": (_failed_since, NOW, {}, "failed: a check failed"),
    "a warehouse built by plain dbt": (_plain_dbt, NOW, {}, "were built by manual"),
    "sources that are not fresh": (_old_orders, NOW, {}, "the sources aren't fresh"),
    "nothing published": (_nothing_published, NOW, {}, "nothing is published"),
    "a stale build": (lambda home: None, NOW + timedelta(days=2), {}, "stale_after_hours is 36"),
    "a closed window": (lambda home: None, NOW, {"send_window": {"from": "11:00"}}, "the send window is 11:00–24:00"),
}


@pytest.mark.parametrize("door", DOORS)
def test_01_nothing_leaves_through_a_closed_door(home: Home, door: str) -> None:
    close, now, meta, message = DOORS[door]
    send(home)
    close(home)
    landed(home, "update raw.consents set status = 'withdrawn'")  # not even removals
    with pytest.raises(NothingLeaves, match=message) as error:
        send(home, now, **meta)
    assert error.value.exit_code == 1
    assert len(shown(home)) == 2
    asked = context(home, now, **meta)
    _, doors, _ = operate.plan(asked, exposures.find(asked.manifest, "letters"))
    assert any(message in one for one in doors)


def test_06_a_held_plan_is_approved_by_its_digest_or_the_beginning_of_it(home: Home) -> None:
    held = send(home, guards={"max_size": 1})
    assert (held.status, shown(home)) == ("held", {})
    asked = context(home, guards={"max_size": 1})
    with pytest.raises(UnusableInput, match="no plan of digest"):
        operate.approve(asked, "ffff" * 4)
    assert operate.approve(asked, held.plan.digest[:8]).status == "done"
    assert len(shown(home)) == 2
    with pytest.raises(UnusableInput, match="no plan"):
        operate.approve(asked, "nonsense")


def test_07_one_run_per_audience_at_a_time(home: Home) -> None:
    with operate.hold_audience(home, "letters"), pytest.raises(AudienceBusy, match="by another process"):
        send(home)
    assert send(home).status == "done"


@pytest.mark.parametrize("who", ["a", "17", "files:17", " Anna@EXAMPLE.org "])
def test_13_explain_says_from_tables_alone_where_a_person_is_and_why_not(home: Home, who: str) -> None:
    send(home)
    landed(home, "update raw.consents set status = 'withdrawn' where email like 'Anna%'")
    send(home, NOW + timedelta(hours=1))
    found = explain.explain(home, who, load_policy().values, None)
    text = "\n".join(explain.lines(found))
    assert text.startswith("Customer a\n  known as files:17")
    assert "people since 2026-02-01: bought twice" in text
    assert "letters: left out since 2026-03-02 10:00 UTC: no_consented_address (withdrawn)" in text
    assert "at the destination: not there" in text
    assert "@" not in text


def test_13_explain_of_nobody_does_not_repeat_the_address(home: Home) -> None:
    send(home)
    with pytest.raises(UnusableInput) as error:
        explain.explain(home, "who@example.org", load_policy().values, None)
    assert "@" not in str(error.value)


def test_a_suppressed_address_is_kept_as_a_keyed_hash_and_never_sent_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(home)
    assert operate.suppress(home, "email", "anna@example.org", "letter", KEY)
    assert not operate.suppress(home, "email", "anna@example.org", "again", KEY)
    with pytest.raises(UnusableInput, match="one list has one key"):
        operate.suppress(home, "email", "ben@example.org", None, KEY + b"x")
    with pytest.raises(UnusableInput, match="RITORNO_HMAC_KEY isn't set"):
        send(home)
    monkeypatch.setenv(operate.HMAC_KEY, KEY.decode())
    assert send(home).plan.exclusions == [("suppressed", "", 1)]
    assert set(shown(home)) == {"ben@example.org"}
    assert explain.explain(home, "a", load_policy().values, KEY).is_suppressed
    with duckdb.connect(str(home.state), read_only=True) as con:
        rows = con.execute("select * from publish.suppression").fetchall()
        assert con.execute("select count(*) from pii.member").fetchone() == (1,)
    assert "anna" not in json.dumps(rows, default=str)


@pytest.mark.parametrize(("text", "message"), [("", "isn't set"), ("short", "shorter than 16")])
def test_suppressing_without_a_usable_key_says_how_to_make_one(text: str, message: str) -> None:
    with pytest.raises(UnusableInput, match=message) as error:
        operate.hmac_key({operate.HMAC_KEY: text}, required=True)
    assert "openssl rand -hex 32" in str(error.value)


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"destination": {"type": "fax"}}, "destination type 'fax' is unknown"),
        (
            {"destination": {"type": "files", "path": "x", "format": "csv", "max_bach": 3}},
            "max_bach is no setting of it; did you mean",
        ),
    ],
)
def test_a_wrong_destination_names_file_and_audience(home: Home, meta: dict[str, Any], message: str) -> None:
    with pytest.raises(UnusableInput, match=message):
        send(home, **meta)


def test_two_homes_that_share_their_state_write_to_nobody_twice(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Home(tmp_path / "other")
    shutil.copytree(home.root, other.root, symlinks=True)
    other.state.unlink()
    folder = {"destination": {"type": "files", "path": str(tmp_path / "agency"), "format": "jsonl"}}
    with postgres_server() as (host, port):
        monkeypatch.setenv("RITORNO_STATE_URL", new_database(host, port, "team"))
        assert send(home, **folder).outcome.acknowledged == 2
        published(other, "run-2", DAY)
        report = send(other, **folder)
        assert (report.status, report.plan.operations) == ("done", 0)
        landed(other, "update raw.consents set status = 'withdrawn' where email like 'Anna%'")
        assert send(other, **folder).plan.counts[Kind.REMOVE] == 1
        # what the other removed, the first doesn't bring back from its older warehouse ...
        published(other, "run-3", DAY + timedelta(days=1))
        with pytest.raises(NothingLeaves, match="another home has published 2026-03-02"):
            send(home, **folder)
    # ... and without the database nothing leaves
    with pytest.raises(RitornoError, match="can't be used"):
        send(other, **folder)


def published(home: Home, run_id: str, day: date) -> None:
    """A refresh of the home that published."""
    with locked(home):
        log = RunLog(home)
        log.start(run_id, day, False)
        log.finish(run_id, "published", None, None, {})
    landed(home, f"update marts.data_quality set run_id = '{run_id}'")
    folder = home.runs / run_id
    folder.mkdir(parents=True)
    PublishedRun(run_id, day, NOW.replace(tzinfo=UTC), False, {}, {}, {}).write(folder)
    publishing._point_to(home, run_id)

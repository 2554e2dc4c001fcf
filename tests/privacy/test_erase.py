"""Erasure in a small home: landed files, a destination with files, a published run; the whole home is searched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ritorno.audiences import exposures, operate
from ritorno.errors import UnusableInput
from ritorno.home import Home
from ritorno.identity import normalise
from ritorno.identity.tables import MEMORY
from ritorno.incremental import FINISHED
from ritorno.landing import Source, land
from ritorno.policy import load_policy
from ritorno.privacy import files
from ritorno.privacy.erase import Proof, StillThere, erase, rewriter
from ritorno.privacy.person import node_key
from ritorno.publishing import Mart, publish
from tests.audiences import test_home as audiences_home

KEY = {"RITORNO_HMAC_KEY": "0123456789abcdef0123456789abcdef"}
ANNA, BEN = node_key("files", "account", "C1"), node_key("files", "account", "C2")
GUEST = node_key("files", "guest", "anna@example.org|+498912345678")
WORDS = (
    "anna@example.org",
    "12345678",
    "Anna",
    "Arendt",
    "1980-02-03",
    "grateful for nothing",
    "Rosenweg 7",
    "C1",
    GUEST,
)
"""What must be nowhere afterwards; the last one is the hash of an address, which can be guessed."""

CUSTOMERS = """customer_id,email,phone,first_name,last_name,birth_date,country,created_at,street
C1,Anna@Example.org,089 12345678,Anna,Arendt,1980-02-03,DE,2025-01-01,Rosenweg 7
C2,ben@example.org,,Ben,Brecht,1990-01-01,DE,2025-01-02,Nelkenweg 1
"""
ORDERS = """order_id,ordered_at,total,customer_id,email,phone,currency
1,2026-01-01,10.00,C1,anna@example.org,+498912345678,EUR
2,2026-01-02,20.00,,ANNA@example.org,+49 89 12345678,EUR
3,2026-02-28,30.00,C2,ben@example.org,,EUR
"""
CONSENTS = """email,channel,purpose,status,occurred_at
anna@example.org,email,marketing,given,2026-01-01
ben@example.org,email,marketing,given,2026-01-01
"""
REVIEWS = """review_id,customer_id,email,product_id,rating,created_at,text
r1,C1,,P,5,2026-01-05,grateful for nothing
r2,,ben@example.org,P,4,2026-01-05,fine
"""
REFERRALS = """referral_id,referrer_id,referrer_email,referee_email,invited_at
f1,C2,ben@example.org,anna@example.org,2026-01-01
f2,C1,anna@example.org,ben@example.org,2026-01-01
"""
FILES = {
    "customers": CUSTOMERS,
    "orders": ORDERS,
    "consents": CONSENTS,
    "reviews": REVIEWS + "broken,anna@example.org\n",
    "referrals": REFERRALS,
}


def context(home: Home) -> operate.Context:
    asked = audiences_home.context(home)
    return operate.Context(home, asked.manifest, asked.policy, now=asked.now)


def refresh(home: Home, raw: Path) -> None:
    """Land, and make by hand what the builds would make of it, as far as erasure has to do with it."""
    with duckdb.connect(str(home.warehouse)) as con:
        land(con, [Source("files", raw)], scratch=home.tmp, rewriter=rewriter(home, load_policy().values, KEY))
        con.execute(DERIVED)
        found = con.execute(
            "select distinct 'email', email from raw.orders where email is not null "
            "union select distinct 'email', email from raw.customers where email is not null "
            "union select distinct 'phone', phone from raw.orders where phone is not null"
        ).fetchall()
        read = normalise.readers("DE")
        for kind, raw_value in found:
            con.execute(
                "insert into identity.addresses values (?, ?, ?)", [kind, raw_value, read[kind](raw_value).value]
            )


DERIVED = f"""
create or replace table identity.addresses (kind varchar, raw_value varchar, value varchar);
create or replace table identity.guests (system varchar, email varchar, phone varchar, node_key varchar,
    customer_key varchar);
insert into identity.guests select 'files', email, coalesce(phone, ''), '{GUEST}', '{ANNA}' from raw.orders
where customer_id is null and email not like 'erased-%';
create or replace table marts.orders as
select order_id, cast(ordered_at as date) as order_date, cast(total as decimal(18, 2)) as net_revenue,
    case when customer_id = 'C2' then '{BEN}' when customer_id = 'C1' or email ilike 'anna%' then '{ANNA}' end
        as customer_key
from raw.orders;
create or replace table intermediate.int_canonical__reviews as select 'files' as system, * from raw.reviews;
"""

BUILT = f"""
drop table raw.consents cascade; drop view if exists staging.stg_files__consents;
delete from marts.customers; insert into marts.customers values ('{ANNA}', false), ('{BEN}', false);
delete from marts.customer_aliases; insert into marts.customer_aliases values
    ('{ANNA}', '{ANNA}', 'node_key', 'files'), ('{ANNA}', '{GUEST}', 'node_key', 'files'),
    ('{BEN}', '{BEN}', 'node_key', 'files'), ('{ANNA}', 'C1', 'source_id', 'files'),
    ('{BEN}', 'C2', 'source_id', 'files');
update marts.segment_membership set customer_key = if(customer_key = 'a', '{ANNA}', '{BEN}');
update segments.people set customer_key = if(customer_key = 'a', '{ANNA}', '{BEN}');
drop table identity.nodes;
create table identity.nodes (node_key varchar, customer_key varchar, system varchar, entity varchar,
    source_id varchar, is_personal_id boolean, last_updated_at timestamp, is_retired boolean);
insert into identity.nodes values
    ('{ANNA}', '{ANNA}', 'files', 'account', 'C1', false, timestamp '2026-01-01', false),
    ('{GUEST}', '{ANNA}', 'files', 'guest', 'anna@example.org|+498912345678', true, timestamp '2026-01-01', false),
    ('{BEN}', '{BEN}', 'files', 'account', 'C2', false, timestamp '2026-01-01', false);
delete from identity.node_addresses; insert into identity.node_addresses values
    ('{ANNA}', '{ANNA}', 'email', 'anna@example.org', timestamp '2026-01-01', false),
    ('{ANNA}', '{ANNA}', 'phone', '+498912345678', timestamp '2026-01-01', false),
    ('{BEN}', '{BEN}', 'email', 'ben@example.org', timestamp '2026-01-01', false);
"""
STAGED = """
create view staging.stg_files__consents as
select 'files' as system, email, phone, customer_id, channel, purpose, status,
    cast(occurred_at as timestamp) as occurred_at, cast(expires_at as timestamp) as expires_at,
    cast(deleted_at as timestamp) as deleted_at, cast(null as varchar) as bad_column from raw.consents
"""


@pytest.fixture(scope="module")
def first_day(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Where a shop stands that was refreshed, published and sent to files, and a copy of it as it was then.

    A shop is put back where it stood, since what it remembers names places; made anew it takes a second.
    """
    place = tmp_path_factory.mktemp("shop") / "place"
    raw = place / "raw"
    raw.mkdir(parents=True)
    for name, content in FILES.items():
        (raw / f"{name}.csv").write_text(content, encoding="utf-8")
    _make(audiences_home.make_home(place / "home"), raw)
    kept = place.with_name("kept")
    shutil.copytree(place, kept, symlinks=True)
    return place, kept


@pytest.fixture
def shop(first_day: tuple[Path, Path]) -> Home:
    """The shop, as it was."""
    place, kept = first_day
    shutil.rmtree(place)
    shutil.copytree(kept, place, symlinks=True)
    return Home(place / "home")


@pytest.fixture
def raw(shop: Home) -> Path:
    """The shop's files."""
    return shop.root.parent / "raw"


def _make(home: Home, raw: Path) -> None:
    with duckdb.connect(str(home.warehouse)) as con:
        con.execute(BUILT)
    refresh(home, raw)
    with duckdb.connect(str(home.warehouse)) as con:
        con.execute(STAGED)
    day = audiences_home.DAY
    shutil.rmtree(home.runs / "run-1")
    marts = [Mart(name, "marts") for name in ("orders", "customer_aliases", "segment_membership")]
    publish(home, marts, "run-0", day)
    publish(home, marts, "run-1", day)
    asked = context(home)
    report = operate.send(asked, exposures.find(asked.manifest, "letters"))
    assert (report.status, report.outcome.acknowledged) == ("done", 2)
    (home.logs / "old.log").write_text("could not read Anna@example.org\n", encoding="utf-8")


def values(path: Path) -> list[str]:
    """Every text of a database or Parquet file, decompressed."""
    with duckdb.connect(":memory:") as con:
        if path.suffix == ".parquet":
            relations = [f"read_parquet('{path}')"]
        else:
            con.execute(f"attach '{path}' as one (read_only)")
            relations = [
                f'one."{schema}"."{table}"'
                for schema, table in con.execute("select schema_name, table_name from duckdb_tables()").fetchall()
            ]
        return [str(row) for relation in relations for row in con.execute(f"from {relation}").fetchall()]


def found(home: Home, words: Sequence[str] = WORDS) -> set[str]:
    """Files of the home in which a word stands, in bytes or in values."""
    places = set()
    for path in home.root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            texts = values(path) if path.suffix in (".duckdb", ".parquet") else []
            long = [word for word in words if len(word) > 4]
            if files.contains(path, long) or any(
                f"'{word}'".lower() in text.lower() or (len(word) > 4 and word.lower() in text.lower())
                for text in texts
                for word in words
            ):
                places.add(str(path.relative_to(home.root)))
    return places


def revenue(home: Home) -> list[Any]:
    with duckdb.connect(str(home.warehouse), read_only=True) as con:
        rows: list[Any] = con.execute(
            "select order_date, count(*), sum(net_revenue), count(customer_key) from marts.orders group by all "
            "order by order_date"
        ).fetchall()
    return rows


def ask(home: Home, text: str = "anna@example.org", **more: Any) -> Proof:
    return erase(context(home), text, KEY, **more)


@pytest.mark.parametrize("text", ["Anna@Example.org ", "files:C1", ANNA])
def test_nothing_in_the_whole_home_holds_an_erased_person(shop: Home, text: str) -> None:
    before = revenue(shop)
    assert {"warehouse.duckdb", "state.duckdb", "logs/old.log"} < found(shop)
    proof = ask(shop, text)
    assert found(shop) == set()
    assert (proof.status, proof.destinations["letters"]["state"]) == ("erased", "acknowledged")
    assert audiences_home.shown(shop).keys() == {"ben@example.org"}
    assert revenue(shop) == before
    assert [path.name for path in shop.runs.iterdir()] == ["run-1"]


def test_orders_and_everybody_else_stay_as_they_were(shop: Home, raw: Path) -> None:
    ask(shop)
    with duckdb.connect(str(shop.warehouse), read_only=True) as con:
        orders = con.execute("select order_id, total, customer_id, email, phone from raw.orders order by 1").fetchall()
        assert [row[:2] for row in orders] == [("1", "10.00"), ("2", "20.00"), ("3", "30.00")]
        assert orders[2] == ("3", "30.00", "C2", "ben@example.org", None)
        mail = orders[0][3]
        assert mail.endswith("@erased.invalid")
        assert orders[1][2:] == (None, mail, None)
        invitations = con.execute("select referrer_id, referrer_email, referee_email from raw.referrals order by 1")
        assert invitations.fetchall() == [
            ("C2", "ben@example.org", mail), (f"{mail.split('@')[0]}-1", mail, "ben@example.org")
        ]  # fmt: skip
        assert con.execute("select street, country from raw.customers order by customer_id").fetchall() == [
            ("Nelkenweg 1", "DE"), (None, "DE")
        ]  # fmt: skip
        assert con.execute("select text from raw.reviews order by review_id").fetchall() == [(None,), ("fine",)]


def test_an_old_file_brings_nobody_back_not_even_changed_nor_with_a_new_account(shop: Home, raw: Path) -> None:
    before = revenue(shop)
    ask(shop)
    (raw / "orders.csv").write_text(
        ORDERS.replace("\n1,", "\n4,2026-01-01,0.00,C9, anna@EXAMPLE.org,,EUR\n1,"), encoding="utf-8"
    )
    (raw / "customers.csv").write_text(CUSTOMERS + "C7,anna@example.org,,Anna,Arendt,,DE,2026-02-01,\n", "utf-8")
    (raw / "reviews.csv").write_text(REVIEWS + "once more broken,anna@example.org\n", "utf-8")
    refresh(shop, raw)
    with duckdb.connect(str(shop.warehouse), read_only=True) as con:
        ids = con.execute("select customer_id from raw.orders order by order_id").fetchall()
        assert [str(one[0]).startswith("erased-") for one in ids] == [True, False, False, True]
        assert con.execute("select count(*) from raw.customers where first_name = 'Anna'").fetchone() == (0,)
        assert con.execute("select value from landing.rejects").fetchall() == [("[erased]",)]
    files.compact(shop.warehouse)
    assert found(shop, (*WORDS, "C7", "C9")) == set()
    assert sum(row[2] for row in revenue(shop)) == sum(row[2] for row in before)


def test_the_run_after_an_erasure_builds_everything_in_full(shop: Home) -> None:
    """Tables that outlive a run were written over: no account of the last run tells what of them."""
    with duckdb.connect(str(shop.warehouse)) as con:
        con.execute("create schema if not exists intermediate")
        for name in FINISHED:
            con.execute(f"create or replace table intermediate.{name} as select 'last' as run_id")
        for name in MEMORY:
            con.execute(f"create or replace table identity.{name} as select 'last' as run_id")
    ask(shop)
    with duckdb.connect(str(shop.warehouse), read_only=True) as con:
        assert con.execute("from duckdb_tables() where table_name like 'int_changes%done'").fetchall() == []
        left = con.execute("select table_name from duckdb_tables() where schema_name = 'identity'").fetchall()
        assert {name for (name,) in left}.isdisjoint(MEMORY)


def test_without_the_key_nothing_lands_where_somebody_was_erased(shop: Home, raw: Path) -> None:
    ask(shop)
    for environment in ({}, {"RITORNO_HMAC_KEY": "another key of sufficient length"}):
        with pytest.raises(UnusableInput, match="RITORNO_HMAC_KEY"):
            rewriter(shop, load_policy().values, environment)


def test_a_table_that_was_forgotten_is_found_and_nothing_is_ended(shop: Home) -> None:
    with pytest.raises(StillThere, match=r"raw\.referrals"):
        ask(shop, skip_tables=("referrals",))
    assert ask(shop).status == "erased"
    assert found(shop) == set()


POINTS = ("frozen", "rewritten", "runs", "warehouse_compacted", "forgotten")


class Killed(BaseException):
    pass


@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_and_run_again_it_ends_the_same(shop: Home, point: str) -> None:
    def stop(name: str) -> None:
        if name == point:
            raise Killed

    with pytest.raises(Killed):
        ask(shop, checkpoint=stop)
    assert ask(shop).status == "erased"
    assert found(shop) == set()
    assert audiences_home.shown(shop).keys() == {"ben@example.org"}


def test_a_second_run_changes_nothing_and_a_destination_that_is_away_keeps_it_pending(
    shop: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise UnusableInput("the destination is away")

    with monkeypatch.context() as patched:
        patched.setattr(operate, "make_destination", away)
        proof = ask(shop)
    assert proof.status == "pending"
    assert proof.destinations["letters"]["reason"] == "the destination is away"
    with duckdb.connect(str(shop.state), read_only=True) as con:
        assert con.execute("select count(*) from pii.erasing").fetchone() == (0,)
        assert con.execute("select count(*) from pii.member").fetchone() == (2,)  # or nobody could remove them
    assert ask(shop, proof.customer_key).status == "erased"
    assert found(shop) == set()
    again = ask(shop)
    assert again == Proof.read(shop, proof.token)
    assert again.status == "erased"


def test_the_proof_says_what_was_done_and_holds_nobody(shop: Home, raw: Path) -> None:
    proof = ask(shop)
    text = Proof.path(shop, proof.token).read_text(encoding="utf-8")
    assert not [word for word in WORDS if len(word) > 4 and word.lower() in text.lower()]
    read = json.loads(text)
    assert read["raw"] == {"orders": 2, "customers": 1, "consents": 1, "reviews": 1, "referrals": 2}
    assert set(read["input_files"]) == {str(raw / f"{name}.csv") for name in FILES}
    assert (raw / "orders.csv").read_text(encoding="utf-8") == ORDERS


def test_an_address_that_somebody_else_has_too_stays_theirs(shop: Home) -> None:
    with duckdb.connect(str(shop.warehouse)) as con:
        con.execute(
            f"insert into identity.node_addresses values ('{BEN}', '{BEN}', 'phone', '+498912345678', null, true)"
        )
        con.execute("update raw.orders set phone = '+498912345678' where order_id = '3'")
    assert ask(shop).shared_addresses_kept == 1
    with duckdb.connect(str(shop.warehouse), read_only=True) as con:
        phones = con.execute("select phone from raw.orders order by order_id").fetchall()
    assert phones == [(None,), (None,), ("+498912345678",)]


def test_suppression_outlives_the_erasure(shop: Home) -> None:
    ask(shop)
    with duckdb.connect(str(shop.state), read_only=True) as con:
        kinds = con.execute("select kind from publish.suppression order by 1").fetchall()
    assert kinds == [("email",), ("phone",)]


@pytest.mark.parametrize("at", range(24))
def test_a_text_is_found_wherever_a_file_is_cut_into_pieces(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_CHUNK", 8)
    path = tmp_path / "file"
    path.write_bytes(b"\x00" * at + b"anna@EXAMPLE.org" + b"\xff" * 30)
    assert files.contains(path, ["ben@example.org", "Anna@Example.org"])
    assert not files.contains(path, ["ben@example.org", "anna@example.com", "anna@example.orgs"])
    assert not files.contains(path, [])

"""What is particular to one destination: signatures, pinned keys, conditional puts, transactions, statuses."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable
from datetime import date
from typing import Any

import asyncssh
import psycopg2
import pytest

from ritorno.audiences.destinations.base import Answer, Batch, Kind, Member, NotSent, RefusedBatch, Unanswered
from tests.audiences.destinations.cases import AUDIENCE, CASES, PLATFORMS, Case, hashed, made
from tests.audiences.destinations.servers import HttpServer, Reply, SftpServer

ANNE = Member("anne@shop.example", {"first_name": "Anne"})


def batch(kind: Kind = Kind.ADD, *members: Member, key: str = "key-1") -> Batch:
    return Batch(AUDIENCE, key, kind, members or (ANNE,))


# ---------------------------------------------------------------- HTTP


def webhook_at(url: str, **more: float) -> Any:
    environment = {"HOOK": "whsec_" + base64.b64encode(b"0123456789abcdef").decode()}
    return made("webhook", {"url": url, "secret_env": "HOOK", **more}, environment)


@pytest.fixture
def webhook(http: HttpServer) -> Any:
    sender = webhook_at(http.url)
    yield sender
    sender.close()


@pytest.mark.parametrize(
    ("reply", "expected", "wait"),
    [
        (Reply(429, None, {"Retry-After": "7"}), NotSent, 7.0),
        (Reply(429), NotSent, None),
        (Reply(503, None, {"Retry-After": "120"}), NotSent, 120.0),
        # A gateway's 503 says nothing about what the server behind it has done.
        (Reply(503), Unanswered, None),
        (Reply(500), Unanswered, None),
        (Reply(502), Unanswered, None),
        (Reply(504), Unanswered, None),
        (Reply(408), Unanswered, None),
        (Reply(409), Unanswered, None),
        (Reply(400, {"error": "anne@shop.example is odd"}), RefusedBatch, None),
        (Reply(413), RefusedBatch, None),
        (Reply(422), RefusedBatch, None),
        # Wrong settings are not the members' fault: nobody may end in the dead letters for an expired token.
        (Reply(401), NotSent, None),
        (Reply(403), NotSent, None),
        (Reply(404), NotSent, None),
        (Reply(302, None, {"Location": "https://elsewhere.example/"}), NotSent, None),
    ],
    ids=lambda value: f"{value.status} {' '.join(value.headers)}" if isinstance(value, Reply) else "",
)
def test_every_status_has_one_meaning(webhook: Any, http: HttpServer, reply: Reply, expected: type, wait: Any) -> None:
    http.faults.put(reply)
    with pytest.raises(expected) as raised:
        webhook.send(batch())
    assert type(raised.value) is expected
    if expected is NotSent:
        assert raised.value.retry_after == wait
    assert "anne" not in str(raised.value)
    assert len(http.requests) == 1, "redirects are not followed, nothing is tried again behind the engine's back"


@pytest.mark.parametrize("fault", ["lose", "drop", "delay"])
def test_a_lost_or_late_answer_is_unanswered(webhook: Any, http: HttpServer, fault: str) -> None:
    http.faults.put(fault)
    # Nobody else is in a hurry: on a busy machine an answer in time takes half a second, too.
    sender = webhook_at(http.url, **({"timeout_seconds": 0.3} if fault == "delay" else {}))
    with contextlib.closing(sender), pytest.raises(Unanswered):
        sender.send(batch())
    assert webhook.send(batch()) == Answer()


def test_a_webhook_is_signed_as_the_specification_says_and_carries_the_idempotency_key(
    webhook: Any, http: HttpServer
) -> None:
    for _ in range(2):
        webhook.send(batch(key="key-7"))
    for request in http.requests:
        headers = {name.lower(): value for name, value in request.headers.items()}
        assert headers["webhook-id"] == headers["idempotency-key"] == "key-7"
        assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
        signed = b".".join([b"key-7", headers["webhook-timestamp"].encode(), request.body])
        digest = hmac.new(b"0123456789abcdef", signed, hashlib.sha256).digest()
        assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    assert http.requests[0].body == http.requests[1].body
    assert http.requests[0].json == {
        "audience": AUDIENCE,
        "operation": "add",
        "members": [{"id": "anne@shop.example", "fields": {"first_name": "Anne"}}],
    }


def test_the_signature_of_the_specifications_own_example_comes_out() -> None:
    from ritorno.audiences.destinations.webhook import signature

    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    assert signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body) == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_half_of_a_batch_may_be_accepted(webhook: Any, http: HttpServer) -> None:
    people = [Member(f"p{number}@shop.example") for number in range(10)]
    refused = [{"id": member.member_id, "reason": f"{member.member_id} is on hold"} for member in people[::2]]
    http.application = lambda request: Reply(207, {"refused": [*refused, {"id": "stranger@x.example"}, "odd"]})
    answer = webhook.send(batch(Kind.ADD, *people))
    assert [one.member_id for one in answer.refused] == [member.member_id for member in people[::2]]
    assert {one.reason for one in answer.refused} == {"… is on hold"}


# ---------------------------------------------------------------- PostgreSQL


@pytest.fixture
def crm(postgres_address: tuple[str, int]) -> Any:
    host, port = postgres_address
    dsn = f"postgresql://ritorno@{host}:{port}/postgres"
    with contextlib.closing(psycopg2.connect(dsn)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            schema = f"crm_{uuid.uuid4().hex[:8]}"
            cursor.execute(f"create schema {schema}")

            def sender(**more: object) -> Any:
                settings = {"dsn_env": "DSN", "table": f"{schema}.members", **more}
                return made("postgres", settings, {"DSN": dsn})

            yield cursor, schema, sender


def test_a_batch_is_one_transaction_and_a_refusal_of_the_table_says_nothing_personal(crm: Any) -> None:
    cursor, schema, make = crm
    cursor.execute(
        f"create table {schema}.members (audience text, member_id text, fields jsonb, updated_at timestamptz,"
        " primary key (audience, member_id), constraint no_odd_names check (member_id not like 'odd%'))"
    )
    sender = make()
    with pytest.raises(RefusedBatch) as refused:
        sender.send(batch(Kind.ADD, ANNE, Member("odd@shop.example")))
    assert "no_odd_names" in str(refused.value)
    assert "odd@" not in str(refused.value)
    cursor.execute(f"select count(*) from {schema}.members")
    assert cursor.fetchone() == (0,)
    assert sender.send(batch(Kind.ADD, ANNE)) == Answer()
    sender.close()


def test_an_unchanged_row_keeps_its_time_and_a_changed_one_its_beginning(crm: Any) -> None:
    cursor, schema, make = crm
    sender = make(columns={"first_name": "text", "since": "date"})
    one, two = (Member(f"p{n}@shop.example", {"first_name": "A", "since": date(2026, 1, n)}) for n in (1, 2))
    sender.send(batch(Kind.ADD, one, two))
    cursor.execute(f"select member_id, added_at, updated_at from {schema}.members order by 1")
    before = cursor.fetchall()
    changed = Member(two.member_id, {**two.fields, "first_name": None})
    sender.send(batch(Kind.UPDATE, one, changed))
    cursor.execute(f"select member_id, added_at, updated_at from {schema}.members order by 1")
    after = cursor.fetchall()
    assert after[0] == before[0]
    assert after[1][1] == before[1][1]
    assert after[1][2] > before[1][2]
    assert sorted(sender.read_back(AUDIENCE), key=lambda member: member.member_id) == [one, changed]
    sender.close()


def test_a_table_that_lacks_something_or_is_locked_is_not_sent(crm: Any, postgres_address: tuple[str, int]) -> None:
    _, schema, make = crm
    with pytest.raises(NotSent, match="needs audience, member_id"):
        make(create=False).send(batch())
    sender = make()
    sender.send(batch())
    host, port = postgres_address
    with contextlib.closing(psycopg2.connect(host=host, port=port, user="ritorno", dbname="postgres")) as other:
        other.cursor().execute(f"lock table {schema}.members")
        with contextlib.closing(make(timeout_seconds=1)) as hasty, pytest.raises(NotSent):
            hasty.send(batch(Kind.REMOVE, Member(ANNE.member_id)))
    assert sender.send(batch(Kind.REMOVE, Member(ANNE.member_id))) == Answer()
    sender.close()


def test_a_connection_that_the_server_ended_is_made_anew(crm: Any) -> None:
    cursor, _, make = crm
    sender = make()
    sender.send(batch())
    idle = "from pg_stat_activity where application_name = 'ritorno' and state = 'idle'"
    cursor.execute(f"select bool_and(pg_terminate_backend(pid, 30000)) {idle}")  # waits until they have ended
    assert cursor.fetchone() == (True,)
    with pytest.raises(NotSent):
        sender.send(batch())
    assert sender.send(batch()) == Answer()
    sender.close()


def test_audiences_share_a_table_and_not_their_members(crm: Any) -> None:
    _, _, make = crm
    sender = make()
    sender.send(batch())
    sender.send(Batch("vip", "k", Kind.ADD, (ANNE,)))
    sender.send(batch(Kind.ERASE, Member(ANNE.member_id)))
    assert [len(list(sender.read_back(name))) for name in (AUDIENCE, "vip")] == [0, 1]
    sender.close()


# ---------------------------------------------------------------- SFTP


def test_a_server_with_another_key_gets_nothing(sftp_server: SftpServer) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    folder = f"pinned-{uuid.uuid4().hex[:8]}"
    settings = {"host": "127.0.0.1", "port": sftp_server.port, "username": "ritorno", "path": f"/{folder}"}
    settings |= {"format": "csv", "password_env": "PASSWORD"}
    sender = made("sftp", {**settings, "host_key": stranger}, {"PASSWORD": "sesame"})
    with pytest.raises(NotSent, match="another key than host_key"):
        sender.send(batch())
    sender.close()
    wrong = made("sftp", {**settings, "host_key": sftp_server.host_key}, {"PASSWORD": "wrong"})
    with pytest.raises(NotSent, match="refused the credentials of ritorno"):
        wrong.send(batch())
    wrong.close()
    assert not (sftp_server.root / folder).exists()


# ---------------------------------------------------------------- marketing platforms


def platform(name: str, http: HttpServer, **more: object) -> Any:
    return made(name, {"base_url": http.url, **PLATFORMS[name][1], **more}, {"TOKEN": "sesame"})


@pytest.mark.parametrize(
    ("name", "most", "member_id"),
    [
        ("klaviyo", 1_000, lambda n: f"p{n}@shop.example"),
        ("braze", 75, lambda n: f"c{n}"),
        ("customerio", 1_000, lambda n: f"c{n}"),
        ("hubspot", 100, lambda n: f"p{n}@shop.example"),
        ("meta", 10_000, hashed),
        ("google", 10_000, hashed),
    ],
)
def test_the_largest_batch_keeps_to_the_platforms_limits(
    request: pytest.FixtureRequest, name: str, most: int, member_id: Callable[[int], str]
) -> None:
    case: Case = CASES[name](request)
    sender = case.make()
    assert sender.max_batch == most
    large = {} if name in ("meta", "google") else {"note": "ö" * 400}
    people = [Member(member_id(number), large) for number in range(most)]
    for kind in (Kind.ADD, Kind.REMOVE, Kind.ADD):
        assert sender.send(batch(kind, *people)) == Answer()
        assert len(case.seen()) == (most if kind is Kind.ADD else 0)
    if name in ("klaviyo", "hubspot"):
        people = people[:20]  # a call a person
    assert sender.send(batch(Kind.ERASE, *people)) == Answer()
    assert len(case.seen()) == (most - 20 if name in ("klaviyo", "hubspot") else 0)
    sender.close()


@pytest.mark.parametrize(("name", "size"), [("klaviyo", 100_000), ("customerio", 40_000)])
def test_a_person_with_too_many_bytes_is_refused_alone(request: pytest.FixtureRequest, name: str, size: int) -> None:
    case: Case = CASES[name](request)
    sender = case.make()
    answer = sender.send(batch(Kind.ADD, Member("big@shop.example", {"note": "x" * size}), case.member(1)))
    assert [one.member_id for one in answer.refused] == ["big@shop.example"]
    assert set(case.seen()) == {case.member_id(1)}
    sender.close()


@pytest.mark.parametrize("name", ["customerio", "hubspot", "klaviyo", "braze"])
def test_a_failure_after_the_first_call_of_a_batch_is_unanswered(http: HttpServer, name: str) -> None:
    count = iter(range(100))
    later = Reply(429, None, {"Retry-After": "5"})
    results = {"results": [{"id": "1", "properties": {"email": ANNE.member_id}}]}
    http.application = lambda request: Reply(200, results) if next(count) == 0 else later
    kind = Kind.ADD if name in ("customerio", "hubspot") else Kind.ERASE
    people = (ANNE, *(Member(f"p{number}@shop.example") for number in range(60)))
    sender = platform(name, http)
    with pytest.raises(Unanswered, match="429"):
        sender.send(batch(kind, *people))
    sender.close()


def test_an_address_in_clear_never_reaches_a_platform_that_wants_hashes(http: HttpServer) -> None:
    for name in ("meta", "google"):
        sender = platform(name, http)
        answer = sender.send(batch(Kind.ADD, Member("anne@shop.example"), Member("email:anne@shop.example")))
        assert len(answer.refused) == 2
        with pytest.raises(NotSent, match="takes no field favourite"):
            sender.send(batch(Kind.ADD, Member(hashed(1), {"favourite": "shoes"})))
        sender.close()
    assert http.requests == []


def test_meta_gets_names_normalised_and_hashed_beside_the_key(http: HttpServer) -> None:
    sender = platform("meta", http)
    fields = {"first_name": " Anna-Lena ", "last_name": "O’Neill", "postal_code": "12345-678", "country": "DE"}
    sender.send(batch(Kind.ADD, Member(hashed(1), {**fields, "city": None}), Member(hashed(2), {"country": "FR"})))
    payload = http.requests[0].json["payload"]
    assert payload["schema"] == ["EMAIL", "FN", "LN", "ZIP", "COUNTRY"]
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in ("annalena", "oneill", "12345678", "de")]
    assert payload["data"][0] == [hashed(1).removeprefix("email:"), *digests]
    assert payload["data"][1][1:4] == ["", "", ""]
    sender.close()


def test_an_entry_that_meta_finds_invalid_refuses_the_batch_so_that_it_is_halved(http: HttpServer) -> None:
    sender = platform("meta", http)
    http.application = lambda request: Reply(200, {"num_received": 2, "num_invalid_entries": 1})
    with pytest.raises(RefusedBatch, match="1 of 2 entries invalid"):
        sender.send(batch(Kind.ADD, Member(hashed(1)), Member(hashed(2))))
    sender.close()


def test_google_gets_an_address_only_if_it_is_complete(http: HttpServer) -> None:
    sender = platform("google", http)
    whole = {"first_name": " Anna ", "last_name": "Doe", "country": "de", "postal_code": "10115"}
    sender.send(batch(Kind.ADD, Member(hashed(1), whole), Member(hashed(2), {**whole, "postal_code": None})))
    first, second = (one["userData"]["userIdentifiers"] for one in http.requests[0].json["audienceMembers"])
    assert first[1]["address"] == {
        "givenName": hashlib.sha256(b"anna").hexdigest(),
        "familyName": hashlib.sha256(b"doe").hexdigest(),
        "regionCode": "DE",
        "postalCode": "10115",
    }
    assert len(second) == 1
    sender.close()


def test_a_null_clears_what_stood_there(http: HttpServer) -> None:
    people = (Member("anne@shop.example", {"first_name": None, "favourite": None}),)
    for name in ("klaviyo", "hubspot"):
        sender = platform(name, http)
        sender.send(batch(Kind.UPDATE, *people))
        sent = json.dumps(http.requests[0].json)
        assert '"first_name": ""' in sent
        assert '"favourite": ""' in sent
        http.requests.clear()
        sender.close()

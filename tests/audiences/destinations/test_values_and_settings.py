"""What leaves, how it is spelt, and what is refused before anything leaves."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ritorno.audiences.destinations.base import Member
from ritorno.audiences.destinations.columns import FORMATS, Columns
from ritorno.audiences.destinations.http import retry_after
from ritorno.audiences.destinations.registry import BUILT_IN, destination, fields_taken
from ritorno.audiences.destinations.values import UnsendableValue, as_json, harmless
from ritorno.errors import UnusableInput
from tests.audiences.destinations.cases import DOCUMENTATION, PLATFORMS, made
from tests.support.examples import many

# ---------------------------------------------------------------- values

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
VALUES = {
    "text": TEXTS,
    "integer": st.integers(-(2**63), 2**63 - 1),
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "decimal": st.decimals(-(10**12), 10**12, places=2, allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "date": st.dates(date(1900, 1, 1), date(2200, 1, 1)),
    "timestamp": st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),
}


@settings(max_examples=many(25))
@given(data=st.data(), form=st.sampled_from(FORMATS))
def test_every_value_comes_back_exactly_from_every_format(data: st.DataObject, form: str) -> None:
    fields = st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()})
    rows = [
        Member(f"{number},\"'\n{data.draw(TEXTS)}", data.draw(fields)) for number in range(data.draw(st.integers(1, 4)))
    ]
    columns = Columns({name: name for name in VALUES})
    fitted = [columns.row(row) for row in rows]
    assert columns.decode(columns.encode(fitted, form), form) == fitted == rows


def test_an_empty_text_and_a_missing_one_stay_apart_in_csv() -> None:
    columns = Columns({"note": "text"})
    rows = [Member("a", {"note": ""}), Member("b", {"note": None})]
    assert columns.decode(columns.encode(rows, "csv"), "csv") == rows


@pytest.mark.parametrize(
    ("value", "column", "reason"),
    [
        (float("nan"), "number", "is no finite number"),
        (2**63, "integer", "is larger than 64 bits hold"),
        (Decimal("0.0000000001"), "decimal", "has more digits than"),
        (Decimal("Infinity"), "decimal", "has more digits than"),
        ("7", "integer", "is a text where the column holds integer"),
        (True, "integer", "is a boolean where the column holds integer"),
        (datetime(2026, 6, 30), "date", "is a timestamp where the column holds date"),
    ],
)
def test_a_value_that_its_column_cannot_hold_is_refused_by_field(value: Any, column: str, reason: str) -> None:
    with pytest.raises(UnsendableValue, match=f"field score {reason}"):
        Columns({"score": column}).row(Member("a", {"score": value}))


def test_money_is_readable_in_csv() -> None:
    columns = Columns({"spent": "decimal"})
    shown = columns.encode([columns.row(Member("a", {"spent": Decimal("1200.50")}))], "csv").decode()
    assert shown.splitlines()[1] == '"a","1200.5"'


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Decimal("12.50"), 12.5),
        (Decimal("3"), 3),
        (date(2026, 6, 30), "2026-06-30"),
        (datetime(2026, 6, 30, 12, tzinfo=timezone(timedelta(hours=2))), "2026-06-30T10:00:00Z"),
        (datetime(2026, 6, 30, 12), "2026-06-30T12:00:00Z"),
        (True, True),
        (None, None),
    ],
)
def test_json_values_have_one_spelling(value: Any, shown: object) -> None:
    assert as_json(value) == shown
    assert type(as_json(value)) is type(shown)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (Decimal("NaN"), "no finite number"),
        (float("inf"), "no finite number"),
        (Decimal("1234567890123456.78"), "more digits"),
        ("\ud800", "no valid Unicode"),
        ("a\x00", "NUL"),
    ],
)
def test_a_value_that_cannot_be_sent_exactly_is_refused(value: Any, reason: str) -> None:
    with pytest.raises(UnsendableValue, match=reason):
        as_json(value)


def test_a_platforms_reason_loses_every_address_hash_phone_and_value_of_the_member() -> None:
    member = Member("anne@shop.example", {"first_name": "Annabell"})
    said = "ANNE@shop.example (Annabell, +49 170 1234567, " + "ab" * 32 + ", other@b.example)\nis on hold"
    cleaned = harmless(said, [member])
    for secret in ("anne", "annabell", "1234567", "abab", "other", "\n"):
        assert secret not in cleaned.lower()
    assert cleaned.endswith("is on hold")
    assert len(harmless("x" * 1000)) <= 160


# ---------------------------------------------------------------- waiting


def test_retry_after_is_read_in_every_form() -> None:
    now = datetime(2026, 6, 30, 12, tzinfo=UTC)
    assert retry_after({"Retry-After": "7"}, now) == 7
    assert retry_after({"Retry-After": "Tue, 30 Jun 2026 12:01:00 GMT"}, now) == 60
    assert retry_after({"Retry-After": "Tue, 30 Jun 2026 11:00:00 GMT"}, now) == 0
    assert retry_after({"X-RateLimit-Reset": str(int(now.timestamp()) + 30)}, now) == 30
    assert retry_after({"X-RateLimit-Reset": "12"}, now) == 12
    assert retry_after({"Retry-After": "99999999"}, now) == 86_400
    for nonsense in ({}, {"Retry-After": "soon"}, {"Retry-After": "nan"}, {"X-RateLimit-Reset": "never"}):
        assert retry_after(nonsense, now) is None


# ---------------------------------------------------------------- settings

WEBHOOK = {"url": "https://crm.example/hook", "secret_env": "HOOK"}
FILES = {"path": "/srv/drop", "format": "csv"}
POSTGRES = {"dsn_env": "DSN", "table": "crm.members"}
S3 = {"bucket": "crm", "format": "csv"}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ3pPqSO4SdBrsWJaW+jf2dHGCZWVMPC3bhsXxcXQ2kz"
SFTP = {"host": "h", "username": "u", "host_key": KEY, "path": "/in", "format": "csv", "password_env": "SECRET"}
MAILMAN = {"list_id": "a.lists.example", "password_env": "SECRET"}
ENVIRONMENT = {"HOOK": "s3cret", "DSN": "postgresql://u@db/x", "SECRET": "sesame", "TOKEN": "sesame"}
GONE = object()

WRONG: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("webhook", WEBHOOK, {"url": GONE}, "url is missing"),
    ("webhook", WEBHOOK, {"url": "crm.example"}, "url is no URL"),
    ("webhook", WEBHOOK, {"url": "http://crm.example/hook"}, "url goes to crm.example by http"),
    ("webhook", WEBHOOK, {"url": "https://me:sesame@crm.example"}, "url holds a user or password"),
    ("webhook", WEBHOOK, {"secret_env": "NOT_SET"}, "NOT_SET, which isn't set"),
    ("webhook", WEBHOOK, {"secret_env": "s3cret-itself!"}, "secret_env is no name of an environment variable"),
    ("webhook", WEBHOOK, {"max_bach": 5}, "max_bach is no setting of it; did you mean max_batch?"),
    ("webhook", WEBHOOK, {"max_batch": 0}, "max_batch is 0: give a whole number from 1"),
    ("webhook", WEBHOOK, {"max_batch": True}, "max_batch is True"),
    ("webhook", WEBHOOK, {"timeout_seconds": "30"}, "timeout_seconds is '30': give seconds"),
    ("files", FILES, {"path": "drop"}, "path is 'drop': give an absolute path"),
    ("files", FILES, {"path": "/etc/hostname"}, "a file: give a folder"),
    ("files", FILES, {"format": "xlsx"}, "format is 'xlsx': give one of csv, jsonl, parquet"),
    ("files", FILES, {"columns": {"spent": "money"}}, "columns gives spent the type 'money'"),
    ("files", FILES, {"columns": ["spent"]}, "give a mapping"),
    ("postgres", POSTGRES, {"table": "a.b.c"}, "table is 'a.b.c'"),
    ("postgres", POSTGRES, {"columns": {"audience": "text"}}, "names audience, which the table has already"),
    ("postgres", POSTGRES, {"dsn_env": "TOKEN"}, "holds no connection string"),
    ("postgres", POSTGRES, {"create": "yes"}, "create is 'yes': give true or false"),
    ("s3", S3, {"access_key_env": "TOKEN"}, "secret_key_env is missing"),
    ("s3", S3, {"bucket": "../crm"}, "bucket is '../crm'"),
    ("sftp", SFTP, {"host_key": "AA:BB"}, "host_key is no public key"),
    ("sftp", SFTP, {"password_env": GONE}, "password_env or private_key_env is needed"),
    ("sftp", SFTP, {"password_env": GONE, "private_key_env": "SECRET"}, "no unencrypted OpenSSH private key"),
    ("mailman", MAILMAN, {"url": "http://mail.example:8001/3.1"}, "use https"),
    ("mailman", MAILMAN, {"list_id": "a@lists.example"}, "list_id is 'a@lists.example'"),
    ("meta", PLATFORMS["meta"][1], {"api_version": "25"}, "api_version is '25'"),
    ("meta", PLATFORMS["meta"][1], {"max_batch": 10_001}, "from 1 to 10000"),
    ("google", PLATFORMS["google"][1], {"terms_accepted": False}, "terms_accepted isn't true"),
    ("braze", {**PLATFORMS["braze"][1], "base_url": "https://rest.example"}, {"max_batch": 76}, "from 1 to 75"),
    ("customerio", PLATFORMS["customerio"][1], {"region": "mars"}, "region is 'mars': give one of eu, us"),
    ("customerio", PLATFORMS["customerio"][1], {"segment_id": "x"}, "segment_id is 'x': give a whole number"),
]


@pytest.mark.parametrize(("kind", "settings", "change", "message"), WRONG)
def test_wrong_settings_are_refused_by_name_with_the_remedy_and_without_secrets(
    kind: str, settings: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    made(kind, settings, ENVIRONMENT).close()
    wrong = {name: value for name, value in {**settings, **change}.items() if value is not GONE}
    with pytest.raises(UnusableInput) as refused:
        made(kind, wrong, ENVIRONMENT)
    assert message in str(refused.value)
    assert str(refused.value).startswith(f"destination {kind}: ")
    for secret in ("sesame", "s3cret"):
        assert secret not in str(refused.value)


def test_the_documentation_has_every_type_and_its_example_is_valid() -> None:
    text = DOCUMENTATION.read_text()
    assert [name for name in BUILT_IN if f"| `{name}` |" not in text and f"`{name}`, " not in text] == []
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    shown = yaml.safe_load(example)["destination"]
    made(shown["type"], shown, {"CRM_DSN": "postgresql://ritorno:sesame@db.example/crm"}).close()


def test_every_type_in_the_registry_loads_and_an_unknown_one_lists_them() -> None:
    for name in BUILT_IN:
        assert destination(name).type == name
    with pytest.raises(UnusableInput, match="is unknown: give one of braze, customerio"):
        destination("hightouch")
    with pytest.raises(UnusableInput, match="can't be loaded"):
        destination("no_such_module:Class")
    with pytest.raises(UnusableInput, match="it lacks type, modes"):
        destination("decimal:Decimal")


def test_only_a_few_fields_go_where_everything_is_hashed() -> None:
    assert fields_taken(destination("google")) == {"first_name", "last_name", "country", "postal_code"}
    assert fields_taken(destination("webhook")) is None


def test_json_of_a_manifest_is_what_a_stranger_expects() -> None:
    assert json.loads(json.dumps({"a": as_json(Decimal("0.1"))})) == {"a": 0.1}

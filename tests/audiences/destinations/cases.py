"""Every destination as the conformance suite meets it: made against a real server, and seen without its own code."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pyarrow.parquet
import pytest

from ritorno.audiences.destinations.base import Answer, Batch, Destination, Member
from ritorno.audiences.destinations.registry import destination
from tests.audiences.destinations import platforms
from tests.audiences.destinations.servers import (
    MAILMAN_LOGIN,
    HttpServer,
    Proxy,
    Reply,
    Request,
    SftpServer,
    free_port,
)

AUDIENCE = "at_risk"
Seen = dict[str, dict[str, Any]]


@dataclass
class Case:
    """One destination, and what the suite has to know about it."""

    name: str
    make: Callable[[], Destination]
    """A new object for the same place."""
    seen: Callable[[], Seen]
    """Who is there, read without Ritorno's code: member_id → fields as the place shows them."""
    unreachable: Callable[[], Destination]
    """An object whose server isn't there."""
    fields: Callable[[int], dict[str, Any]] = lambda number: {"first_name": f"Name {number}", "spent": 12.5 + number}
    member_id: Callable[[int], str] = lambda number: f"person{number}@shop.example"
    shown: Callable[[dict[str, Any]], dict[str, Any]] = lambda fields: fields
    """What the place shows for fields that were sent."""
    losing: Callable[[], contextlib.AbstractContextManager[Destination]] | None = None
    """A destination that applies the next batch and loses the answer."""
    failing_before: Callable[[], contextlib.AbstractContextManager[Destination]] | None = None
    """A destination whose next batch is certainly not applied."""
    refused: Callable[[], contextlib.AbstractContextManager[tuple[Destination, Member]]] | None = None
    """A destination and a member that it refuses for good."""
    reads_back: bool = True
    back_has_fields: bool = True
    """Whether reading back tells fields too."""
    one_list: bool = False
    """Whether its settings name the list, so that an object knows one audience only."""
    full: int = 60
    """How many members stand for a full batch (less where one costs a call)."""
    erased: Callable[[str], bool] = lambda member_id: True
    """Whether nothing of a person is left, beyond not being listed."""

    known: Callable[[], object] | None = None
    """Who is known there, where the first of several calls doesn't make a member yet."""

    def applied(self) -> bool:
        return bool((self.known or self.seen)())

    def member(self, number: int) -> Member:
        return Member(self.member_id(number), self.fields(number))

    def others(self) -> list[Member]:
        return [self.member(number) for number in (7, 8, 9)]


def made(kind: str, settings: Mapping[str, object], environment: Mapping[str, str] | None = None) -> Destination:
    return destination(kind).from_settings({"type": kind, **settings}, environment or {})


# ---------------------------------------------------------------- PostgreSQL


def postgres(request: pytest.FixtureRequest, columns: dict[str, str] | None = None) -> Case:
    import psycopg2

    host, port = request.getfixturevalue("postgres_address")
    table = f"crm_{uuid.uuid4().hex[:8]}.audience_members"

    def dsn(at: int) -> dict[str, str]:
        return {"CRM_DSN": f"postgresql://ritorno@{host}:{at}/postgres"}

    settings: dict[str, object] = {"dsn_env": "CRM_DSN", "table": table}
    if columns:
        settings["columns"] = columns

    def seen() -> Seen:
        with contextlib.closing(psycopg2.connect(dsn(port)["CRM_DSN"])) as connection, connection.cursor() as cursor:
            cursor.execute("select to_regclass(%s) is not null", (table,))
            if not cursor.fetchone()[0]:
                return {}
            shown = ", ".join(columns) if columns else "fields"
            cursor.execute(f"select member_id, {shown} from {table} where audience = %s", (AUDIENCE,))
            rows = cursor.fetchall()
        if columns:
            return {row[0]: dict(zip(columns, row[1:], strict=True)) for row in rows}
        return {row[0]: row[1] for row in rows}

    @contextlib.contextmanager
    def through(**fault: bytes) -> Iterator[Destination]:
        proxy = Proxy((host, port))
        sender = made("postgres", settings, dsn(proxy.port))
        # Connected first: connecting ends in a COMMIT of its own.
        list(sender.read_back("nobody") or ())
        for name, value in fault.items():
            setattr(proxy, name, value)
        try:
            yield sender
        finally:
            sender.close()
            proxy.close()

    @contextlib.contextmanager
    def refused() -> Iterator[tuple[Destination, Member]]:
        yield made("postgres", settings, dsn(port)), Member("odd\x00@shop.example", {})

    return Case(
        name="postgres",
        make=lambda: made("postgres", settings, dsn(port)),
        seen=seen,
        unreachable=lambda: made("postgres", settings, dsn(free_port())),
        losing=lambda: through(lose_after=b"COMMIT"),
        failing_before=lambda: through(cut_at=b"insert into"),
        refused=refused,
        **(
            {"fields": lambda number: {"first_name": f"Name {number}", "spent": Decimal(f"{number}.50")}}
            if columns
            else {}
        ),
    )


def postgres_columns(request: pytest.FixtureRequest) -> Case:
    return postgres(request, {"first_name": "text", "spent": "decimal"})


# ---------------------------------------------------------------- file sets


class Gone(Exception):  # noqa: N818
    """A slow reader's version isn't kept any more: it starts again at the pointer, as the documentation says."""


def _there(data: bytes | None) -> bytes:
    if data is None:
        raise Gone
    return data


def content(path: Path) -> bytes | None:
    """A file's bytes; None if it isn't there, not even if it was there a moment ago."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def rows_of_files(read: Callable[[str], bytes | None], folder: Path) -> Seen:
    """Reads pointer, manifest and parts as a stranger would, with the standard library and pyarrow's Parquet."""
    shown = read(f"{AUDIENCE}/current.json")
    if shown is None:
        return {}
    pointer = json.loads(shown)
    manifest_bytes = _there(read(f"{AUDIENCE}/{pointer['manifest']}"))
    assert hashlib.sha256(manifest_bytes).hexdigest() == pointer["sha256"]
    manifest = json.loads(manifest_bytes)
    found: Seen = {}
    total = 0
    for part in manifest["parts"]:
        data = _there(read(f"{AUDIENCE}/{part['file']}"))
        assert hashlib.sha256(data).hexdigest() == part["sha256"]
        assert len(data) == part["bytes"]
        if manifest["format"] == "jsonl":
            rows = [json.loads(line) for line in data.splitlines()]
        elif manifest["format"] == "csv":
            rows = [dict(row) for row in csv.DictReader(data.decode().splitlines(keepends=True))]
        else:
            scratch = folder / f"{uuid.uuid4().hex}.parquet"
            scratch.write_bytes(data)
            rows = pyarrow.parquet.read_table(scratch).to_pylist()
            scratch.unlink()
        assert len(rows) == part["rows"]
        total += len(rows)
        for row in rows:
            member_id = row.pop("member_id")
            assert member_id not in found, "a member stands in two parts"
            found[member_id] = row
    assert total == manifest["members"] == pointer["members"]
    return found


def _texts(fields: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in fields.items()}


def files(request: pytest.FixtureRequest, form: str = "csv") -> Case:
    folder: Path = request.getfixturevalue("tmp_path")
    root = folder / "drop"
    settings = {"path": str(root), "format": form, "part_rows": 4}

    def read(name: str) -> bytes | None:
        return content(root / name)

    def nowhere() -> Destination:
        (folder / "a file").touch()
        return made("files", {**settings, "path": str(folder / "a file" / "below")})

    def erased(member_id: str) -> bool:
        return not any(member_id.encode() in path.read_bytes() for path in root.rglob("*") if path.is_file())

    @contextlib.contextmanager
    def refused() -> Iterator[tuple[Destination, Member]]:
        yield made("files", settings), Member("half@shop.example", {"first_name": "\ud800", "spent": 1.5})

    return Case(
        name=f"files {form}",
        make=lambda: made("files", settings),
        seen=lambda: rows_of_files(read, folder),
        unreachable=nowhere,
        shown=_texts if form == "csv" else lambda fields: fields,
        refused=refused,
        # Parquet is compressed: there a search of bytes proves nothing, the parts that are left do.
        erased=erased if form != "parquet" else lambda member_id: len(list(root.glob("*/manifests/*"))) == 1,
    )


def files_jsonl(request: pytest.FixtureRequest) -> Case:
    return files(request, "jsonl")


def files_parquet(request: pytest.FixtureRequest) -> Case:
    return files(request, "parquet")


def s3(request: pytest.FixtureRequest, versioned: bool = False) -> Case:
    host, port = request.getfixturevalue("s3_address")
    bucket = f"crm-{uuid.uuid4().hex[:12]}"
    client = request.getfixturevalue("s3_client")
    client.create_bucket(Bucket=bucket)
    if versioned:
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    environment = {"S3_KEY": "here", "S3_SECRET": "there"}

    def make(at: int = port, **more: object) -> Destination:
        settings = {
            "bucket": bucket,
            "prefix": "audiences/crm",
            "region": "us-east-1",
            "endpoint_url": f"http://{host}:{at}",
            "access_key_env": "S3_KEY",
            "secret_key_env": "S3_SECRET",
            "format": "jsonl",
            "part_rows": 4,
        }
        return made("s3", {**settings, **more}, environment)

    def read(name: str) -> bytes | None:
        try:
            data: bytes = client.get_object(Bucket=bucket, Key=f"audiences/crm/{name}")["Body"].read()
            return data
        except client.exceptions.NoSuchKey:
            return None

    def erased(member_id: str) -> bool:
        found = client.list_object_versions(Bucket=bucket).get("Versions", [])
        bodies = [client.get_object(Bucket=bucket, Key=v["Key"], VersionId=v["VersionId"])["Body"] for v in found]
        return not any(member_id.encode() in body.read() for body in bodies)

    @contextlib.contextmanager
    def through(**fault: bytes) -> Iterator[Destination]:
        proxy = Proxy((host, port))
        for name, value in fault.items():
            setattr(proxy, name, value)
        sender = make(proxy.port)
        try:
            yield sender
        finally:
            sender.close()
            proxy.close()

    pointer = f"PUT /{bucket}/audiences/crm/{AUDIENCE}/current.json".encode()
    return Case(
        name="s3",
        make=make,
        seen=lambda: rows_of_files(read, request.getfixturevalue("tmp_path")),
        unreachable=lambda: make(free_port()),
        losing=lambda: through(lose_after=pointer),
        failing_before=lambda: through(cut_at=b"/parts/"),
        erased=erased,
    )


def s3_versioned(request: pytest.FixtureRequest) -> Case:
    return s3(request, versioned=True)


def sftp(request: pytest.FixtureRequest) -> Case:
    server: SftpServer = request.getfixturevalue("sftp_server")
    folder = f"drop-{uuid.uuid4().hex[:8]}"
    root = server.root / folder

    def make(at: int = server.port, **more: object) -> Destination:
        settings = {
            "host": "127.0.0.1",
            "port": at,
            "username": "ritorno",
            "password_env": "SFTP_PASSWORD",
            "host_key": server.host_key,
            "path": f"/{folder}",
            "format": "jsonl",
            "part_rows": 4,
        }
        return made("sftp", {**settings, **more}, {"SFTP_PASSWORD": "sesame"})

    def read(name: str) -> bytes | None:
        return content(root / name)

    def erased(member_id: str) -> bool:
        return not any(member_id.encode() in path.read_bytes() for path in root.rglob("*") if path.is_file())

    @contextlib.contextmanager
    def faulty(fault: str) -> Iterator[Destination]:
        sender = make()
        server.fault = fault
        try:
            yield sender
        finally:
            server.fault = None
            sender.close()

    return Case(
        name="sftp",
        make=make,
        seen=lambda: rows_of_files(read, request.getfixturevalue("tmp_path")),
        unreachable=lambda: make(free_port()),
        losing=lambda: faulty("lose"),
        failing_before=lambda: faulty("drop"),
        erased=erased,
    )


# ---------------------------------------------------------------- GNU Mailman


def mailman(request: pytest.FixtureRequest) -> Case:
    url: str = request.getfixturevalue("mailman_url")
    name = f"list{uuid.uuid4().hex[:8]}"
    api = httpx.Client(base_url=url, auth=MAILMAN_LOGIN, timeout=20)
    api.post("/domains", data={"mail_host": "lists.example"})
    assert api.post("/lists", data={"fqdn_listname": f"{name}@lists.example"}).status_code == 201
    list_id = f"{name}.lists.example"
    address = httpx.URL(url)

    def make(at: int = address.port or 0, **more: object) -> Destination:
        settings = {"url": f"http://127.0.0.1:{at}/3.1", "list_id": list_id, "password_env": "MAILMAN_PASSWORD"}
        return made("mailman", {**settings, **more}, {"MAILMAN_PASSWORD": "restpass"})

    def seen() -> Seen:
        found = api.get(f"/lists/{list_id}/roster/member", params={"count": "1000", "page": "1"}).json()
        return {entry["email"]: {"display_name": entry["display_name"]} for entry in found.get("entries", [])}

    def member_id(number: int) -> str:
        return f"person{number}.{name}@shop.example"

    def erased(person: str) -> bool:
        return api.get(f"/users/{person}").status_code == api.get(f"/addresses/{person}").status_code == 404

    @contextlib.contextmanager
    def through(**fault: bytes) -> Iterator[Destination]:
        proxy = Proxy(("127.0.0.1", address.port or 0))
        for one, value in fault.items():
            setattr(proxy, one, value)
        sender = make(proxy.port)
        try:
            yield sender
        finally:
            sender.close()
            proxy.close()

    @contextlib.contextmanager
    def absent_list() -> Iterator[Destination]:
        """The list is made only after the first try."""
        fqdn = f"{name}@lists.example"
        api.delete(f"/lists/{fqdn}")
        sender = make()
        tried = sender.send

        def send(batch: Batch) -> Answer:
            try:
                return tried(batch)
            finally:
                api.post("/lists", data={"fqdn_listname": fqdn})

        sender.send = send  # type: ignore[method-assign]
        yield sender
        sender.close()

    @contextlib.contextmanager
    def refused() -> Iterator[tuple[Destination, Member]]:
        api.post(f"/lists/{list_id}/bans", data={"email": member_id(99)})
        yield make(), Member(member_id(99), {"display_name": "Banned"})

    return Case(
        name="mailman",
        make=make,
        seen=seen,
        unreachable=lambda: make(free_port()),
        fields=lambda number: {"display_name": f"Name {number}"},
        member_id=member_id,
        losing=lambda: through(lose_after=b"POST /3.1/members"),
        failing_before=absent_list,
        refused=refused,
        erased=erased,
        one_list=True,
        full=12,
    )


# ---------------------------------------------------------------- webhook


@dataclass
class Receiver:
    """Somebody's endpoint: keeps a set, refuses who it doesn't like."""

    people: Seen = field(default_factory=dict)
    dislikes: set[str] = field(default_factory=set)

    def __call__(self, request: Request) -> Reply:
        sent = request.json
        refused = []
        for member in sent["members"]:
            if member["id"] in self.dislikes:
                # As platforms do: the reason quotes the address.
                refused.append({"id": member["id"], "reason": f"{member['id']} bounces"})
            elif sent["operation"] in ("add", "update"):
                self.people[member["id"]] = member["fields"]
            else:
                self.people.pop(member["id"], None)
        return Reply(200, {"refused": refused})


def webhook(request: pytest.FixtureRequest) -> Case:
    server: HttpServer = request.getfixturevalue("http")
    receiver = Receiver()
    server.application = receiver
    environment = {"HOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}

    def make(url: str = server.url, **more: object) -> Destination:
        return made("webhook", {"url": url, "secret_env": "HOOK_SECRET", **more}, environment)

    return http_case("webhook", server, make, lambda: receiver.people, receiver.dislikes)


def http_case(
    name: str,
    server: HttpServer,
    make: Callable[..., Destination],
    seen: Callable[[], Seen],
    dislikes: set[str] | None = None,
    **more: Any,
) -> Case:
    """What all destinations that speak HTTP share."""
    case = Case(
        name=name,
        make=make,
        seen=seen,
        unreachable=lambda: make(f"http://127.0.0.1:{free_port()}"),
        reads_back=False,
        **more,
    )

    @contextlib.contextmanager
    def faulty(fault: str | Reply) -> Iterator[Destination]:
        sender = make()
        server.faults.put(fault)
        try:
            yield sender
        finally:
            sender.close()

    @contextlib.contextmanager
    def refused() -> Iterator[tuple[Destination, Member]]:
        member = case.member(99)
        assert dislikes is not None
        dislikes.add(member.member_id)
        yield make(), member

    case.losing = lambda: faulty("lose")
    case.failing_before = lambda: faulty(Reply(429, {"error": "slow down"}, {"Retry-After": "7"}))
    case.refused = refused if dislikes is not None else None
    return case


# ---------------------------------------------------------------- the example of the documentation

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "destinations.md"


def documented_python(having: str) -> str:
    """The one block of Python in the documentation that has this text."""
    (block,) = [
        one for one in re.findall(r"```python\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL) if having in one
    ]
    return str(block)


def documented(request: pytest.FixtureRequest) -> Case:
    """The class in docs/destinations.md, as a reader would paste it."""
    server: HttpServer = request.getfixturevalue("http")
    folder: Path = request.getfixturevalue("tmp_path")
    source = documented_python("class Newsletter")
    module = f"newsletter_{uuid.uuid4().hex[:8]}"
    (folder / f"{module}.py").write_text(source)
    request.getfixturevalue("monkeypatch").syspath_prepend(folder)
    people: Seen = {}

    def application(request: Request) -> Reply:
        assert request.headers["Authorization"] == "Bearer sesame"
        person = unquote(request.path.removeprefix("/lists/risk").lstrip("/"))
        if request.method == "GET":
            return Reply(200, [{"address": address, "fields": fields} for address, fields in people.items()])
        if request.method == "PUT":
            people[person] = request.json
            return Reply(204)
        return Reply(204 if people.pop(person, None) is not None else 404)

    server.application = application

    def make(url: str = server.url, **more: object) -> Destination:
        return made(f"{module}:Newsletter", {"url": url, "list": "risk", "token_env": "TOKEN"}, {"TOKEN": "sesame"})

    found = http_case("documented", server, make, lambda: people, one_list=True)
    found.reads_back = True
    return found


# ---------------------------------------------------------------- marketing platforms

PLATFORMS: dict[str, tuple[type[platforms.Platform], dict[str, object]]] = {
    "klaviyo": (platforms.Klaviyo, {"list_id": "Y6nRLr", "api_key_env": "TOKEN"}),
    "braze": (platforms.Braze, {"api_key_env": "TOKEN"}),
    "customerio": (platforms.CustomerIo, {"segment_id": 7, "site_id": "site", "api_key_env": "TOKEN"}),
    "hubspot": (platforms.HubSpot, {"list_id": 42, "token_env": "TOKEN"}),
    "meta": (platforms.Meta, {"audience_id": "23850000000000", "token_env": "TOKEN"}),
    "google": (
        platforms.Google,
        {"account_id": "1234567890", "user_list_id": "99", "terms_accepted": True, "token_env": "TOKEN"},
    ),
}


def hashed(number: int) -> str:
    return "email:" + hashlib.sha256(f"person{number}@shop.example".encode()).hexdigest()


def platform(name: str) -> Callable[[pytest.FixtureRequest], Case]:
    """A platform's adapter against its stand-in."""
    stand_in, settings = PLATFORMS[name]

    def case(request: pytest.FixtureRequest) -> Case:
        server: HttpServer = request.getfixturevalue("http")
        state = stand_in()
        server.application = state  # type: ignore[assignment]

        def make(url: str = server.url, **more: object) -> Destination:
            return made(name, {"base_url": url, **settings, **more}, {"TOKEN": "sesame"})

        refuses = name in ("braze", "customerio", "hubspot")
        found = http_case(name, server, make, state.seen, state.dislikes if refuses else None, one_list=True)
        if name in ("braze", "customerio"):
            found.member_id = lambda number: f"customer-{number}"
        if name == "hubspot":
            found.shown = lambda fields: {key: str(value) for key, value in fields.items()}
        if name in ("klaviyo", "hubspot"):
            found.reads_back = True
            found.back_has_fields = False
        if name in ("meta", "google"):
            found.member_id = hashed
            found.fields = lambda number: {}
        found.erased = lambda member_id: member_id not in state.people
        found.known = lambda: state.people
        return found

    return case


CASES: dict[str, Callable[[pytest.FixtureRequest], Case]] = {
    "postgres": postgres,
    "postgres with columns": postgres_columns,
    "files as csv": files,
    "files as jsonl": files_jsonl,
    "files as parquet": files_parquet,
    "s3": s3,
    "s3 with versions": s3_versioned,
    "sftp": sftp,
    "mailman": mailman,
    "webhook": webhook,
    "the example of the documentation": documented,
    **{name: platform(name) for name in PLATFORMS},
}

WITHOUT_CONNECTION = {name for name in CASES if name.startswith("files as")}
"""Nothing can be lost between a process and its file system but by a kill: test_files_whole."""

REFUSES_NOBODY = {"s3", "s3 with versions", "sftp", "klaviyo", "meta", "google", "the example of the documentation"}
"""It takes everybody, says it in another way (test_over_the_network), or is the same code as files."""

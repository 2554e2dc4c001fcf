"""A mailing list in GNU Mailman 3, over its REST API: people are subscribed to it and removed from it.

`add` and `update` subscribe one address a call (Mailman has no bulk call), confirmed already: consent was checked
before. Without a welcome message unless `welcome`. `remove` takes a batch off the list in one call; `erase` deletes the
person and their addresses from Mailman, so from its other lists too. A banned address is refused.

The REST API speaks plain http on the mail host; an http URL must lead to this machine (a tunnel, or a proxy with TLS).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any, ClassVar, Self
from urllib.parse import quote, urlencode

from ritorno.audiences.destinations.base import Answer, Batch, Kind, Member, NotSent, Refusal
from ritorno.audiences.destinations.http import Http, after_first_call, answered
from ritorno.audiences.destinations.normalise import plain
from ritorno.audiences.destinations.settings import Settings
from ritorno.audiences.destinations.values import as_json, harmless, sendable

PAGE = 500
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Mailman:
    """See the module."""

    type: ClassVar[str] = "mailman"
    modes: ClassVar[frozenset[str]] = frozenset({"mirror", "upsert", "append"})
    keys: ClassVar[frozenset[str]] = frozenset({"email"})
    reads_fields: ClassVar[bool] = True
    takes_fields: ClassVar[frozenset[str]] = frozenset({"display_name"})

    def __init__(self, http: Http, list_id: str, welcome: bool, max_batch: int) -> None:
        self.max_batch = max_batch
        self._http = http
        self._list_id = list_id
        self._welcome = welcome

    @classmethod
    def from_settings(cls, settings: Mapping[str, object], environment: Mapping[str, str]) -> Self:
        """Settings: url (with /3.1), list_id, user (restadmin), password_env, welcome (false), max_batch (100)."""
        read = Settings(cls.type, settings, environment)
        url = read.url("url", "http://127.0.0.1:8001/3.1")
        list_id = read.name("list_id")
        credentials = (read.text("user", "restadmin"), read.secret("password_env"))
        welcome = read.flag("welcome", False)
        max_batch = read.integer("max_batch", 100, most=1_000)
        timeout = read.seconds("timeout_seconds", 30.0)
        read.done()
        return cls(Http(url, auth=credentials, timeout=timeout), list_id, welcome, max_batch)

    def normalise(self, key: str, value: str) -> str | None:
        """Lower case: Mailman keeps the case it is given, and holds two spellings for one member."""
        return plain(key, value)

    def send(self, batch: Batch) -> Answer:
        """A call for each member to add, update or erase, one call for all to remove."""
        if batch.kind is Kind.REMOVE:
            form = urlencode([("emails", member.member_id) for member in batch.members])
            self._http.call("DELETE", self._roster, content=form.encode(), headers=FORM)
            return Answer()
        good, refused = sendable(batch.members, as_json)
        for place, (member, fields) in enumerate(good):
            # After the first one something was applied.
            with after_first_call() if place else nullcontext():
                if batch.kind is Kind.ERASE:
                    self._erase(member)
                elif (reason := self._subscribe(member, fields)) is not None:
                    refused.append(Refusal(member.member_id, harmless(reason, [member])))
        return Answer(tuple(refused))

    def read_back(self, audience: str) -> Iterator[Member] | None:
        """The list's roster, page by page."""
        return self._members()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _members(self) -> Iterator[Member]:
        page = 1
        while True:
            params = {"count": str(PAGE), "page": str(page)}
            found = answered(self._http.call("GET", self._roster, params=params))
            entries = found.get("entries", [])
            for entry in entries:
                yield Member(entry["email"], {"display_name": entry.get("display_name") or None})
            if len(entries) < PAGE:
                return
            page += 1

    @property
    def _roster(self) -> str:
        return f"/lists/{self._list_id}/roster/member"

    def _subscribe(self, member: Member, fields: Mapping[str, Any]) -> str | None:
        """Why Mailman refuses the person, None if they are subscribed now."""
        name = fields.get("display_name")
        form = {
            "list_id": self._list_id,
            "subscriber": member.member_id,
            **({"display_name": name} if name else {}),
            "pre_verified": "true",
            "pre_confirmed": "true",
            "pre_approved": "true",
            "send_welcome_message": "true" if self._welcome else "false",
        }
        answer = self._http.call("POST", "/members", content=urlencode(form).encode(), headers=FORM, also=(400, 409))
        said = str(answered(answer).get("description", answer.status_code))
        if answer.status_code == 400:
            if said == "No such list":
                raise NotSent(f"Mailman has no list {self._list_id}: check list_id, it has a dot for the @")
            return said
        if answer.status_code == 409 and "already subscribed" not in said:
            return said
        if "display_name" in fields:
            with after_first_call():
                renamed = urlencode({"display_name": name or ""}).encode()
                path = f"/addresses/{quote(member.member_id, safe='@')}"
                self._http.call("PATCH", path, content=renamed, headers=FORM)
        return None

    def _erase(self, member: Member) -> None:
        person = quote(member.member_id, safe="@")
        self._http.call("DELETE", f"/users/{person}", also=(404,))
        with after_first_call():
            # An address can stand there without a user.
            self._http.call("DELETE", f"/addresses/{person}", also=(404,))

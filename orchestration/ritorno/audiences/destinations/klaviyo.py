"""Klaviyo: profiles are imported into a list, removed from it, or deleted. Format and limits tested only.

Limits (developers.klaviyo.com, revision 2026-01-15): import 10,000 profiles, 5 MB, 100 kB a profile; taking off a list
1,000 profiles; a filter 100 values. The import job is asynchronous: what came of it shows when the list is read back,
and whoever isn't there yet counts as drift until then.
Import can't set null, so a null leaves as an empty text: yesterday's value must not stay in a mail.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs, urlsplit

from ritorno.audiences.destinations.base import Answer, Batch, Kind, Member
from ritorno.audiences.destinations.http import Http, answered
from ritorno.audiences.destinations.normalise import plain
from ritorno.audiences.destinations.platform import Platform, chunked, too_large
from ritorno.audiences.destinations.settings import Settings

OWN_ATTRIBUTES = ("first_name", "last_name", "organization", "locale", "title")
PROFILE_BYTES = 95_000
REQUEST_BYTES = 4_900_000
FILTER_VALUES = 100


class Klaviyo(Platform):
    """See the module."""

    type: ClassVar[str] = "klaviyo"
    keys: ClassVar[frozenset[str]] = frozenset({"email"})

    def __init__(self, http: Http, list_id: str, max_batch: int) -> None:
        super().__init__(http, max_batch)
        self._list_id = list_id

    @classmethod
    def from_settings(cls, settings: Mapping[str, object], environment: Mapping[str, str]) -> Self:
        """Settings: list_id, api_key_env, revision, base_url, max_batch (1,000), timeout_seconds."""
        read = Settings(cls.type, settings, environment)
        headers = {
            "Authorization": f"Klaviyo-API-Key {read.secret('api_key_env')}",
            "Content-Type": "application/vnd.api+json",
            "Accept": "application/vnd.api+json",
            "revision": read.text("revision", "2026-01-15"),
        }
        base_url = read.url("base_url", "https://a.klaviyo.com")
        list_id = read.name("list_id")
        max_batch = read.integer("max_batch", 1_000, most=1_000)
        timeout = read.seconds("timeout_seconds", 30.0)
        read.done()
        return cls(Http(base_url, headers, timeout=timeout), list_id, max_batch)

    def normalise(self, key: str, value: str) -> str | None:
        """The address in lower case, as Klaviyo keeps it."""
        return plain(key, value) if key in self.keys else None

    def send(self, batch: Batch) -> Answer:
        """Import into the list, take off the list, or ask for deletion (a call a person)."""
        good, refused = self._written(batch)
        if batch.kind is Kind.ERASE:
            self._each((member for member, _ in good), self._erase)
        elif batch.kind is Kind.REMOVE:
            self._remove([member.member_id for member, _ in good])
        else:
            fits, large = too_large(good, PROFILE_BYTES)
            refused += large
            profiles = [self._profile(member, fields) for member, fields in fits]
            self._each(chunked(profiles, self.max_batch, REQUEST_BYTES), self._import)
        return Answer(tuple(refused))

    def read_back(self, audience: str) -> Iterator[Member] | None:
        """The list's profiles, without fields."""
        return self._members()

    def _profile(self, member: Member, fields: Mapping[str, Any]) -> dict[str, Any]:
        known = {name: "" if value is None else value for name, value in fields.items()}
        attributes: dict[str, Any] = {"email": member.member_id}
        attributes |= {name: known.pop(name) for name in OWN_ATTRIBUTES if name in known}
        if known:
            attributes["properties"] = known
        return {"type": "profile", "attributes": attributes}

    def _import(self, profiles: list[dict[str, Any]]) -> None:
        lists = {"lists": {"data": [{"type": "list", "id": self._list_id}]}}
        attributes = {"profiles": {"data": profiles}}
        self._post("/api/profile-bulk-import-jobs", "profile-bulk-import-job", attributes, lists)

    def _erase(self, member: Member) -> None:
        profile = {"data": {"type": "profile", "attributes": {"email": member.member_id}}}
        self._post("/api/data-privacy-deletion-jobs", "data-privacy-deletion-job", {"profile": profile})

    def _remove(self, member_ids: list[str]) -> None:
        profiles = []
        for some in chunked(member_ids, FILTER_VALUES):
            params = {
                "filter": f"any(email,{json.dumps(some, ensure_ascii=False)})",
                "fields[profile]": "email",
                "page[size]": str(FILTER_VALUES),
            }
            found = answered(self._http.call("GET", "/api/profiles", params=params)).get("data", [])
            profiles += [{"type": "profile", "id": one["id"]} for one in found]
        if profiles:
            path = f"/api/lists/{self._list_id}/relationships/profiles"
            self._http.call("DELETE", path, {"data": profiles}, headers={"Content-Type": "application/vnd.api+json"})

    def _members(self) -> Iterator[Member]:
        params = {"fields[profile]": "email", "page[size]": "100"}
        while True:
            found = answered(self._http.call("GET", f"/api/lists/{self._list_id}/profiles", params=params))
            for one in found.get("data", []):
                email = one.get("attributes", {}).get("email")
                if email:
                    yield Member(str(email).lower())
            following = parse_qs(urlsplit((found.get("links") or {}).get("next") or "").query)
            if "page[cursor]" not in following:
                return
            # The cursor only: a URL that an answer gives is never called.
            params["page[cursor]"] = following["page[cursor]"][0]

    def _post(self, path: str, kind: str, attributes: object, relationships: object = None) -> None:
        data = {"type": kind, "attributes": attributes, **({"relationships": relationships} if relationships else {})}
        self._http.call("POST", path, {"data": data}, headers={"Content-Type": "application/vnd.api+json"})

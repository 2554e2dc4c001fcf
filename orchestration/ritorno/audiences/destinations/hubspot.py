"""HubSpot: contacts are upserted by e-mail and put on a static list. Format and limits tested only.

Limits (developers.hubspot.com, CRM v3): 100 contacts a batch call; the list must be MANUAL or SNAPSHOT. Properties are
texts, an empty one clears; a field's name is the property's internal name and must exist. Erasure is HubSpot's
permanent (GDPR) deletion, a call a person.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

from ritorno.audiences.destinations.base import Answer, Batch, Kind, Member, Refusal
from ritorno.audiences.destinations.http import Http, after_first_call, answered
from ritorno.audiences.destinations.normalise import plain
from ritorno.audiences.destinations.platform import Platform, chunked
from ritorno.audiences.destinations.settings import Settings
from ritorno.audiences.destinations.values import Json

CONTACTS = "/crm/v3/objects/contacts"
PAGE = "250"


class HubSpot(Platform):
    """See the module."""

    type: ClassVar[str] = "hubspot"
    keys: ClassVar[frozenset[str]] = frozenset({"email"})

    def __init__(self, http: Http, list_id: str, max_batch: int) -> None:
        super().__init__(http, max_batch)
        self._list_id = list_id

    @classmethod
    def from_settings(cls, settings: Mapping[str, object], environment: Mapping[str, str]) -> Self:
        """Settings: list_id, token_env, base_url, max_batch (100), timeout_seconds."""
        read = Settings(cls.type, settings, environment)
        headers = {"Authorization": f"Bearer {read.secret('token_env')}"}
        base_url = read.url("base_url", "https://api.hubapi.com")
        list_id = read.name("list_id")
        max_batch = read.integer("max_batch", 100, most=100)
        timeout = read.seconds("timeout_seconds", 30.0)
        read.done()
        return cls(Http(base_url, headers, timeout=timeout), list_id, max_batch)

    def normalise(self, key: str, value: str) -> str | None:
        """The address in lower case, as HubSpot keeps it."""
        return plain(key, value) if key in self.keys else None

    def send(self, batch: Batch) -> Answer:
        """Upsert and put on the list; take off it; or delete."""
        good, refused = self._written(batch)
        if not good:
            return Answer(tuple(refused))
        if batch.kind is Kind.ERASE:
            self._each((member for member, _ in good), self._erase)
        elif batch.kind is Kind.REMOVE:
            ids = self._ids({"idProperty": "email", "inputs": [{"id": member.member_id} for member, _ in good]})
            self._memberships("remove", list(ids.values()))
        else:
            inputs = [
                {"idProperty": "email", "id": member.member_id, "properties": _properties(fields)}
                for member, fields in good
            ]
            answer = answered(self._http.call("POST", f"{CONTACTS}/batch/upsert", {"inputs": inputs}))
            ids = _by_email(answer)
            refused += [
                Refusal(member.member_id, "HubSpot refused the contact or one of its properties")
                for member, _ in good
                if member.member_id not in ids
            ]
            with after_first_call():
                self._memberships("add", list(ids.values()))
        return Answer(tuple(refused))

    def read_back(self, audience: str) -> Iterator[Member] | None:
        """The list's contacts by e-mail, without fields."""
        return self._members()

    def _erase(self, member: Member) -> None:
        payload = {"objectId": member.member_id, "idProperty": "email"}
        self._http.call("POST", f"{CONTACTS}/gdpr-delete", payload, also=(404,))

    def _memberships(self, operation: str, ids: list[str]) -> None:
        if ids:
            self._http.call("PUT", f"/crm/v3/lists/{self._list_id}/memberships/{operation}", ids)

    def _ids(self, wanted: Mapping[str, Any]) -> dict[str, str]:
        """E-mail → id of those who exist."""
        return _by_email(
            answered(self._http.call("POST", f"{CONTACTS}/batch/read", {"properties": ["email"], **wanted}))
        )

    def _members(self) -> Iterator[Member]:
        params = {"limit": PAGE}
        while True:
            path = f"/crm/v3/lists/{self._list_id}/memberships"
            found = answered(self._http.call("GET", path, params=params))
            for some in chunked([{"id": str(one["recordId"])} for one in found.get("results", [])], 100):
                yield from (Member(email) for email in self._ids({"inputs": some}))
            after = ((found.get("paging") or {}).get("next") or {}).get("after")
            if not after:
                return
            params = {"limit": PAGE, "after": str(after)}


def _by_email(answer: Mapping[str, Any]) -> dict[str, str]:
    return {
        str(one["properties"]["email"]).lower(): str(one["id"])
        for one in answer.get("results", [])
        if (one.get("properties") or {}).get("email")
    }


def _properties(fields: Mapping[str, Json]) -> dict[str, str]:
    shown = {None: "", True: "true", False: "false"}
    return {
        name: shown[value] if value is None or isinstance(value, bool) else str(value) for name, value in fields.items()
    }

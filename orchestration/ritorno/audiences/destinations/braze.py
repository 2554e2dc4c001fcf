"""Braze: the audience's name is an element of an array attribute of the user. Format and limits tested only.

Limits (braze.com/docs): /users/track 75 attribute objects, /users/delete 50 users, 4 MB. Users are known by
`external_id`, the customer_key. Segments filter on the attribute, which is `ritorno_audiences` unless you name it.
Removing never makes a user (`_update_existing_only`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from ritorno.audiences.destinations.base import Answer, Batch, Kind, Refusal
from ritorno.audiences.destinations.http import Http, answered
from ritorno.audiences.destinations.normalise import plain
from ritorno.audiences.destinations.platform import Platform, chunked
from ritorno.audiences.destinations.settings import Settings
from ritorno.audiences.destinations.values import harmless

DELETED_AT_ONCE = 50


class Braze(Platform):
    """See the module."""

    type: ClassVar[str] = "braze"
    keys: ClassVar[frozenset[str]] = frozenset({"customer_key"})

    def __init__(self, http: Http, attribute: str, max_batch: int) -> None:
        super().__init__(http, max_batch)
        self._attribute = attribute

    @classmethod
    def from_settings(cls, settings: Mapping[str, object], environment: Mapping[str, str]) -> Self:
        """Settings: base_url (your REST endpoint), api_key_env, attribute, max_batch (75), timeout_seconds."""
        read = Settings(cls.type, settings, environment)
        headers = {"Authorization": f"Bearer {read.secret('api_key_env')}"}
        base_url = read.url("base_url")
        attribute = read.name("attribute", "ritorno_audiences")
        max_batch = read.integer("max_batch", 75, most=75)
        timeout = read.seconds("timeout_seconds", 30.0)
        read.done()
        return cls(Http(base_url, headers, timeout=timeout), attribute, max_batch)

    def normalise(self, key: str, value: str) -> str | None:
        """The customer_key as it is."""
        return plain(key, value) if key in self.keys else None

    def send(self, batch: Batch) -> Answer:
        """One /users/track, or /users/delete."""
        good, refused = self._written(batch)
        if batch.kind is Kind.ERASE:
            ids = [member.member_id for member, _ in good]
            self._each(chunked(ids, DELETED_AT_ONCE), lambda some: self._post("/users/delete", {"external_ids": some}))
            return Answer(tuple(refused))
        removing = batch.kind is Kind.REMOVE
        attributes = [
            {
                **fields,
                "external_id": member.member_id,
                "_update_existing_only": removing,
                self._attribute: {"remove" if removing else "add": [batch.audience]},
            }
            for member, fields in good
        ]
        if attributes:
            told = self._post("/users/track", {"attributes": attributes}).get("errors", [])
            for one in told if isinstance(told, list) else []:
                index = one.get("index") if isinstance(one, dict) else None
                if isinstance(index, int) and 0 <= index < len(good):
                    member = good[index][0]
                    refused.append(Refusal(member.member_id, harmless(one.get("type", "refused"), [member])))
        return Answer(tuple(refused))

    def _post(self, path: str, payload: object) -> dict[str, Any]:
        return answered(self._http.call("POST", path, payload))

"""Customer.io: people are identified with their fields and put into a manual segment. Format and limits tested only.

Limits (docs.customer.io, Track API): /api/v2/batch 500 kB, 32 kB a person; a manual segment takes 1,000 ids a call, by
`id` only, which is the customer_key, and ignores ids that nobody has: hence identify first. In 207 answers, errors name
the place in the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from ritorno.audiences.destinations.base import Answer, Batch, Kind, Member, Refusal
from ritorno.audiences.destinations.http import Http, after_first_call, answered
from ritorno.audiences.destinations.normalise import plain
from ritorno.audiences.destinations.platform import Platform, chunked, too_large
from ritorno.audiences.destinations.settings import Settings
from ritorno.audiences.destinations.values import harmless

PERSON_BYTES = 31_000
REQUEST_BYTES = 480_000
URLS = {"us": "https://track.customer.io", "eu": "https://track-eu.customer.io"}


class CustomerIo(Platform):
    """See the module."""

    type: ClassVar[str] = "customerio"
    keys: ClassVar[frozenset[str]] = frozenset({"customer_key"})

    def __init__(self, http: Http, segment_id: int, max_batch: int) -> None:
        super().__init__(http, max_batch)
        self._segment_id = segment_id

    @classmethod
    def from_settings(cls, settings: Mapping[str, object], environment: Mapping[str, str]) -> Self:
        """Settings: segment_id, site_id, api_key_env, region (us, eu), base_url, max_batch (1,000), timeout_seconds."""
        read = Settings(cls.type, settings, environment)
        credentials = (read.text("site_id"), read.secret("api_key_env"))
        base_url = read.url("base_url", URLS[read.choice("region", URLS, "us")])
        read.text("segment_id")
        segment_id = read.integer("segment_id", 0)
        max_batch = read.integer("max_batch", 1_000, most=1_000)
        timeout = read.seconds("timeout_seconds", 30.0)
        read.done()
        return cls(Http(base_url, auth=credentials, timeout=timeout), segment_id, max_batch)

    def normalise(self, key: str, value: str) -> str | None:
        """The customer_key as it is."""
        return plain(key, value) if key in self.keys else None

    def send(self, batch: Batch) -> Answer:
        """Identify and put into the segment; take out of it; or delete."""
        good, refused = self._written(batch)
        if batch.kind is Kind.REMOVE:
            self._segment("remove_customers", [member for member, _ in good])
            return Answer(tuple(refused))
        if batch.kind is Kind.ERASE:
            refused += self._entities([(member, {"action": "delete"}) for member, _ in good])
            return Answer(tuple(refused))
        fits, large = too_large(good, PERSON_BYTES)
        wrong = self._entities([(member, {"action": "identify", "attributes": fields}) for member, fields in fits])
        names = {refusal.member_id for refusal in wrong}
        with after_first_call():
            self._segment("add_customers", [member for member, _ in fits if member.member_id not in names])
        return Answer((*refused, *large, *wrong))

    def _entities(self, wanted: list[tuple[Member, dict[str, Any]]]) -> list[Refusal]:
        entries = [
            {"type": "person", "identifiers": {"id": member.member_id}, **operation} for member, operation in wanted
        ]
        members = {member.member_id: member for member, _ in wanted}
        refused = []
        chunks = list(chunked(entries, self.max_batch, REQUEST_BYTES))
        answers = self._each(chunks, lambda chunk: answered(self._http.call("POST", "/api/v2/batch", {"batch": chunk})))
        for chunk, answer in zip(chunks, answers, strict=True):
            for error in answer.get("errors", []):
                index = error.get("batch_index")
                if isinstance(index, int) and 0 <= index < len(chunk):
                    member = members[str(chunk[index]["identifiers"]["id"])]
                    reason = f"{error.get('reason', 'refused')} {error.get('message', '')}"
                    refused.append(Refusal(member.member_id, harmless(reason, [member])))
        return refused

    def _segment(self, operation: str, members: list[Member]) -> None:
        if members:
            ids = [member.member_id for member in members]
            self._http.call("POST", f"/api/v1/segments/{self._segment_id}/{operation}", {"ids": ids})

"""Meta Custom Audiences: SHA-256 of normalised addresses and names, never the addresses. Format and limits tested only.

Limits (developers.facebook.com, Marketing API v25.0): 10,000 entries a call, with a session. Meta doesn't say which
entries it found invalid, so such a batch is refused as a whole and the engine halves it; adding and removing twice does
no harm.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

from ritorno.audiences.destinations import normalise
from ritorno.audiences.destinations.base import Answer, Batch, Kind, RefusedBatch
from ritorno.audiences.destinations.http import Http, answered
from ritorno.audiences.destinations.platform import Platform, by_kind, hashed_id
from ritorno.audiences.destinations.settings import Settings
from ritorno.audiences.destinations.values import Json

SCHEMA = {"email": "EMAIL", "phone": "PHONE", "customer_key": "EXTERN_ID"}
VERSION = re.compile(r"v[0-9]+\.[0-9]+\Z")


def _letters(text: str) -> str:
    return re.sub(r"[\W_]", "", text.lower())


NAMES: dict[str, tuple[str, Callable[[str], str]]] = {
    "first_name": ("FN", _letters),
    "last_name": ("LN", _letters),
    "city": ("CT", _letters),
    "postal_code": ("ZIP", lambda text: re.sub(r"[\s-]", "", text.lower())),
    "country": ("COUNTRY", _letters),
}


class Meta(Platform):
    """See the module."""

    type: ClassVar[str] = "meta"
    keys: ClassVar[frozenset[str]] = frozenset(SCHEMA)
    takes_fields: ClassVar[frozenset[str] | None] = frozenset(NAMES)

    def __init__(self, http: Http, path: str, max_batch: int) -> None:
        super().__init__(http, max_batch)
        self._path = path

    @classmethod
    def from_settings(cls, settings: Mapping[str, object], environment: Mapping[str, str]) -> Self:
        """Settings: audience_id, token_env, api_version (v25.0), base_url, max_batch (10,000), timeout_seconds."""
        read = Settings(cls.type, settings, environment)
        headers = {"Authorization": f"Bearer {read.secret('token_env')}"}
        base_url = read.url("base_url", "https://graph.facebook.com")
        version = read.text("api_version", "v25.0")
        if not VERSION.match(version):
            raise read.wrong("api_version", f"is {version!r}: give one such as v25.0")
        audience_id = read.name("audience_id")
        max_batch = read.integer("max_batch", 10_000, most=10_000)
        timeout = read.seconds("timeout_seconds", 60.0)
        read.done()
        return cls(Http(base_url, headers, timeout=timeout), f"/{version}/{audience_id}/users", max_batch)

    def normalise(self, key: str, value: str) -> str | None:
        """`email:<SHA-256>`, `phone:…` or `customer_key:…`; None for what isn't one or is hashed already."""
        return hashed_id(key, normalise.meta(key, value)) if key in self.keys else None

    def send(self, batch: Batch) -> Answer:
        """One call for each kind of key; POST adds, DELETE removes."""
        good, refused = self._written(batch)
        found, unhashed = by_kind(good, SCHEMA)
        method = "POST" if batch.kind in (Kind.ADD, Kind.UPDATE) else "DELETE"
        kinds = [kind for kind in SCHEMA if any(one[0] == kind for one in found)]
        self._each(
            kinds,
            lambda kind: self._call(method, kind, [one[1:] for one in found if one[0] == kind], batch.idempotency_key),
        )
        return Answer((*refused, *unhashed))

    def _call(self, method: str, kind: str, people: list[tuple[str, Mapping[str, Json]]], key: str) -> None:
        names = [name for name in NAMES if any(fields.get(name) for _, fields in people)]
        payload = {
            "session": {
                "session_id": int(hashlib.sha256(f"{key} {kind}".encode()).hexdigest()[:15], 16),
                "batch_seq": 1,
                "last_batch_flag": True,
                "estimated_num_total": len(people),
            },
            "payload": {
                "schema": [SCHEMA[kind], *(NAMES[name][0] for name in names)],
                "data": [[digest, *(_hashed(name, fields.get(name)) for name in names)] for digest, fields in people],
            },
        }
        told: Any = answered(self._http.call(method, self._path, payload)).get("num_invalid_entries", 0)
        if isinstance(told, int) and told > 0:
            raise RefusedBatch(f"Meta found {told} of {len(people)} entries invalid")


def _hashed(name: str, value: Json) -> str:
    return normalise.sha256(NAMES[name][1](str(value))) or "" if value else ""

"""Your own endpoint, by signed POSTs after the Standard Webhooks specification (standardwebhooks.com, 1.0).

Body: `{"audience": …, "operation": "add|update|remove|erase", "members": [{"id": …, "fields": {…}}]}`.
Headers: `webhook-id` (the idempotency key, also as `Idempotency-Key`), `webhook-timestamp`, `webhook-signature`
(`v1,` + base64 of HMAC-SHA-256 over `id.timestamp.body`).
Answer 2xx; `{"refused": [{"id": …, "reason": …}]}` names members it doesn't take, everybody else is taken.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, Self

from ritorno.audiences.destinations.base import Answer, Batch, Member, Refusal
from ritorno.audiences.destinations.http import Http, answered
from ritorno.audiences.destinations.normalise import plain
from ritorno.audiences.destinations.settings import Settings
from ritorno.audiences.destinations.values import as_json, body, harmless, sendable

SECRET_PREFIX = "whsec_"


class Webhook:
    """See the module."""

    type: ClassVar[str] = "webhook"
    modes: ClassVar[frozenset[str]] = frozenset({"mirror", "upsert", "append"})
    keys: ClassVar[frozenset[str]] = frozenset({"email", "phone", "customer_key"})

    def __init__(
        self, url: str, secret: bytes, max_batch: int, timeout: float, clock: Callable[[], float] = time.time
    ) -> None:
        self.max_batch = max_batch
        self._secret = secret
        self._clock = clock
        self._http = Http(url, timeout=timeout)

    @classmethod
    def from_settings(cls, settings: Mapping[str, object], environment: Mapping[str, str]) -> Self:
        """Settings: url, secret_env, max_batch (1,000), timeout_seconds (30)."""
        read = Settings(cls.type, settings, environment)
        url = read.url("url")
        secret = read.secret("secret_env")
        max_batch = read.integer("max_batch", 1_000, most=100_000)
        timeout = read.seconds("timeout_seconds", 30.0)
        read.done()
        return cls(url, _key(read, secret), max_batch, timeout)

    def normalise(self, key: str, value: str) -> str | None:
        """Plain addresses and keys."""
        return plain(key, value)

    def send(self, batch: Batch) -> Answer:
        """One POST. Receivers that saw the `webhook-id` may answer as they did the first time."""
        good, refused = sendable(batch.members, as_json)
        if not good:
            return Answer(tuple(refused))
        content = body(
            {
                "audience": batch.audience,
                "operation": batch.kind.name.lower(),
                "members": [{"id": member.member_id, "fields": fields} for member, fields in good],
            }
        )
        answer = self._http.call("POST", "", content=content, headers=self._headers(batch.idempotency_key, content))
        members = {member.member_id: member for member, _ in good}
        told = answered(answer).get("refused", [])
        for one in told if isinstance(told, list) else []:
            member = members.get(str(one.get("id"))) if isinstance(one, dict) else None
            if member is not None:
                refused.append(Refusal(member.member_id, harmless(one.get("reason", "refused"), [member])))
        return Answer(tuple(refused))

    def read_back(self, audience: str) -> Iterator[Member] | None:
        """A webhook can't tell."""
        return None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _headers(self, idempotency_key: str, content: bytes) -> dict[str, str]:
        timestamp = str(int(self._clock()))
        return {
            "Content-Type": "application/json",
            "Idempotency-Key": idempotency_key,
            "webhook-id": idempotency_key,
            "webhook-timestamp": timestamp,
            "webhook-signature": signature(self._secret, idempotency_key, timestamp, content),
        }


def signature(secret: bytes, message_id: str, timestamp: str, content: bytes) -> str:
    """The header a receiver compares with."""
    signed = f"{message_id}.{timestamp}.".encode() + content
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


def _key(read: Settings, secret: str) -> bytes:
    if not secret.startswith(SECRET_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise read.wrong("secret_env", f"names a variable that begins with {SECRET_PREFIX} but is no base64") from None

"""Google Customer Match by the Data Manager API: SHA-256 of normalised addresses. Format and limits tested only.

Limits (developers.google.com/data-manager): 10,000 members a call. Names are sent only where given name, family name,
country and postal code are all there; the first two hashed, the others not, as Google wants it. The engine sends only
people with consent, so `consent` says granted; that you accepted the Customer Match terms you say yourself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from ritorno.audiences.destinations import normalise
from ritorno.audiences.destinations.base import Answer, Batch, Kind
from ritorno.audiences.destinations.http import Http
from ritorno.audiences.destinations.platform import Platform, by_kind, hashed_id
from ritorno.audiences.destinations.settings import Settings
from ritorno.audiences.destinations.values import Json

IDENTIFIERS = {"email": "emailAddress", "phone": "phoneNumber"}
ADDRESS = ("first_name", "last_name", "country", "postal_code")


class Google(Platform):
    """See the module."""

    type: ClassVar[str] = "google"
    keys: ClassVar[frozenset[str]] = frozenset(IDENTIFIERS)
    takes_fields: ClassVar[frozenset[str] | None] = frozenset(ADDRESS)

    def __init__(self, http: Http, destination: Mapping[str, Any], max_batch: int) -> None:
        super().__init__(http, max_batch)
        self._destination = destination

    @classmethod
    def from_settings(cls, settings: Mapping[str, object], environment: Mapping[str, str]) -> Self:
        """Settings: account_id, user_list_id, login_account_id, terms_accepted, token_env, base_url, max_batch."""
        read = Settings(cls.type, settings, environment)
        headers = {"Authorization": f"Bearer {read.secret('token_env')}"}
        base_url = read.url("base_url", "https://datamanager.googleapis.com")
        destination: dict[str, Any] = {
            "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": read.name("account_id")},
            "productDestinationId": read.name("user_list_id"),
        }
        if settings.get("login_account_id") is not None:
            login = {"accountType": "GOOGLE_ADS", "accountId": read.name("login_account_id")}
            destination["loginAccount"] = login
        if not read.flag("terms_accepted", False):
            raise read.wrong("terms_accepted", "isn't true: accept Google's Customer Match terms, then say so here")
        max_batch = read.integer("max_batch", 10_000, most=10_000)
        timeout = read.seconds("timeout_seconds", 60.0)
        read.done()
        return cls(Http(base_url, headers, timeout=timeout), destination, max_batch)

    def normalise(self, key: str, value: str) -> str | None:
        """`email:<SHA-256>` or `phone:…`; None for what isn't one or is hashed already."""
        return hashed_id(key, normalise.google(key, value)) if key in self.keys else None

    def send(self, batch: Batch) -> Answer:
        """One call: ingest or remove."""
        good, refused = self._written(batch)
        found, unhashed = by_kind(good, IDENTIFIERS)
        if not found:
            return Answer((*refused, *unhashed))
        payload: dict[str, Any] = {
            "destinations": [self._destination],
            "encoding": "HEX",
            "audienceMembers": [
                {"userData": {"userIdentifiers": [{IDENTIFIERS[kind]: digest}, *_address(fields)]}}
                for kind, digest, fields in found
            ],
        }
        if batch.kind in (Kind.ADD, Kind.UPDATE):
            payload["consent"] = {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"}
            payload["termsOfService"] = {"customerMatchTermsOfServiceStatus": "ACCEPTED"}
            self._http.call("POST", "/v1/audienceMembers:ingest", payload)
        else:
            self._http.call("POST", "/v1/audienceMembers:remove", payload)
        return Answer((*refused, *unhashed))


def _address(fields: Mapping[str, Json]) -> list[dict[str, Any]]:
    values = {name: str(fields.get(name) or "").strip() for name in ADDRESS}
    if not all(values.values()):
        return []
    return [
        {
            "address": {
                "givenName": normalise.sha256(values["first_name"].lower()),
                "familyName": normalise.sha256(values["last_name"].lower()),
                "regionCode": values["country"].upper(),
                "postalCode": values["postal_code"],
            }
        }
    ]

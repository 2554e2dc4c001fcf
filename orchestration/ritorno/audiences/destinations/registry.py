"""Which class stands behind `destination.type`: the ones that come along, or your own as `package.module:Class`."""

from __future__ import annotations

import importlib
from typing import cast

from ritorno.audiences.destinations.base import Destination
from ritorno.errors import UnusableInput

# Modules by name: psycopg2, boto3 and asyncssh are loaded by whoever uses them.
BUILT_IN = {
    "postgres": "ritorno.audiences.destinations.postgres:Postgres",
    "files": "ritorno.audiences.destinations.files:Files",
    "s3": "ritorno.audiences.destinations.s3:S3",
    "sftp": "ritorno.audiences.destinations.sftp:Sftp",
    "webhook": "ritorno.audiences.destinations.webhook:Webhook",
    "mailman": "ritorno.audiences.destinations.mailman:Mailman",
    "klaviyo": "ritorno.audiences.destinations.klaviyo:Klaviyo",
    "braze": "ritorno.audiences.destinations.braze:Braze",
    "customerio": "ritorno.audiences.destinations.customerio:CustomerIo",
    "hubspot": "ritorno.audiences.destinations.hubspot:HubSpot",
    "meta": "ritorno.audiences.destinations.meta:Meta",
    "google": "ritorno.audiences.destinations.google:Google",
}

PROTOCOL = ("type", "modes", "keys", "from_settings", "normalise", "send", "read_back", "close")


def destination(name: str) -> type[Destination]:
    """The class of a destination type, as `destination.type` of an exposure gives it.

    Raises:
        UnusableInput: there is no such type, or the class named isn't a destination.
    """
    place = BUILT_IN.get(name, name)
    module_name, colon, class_name = place.partition(":")
    if not colon:
        known = ", ".join(sorted(BUILT_IN))
        raise UnusableInput(f"destination type {name!r} is unknown: give one of {known}, or your own as module:Class")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise UnusableInput(
            f"destination type {name!r} can't be loaded ({error}): is its module installed in this environment?"
        ) from error
    missing = [one for one in PROTOCOL if not hasattr(found, one)]
    if missing:
        raise UnusableInput(
            f"destination type {name!r} is no destination, it lacks {', '.join(missing)}: see docs/destinations.md"
        )
    return cast("type[Destination]", found)


def fields_taken(found: type[Destination]) -> frozenset[str] | None:
    """Which declared fields a destination can take, None: any. A platform that hashes takes a few only."""
    taken: frozenset[str] | None = getattr(found, "takes_fields", None)
    return taken

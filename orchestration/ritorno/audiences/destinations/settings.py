"""Reading an exposure's `destination` mapping: every mistake is named, with the remedy, before anything is sent."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from ritorno.errors import UnusableInput

SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\Z")
ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class Settings:
    """Settings of one destination, read once each; `done` refuses what nobody asked for (a typo, a secret)."""

    def __init__(self, kind: str, values: Mapping[str, object], environment: Mapping[str, str]) -> None:
        self.kind = kind
        self._values = values
        self._environment = environment
        self._known = {"type"}

    def wrong(self, name: str, problem: str) -> UnusableInput:
        """The error for a setting, to be raised."""
        return UnusableInput(f"destination {self.kind}: {name} {problem}")

    def text(self, name: str, default: str | None = None) -> str:
        """A text that isn't empty; without a default it must be given."""
        value = self._get(name)
        if value is None:
            if default is None:
                raise self.wrong(name, f"is missing: set {name} in the exposure's config.meta.audience.destination")
            return default
        if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
            raise self.wrong(name, f"is {value!r}: give a text")
        return str(value).strip()

    def optional(self, name: str) -> str | None:
        """A text, or None when it isn't given."""
        return self.text(name) if self._get(name) is not None else None

    def name(self, name: str, default: str | None = None) -> str:
        """A text that is safe as a file name or key: letters, digits, `_`, `-`, `.`."""
        value = self.text(name, default)
        if not SAFE_NAME.match(value):
            raise self.wrong(name, f"is {value!r}: use letters, digits, _, - and . only, not beginning with . or -")
        return value

    def choice(self, name: str, choices: Collection[str], default: str | None = None) -> str:
        """One of the choices."""
        value = self.text(name, default)
        if value not in choices:
            raise self.wrong(name, f"is {value!r}: give one of {', '.join(sorted(choices))}")
        return value

    def integer(self, name: str, default: int, least: int = 1, most: int | None = None) -> int:
        """A whole number within bounds."""
        value = self._get(name)
        if value is None:
            return default
        bounds = f"from {least} to {most}" if most is not None else f"of at least {least}"
        if (
            isinstance(value, bool)
            or not isinstance(value, int)
            or value < least
            or (most is not None and value > most)
        ):
            raise self.wrong(name, f"is {value!r}: give a whole number {bounds}")
        return value

    def seconds(self, name: str, default: float) -> float:
        """A duration in seconds, above 0."""
        value = self._get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 86_400:
            raise self.wrong(name, f"is {value!r}: give seconds above 0 and below a day")
        return float(value)

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self._get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(name, f"is {value!r}: give true or false")
        return value

    def mapping(self, name: str) -> dict[str, str]:
        """A mapping of texts; empty when it isn't given."""
        value = self._get(name)
        if value is None:
            return {}
        if not isinstance(value, Mapping) or not all(
            isinstance(key, str) and isinstance(one, str) for key, one in value.items()
        ):
            raise self.wrong(name, f"is {value!r}: give a mapping of names to texts")
        return dict(value)

    def url(self, name: str, default: str | None = None) -> str:
        """An https URL without user or password; http only to this machine, since addresses would travel in clear."""
        value = self.text(name, default)
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise self.wrong(name, "is no URL: give one that begins with https://")
        if parts.username or parts.password:
            raise self.wrong(name, "holds a user or password: give those by the name of an environment variable")
        if parts.scheme == "http" and not is_this_machine(parts.hostname):
            raise self.wrong(name, f"goes to {parts.hostname} by http, where anyone may read along: use https")
        return value.rstrip("/")

    def secret(self, name: str) -> str:
        """The value of the environment variable that the setting names."""
        variable = self.text(name)
        if not ENVIRONMENT_NAME.match(variable):
            # Its value may be the secret itself, put here by mistake: it is not repeated.
            raise self.wrong(name, "is no name of an environment variable: secrets stand there, never in a file")
        value = self._environment.get(variable, "")
        if not value.strip():
            raise self.wrong(name, f"names the environment variable {variable}, which isn't set: export it")
        return value.strip()

    def optional_secret(self, name: str) -> str | None:
        """The same, or None when the setting isn't given."""
        return self.secret(name) if self._get(name) is not None else None

    def done(self) -> None:
        """Refuse settings that nobody read."""
        for name in self._values:
            if name not in self._known:
                close = difflib.get_close_matches(name, self._known, n=1)
                hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(self._known - {'type'}))}"
                raise self.wrong(name, f"is no setting of it; {hint}")

    def _get(self, name: str) -> object:
        self._known.add(name)
        return self._values.get(name)


def is_this_machine(host: str) -> bool:
    """Whether what is sent there stays on this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

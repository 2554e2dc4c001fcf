"""Quoting for the statements that landing builds: names come from files, so they are never trusted."""

from __future__ import annotations

from collections.abc import Iterable


def name(identifier: str) -> str:
    """An identifier, quoted."""
    return '"' + identifier.replace('"', '""') + '"'


def text(value: str) -> str:
    """A string literal."""
    return "'" + value.replace("'", "''") + "'"


def names(identifiers: Iterable[str]) -> str:
    """A list of quoted identifiers."""
    return ", ".join(name(identifier) for identifier in identifiers)

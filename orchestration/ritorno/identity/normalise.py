"""Addresses and company names in the one form that is compared. Pure functions; callers pass distinct values only."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import phonenumbers

NOT_AN_EMAIL = "no e-mail address: it needs text on both sides of one @"
NOT_A_PHONE = "no phone number of the policy's region or with a country code"
IMPOSSIBLE_PHONE = "no phone number has this length there"


@dataclass(frozen=True, slots=True)
class Normalised:
    """What a raw value became: a value, or the reason why it is none (then it joins nobody)."""

    value: str | None
    reason: str | None = None


def email(raw: str) -> Normalised:
    """Trimmed, lower case, Unicode NFC.

    Placeholders such as `n/a` are no addresses: without the check they would join strangers.
    """
    value = _folded(raw)
    local, at, domain = value.rpartition("@")
    if not (local and at and domain) or any(character.isspace() for character in value):
        return Normalised(None, NOT_AN_EMAIL)
    return Normalised(value)


def phone(raw: str, region: str) -> Normalised:
    """E.164, a national number read as `region`'s; an extension is not part of it."""
    try:
        number = phonenumbers.parse(raw, region)
    except phonenumbers.NumberParseException:
        return Normalised(None, NOT_A_PHONE)
    # A number that only works within its own town, or is all zeros, is a placeholder more often than a phone.
    possible = phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE
    if not possible or not number.national_number:
        return Normalised(None, IMPOSSIBLE_PHONE)
    # What format_number(E164) gives, at a third of its time: a million numbers are normalised here.
    return Normalised(f"+{number.country_code}{phonenumbers.national_significant_number(number)}")


def company(raw: str) -> Normalised:
    """Lower case, NFC, one blank between words, without full stops and commas (`ACME Inc.` is `acme inc`)."""
    value = " ".join(_folded(raw.replace(".", "").replace(",", " ")).split())
    return Normalised(value or None, None if value else "empty")


def readers(region: str) -> dict[str, Callable[[str], Normalised]]:
    """The normaliser of each kind of address."""
    return {"email": email, "phone": partial(phone, region=region)}


def table(
    read: Callable[[str], Normalised], raw: Iterable[str]
) -> tuple[list[str], list[str | None], list[str | None]]:
    """Raw values, normalised values and reasons as three columns of equal length."""
    raws = list(raw)
    results = [read(one) for one in raws]
    return raws, [result.value for result in results], [result.reason for result in results]


def _folded(raw: str) -> str:
    # NFC on both sides of lower(): lower() of a composed and of a decomposed letter may differ in form.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", raw.strip()).lower())

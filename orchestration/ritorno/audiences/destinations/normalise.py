"""One normaliser per kind of platform. `None`: the platform takes no such value. Golden vectors: tests/audiences.

A value that is a hash already is refused: nobody can tell how it was normalised before it was hashed, and hashed twice
it matches nobody, silently.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

HASH = re.compile(r"(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{56}|[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128})\Z", re.I)
BASE64_SHA256 = re.compile(r"[A-Za-z0-9+/]{43}=\Z")
SHA256 = re.compile(r"[0-9a-f]{64}\Z")
PHONE = re.compile(r"\+[1-9][0-9]{6,14}\Z")
GMAIL = ("gmail.com", "googlemail.com")


def is_hash(value: str) -> bool:
    """Whether a value looks like a digest: MD5, SHA-1, SHA-2 in hexadecimal, SHA-256 in base64."""
    if "@" in value:
        return False
    bare = value.strip()
    return bool(HASH.match(bare) or BASE64_SHA256.match(bare))


def email(value: str) -> str | None:
    """Trimmed, lower case, NFC; None if it is no address."""
    address = unicodedata.normalize("NFC", unicodedata.normalize("NFC", value.strip()).lower())
    local, at, domain = address.rpartition("@")
    usable = local and at and "@" not in local and "." in domain and not domain.startswith(".")
    if not usable or domain.endswith(".") or ".." in domain or address.split() != [address]:
        return None
    return address


def phone(value: str) -> str | None:
    """E.164 with the plus sign. A number without country code is refused: guessed, it would be a stranger's."""
    bare = re.sub(r"[\s()./\u00a0-]", "", value.strip())
    number = "+" + bare.removeprefix("00") if bare.startswith("00") else bare
    return number if PHONE.match(number) else None


def plain(key: str, value: str) -> str | None:
    """Where addresses go as they are."""
    if is_hash(value) and key != "customer_key":
        return None
    if key == "email":
        return email(value)
    if key == "phone":
        return phone(value)
    return value.strip() or None


def meta(key: str, value: str) -> str | None:
    """Meta Custom Audiences: e-mail trimmed and lower case, phone digits only with country code, both SHA-256.

    Dots and tags of Gmail addresses stay. External ids are hashed after trimming, which Meta recommends.
    """
    if is_hash(value) and key != "customer_key":
        return None
    if key == "email":
        return sha256(email(value))
    if key == "phone":
        number = phone(value)
        return sha256(number.removeprefix("+") if number else None)
    return sha256(value.strip() or None)


def google(key: str, value: str) -> str | None:
    """Google Customer Match: e-mail lower case without blanks, in Gmail without dots and tag; phone E.164 with plus."""
    if is_hash(value):
        return None
    if key == "phone":
        return sha256(phone(value))
    address = email(re.sub(r"\s", "", value))
    if address is None:
        return None
    local, _, domain = address.rpartition("@")
    if domain in GMAIL:
        local = local.partition("+")[0].replace(".", "")
    return sha256(f"{local}@{domain}") if local else None


def sha256(value: str | None) -> str | None:
    """In lower-case hexadecimal; None stays None."""
    return hashlib.sha256(value.encode()).hexdigest() if value is not None else None

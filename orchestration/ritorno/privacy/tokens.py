"""What an erased person is called from then on, and the keyed hashes by which they are known again."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import duckdb

from ritorno.audiences.planner import address_hash, key_id
from ritorno.contract import RawTable
from ritorno.errors import UnusableInput
from ritorno.identity import normalise

PREFIX = "erased-"
DOMAIN = "erased.invalid"
"""RFC 2606: no address below `.invalid` can ever be delivered to."""
ACCOUNT, CONTACT = "account", "contact"
ID_COLUMNS: Mapping[str, str] = {
    "customer_id": ACCOUNT,
    "Customer ID": ACCOUNT,
    "referrer_id": ACCOUNT,
    "left_id": ACCOUNT,
    "right_id": ACCOUNT,
    "contact_id": CONTACT,
}
"""Columns of raw tables that name a person by a source's number, and whose numbers those are."""
FREE_TEXT: Mapping[str, tuple[str, ...]] = {"crm_contacts": ("preferences",)}
"""Columns that hold a person's own words without being tagged `pii`."""
_ADDRESS = re.compile(r"[^\s,;|<>\"'()]+@[^\s,;|<>\"'()]+")
GONE = "[erased]"


def new_token() -> str:
    """A random token for a person."""
    return PREFIX + secrets.token_hex(12)


def token_address(token: str) -> str:
    """The address that stands for every address of an erased person: it keeps their rows one customer."""
    return f"{token}@{DOMAIN}"


def source_kind(system: str, space: str) -> str:
    """The kind under which a source id is hashed: numbers of two systems, or of two sorts, are not the same."""
    return f"{system}/{space}"


def plain_id(value: str) -> str:
    """A source id as it is compared: trimmed, and a number that went through a float is a number."""
    text = value.strip()
    return text[:-2] if text.endswith(".0") and text[:-2].isdigit() else text


def id_columns(table: RawTable) -> Mapping[str, str]:
    """The table's columns that name a person by number."""
    return {name: ID_COLUMNS[name] for name in table.column_names if name in ID_COLUMNS}


def address_columns(table: RawTable, kind: str) -> Sequence[str]:
    """The table's columns that hold e-mail addresses or phone numbers."""
    return [name for name in table.column_names if name == kind or name.endswith(f"_{kind}")]


@dataclass(frozen=True)
class Known:
    """What is known again: raw spellings in columns, and what they become.

    Attributes:
        ids: (kind, spelling) → token of the id.
        emails: spelling → token address.
        phones: spelling → token address of whoever had it.
    """

    ids: Mapping[tuple[str, str], str] = field(default_factory=dict)
    emails: Mapping[str, str] = field(default_factory=dict)
    phones: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_nobody(self) -> bool:
        """Whether there is nothing to rewrite."""
        return not (self.ids or self.emails or self.phones)


@dataclass
class Erased:
    """Everybody who was erased, as keyed hashes: recognises them in what lands later.

    Attributes:
        tokens: keyed hash → token of the id, or of the person for an address.
        region: for national phone numbers.
    """

    key: bytes
    tokens: Mapping[str, str]
    region: str
    _readers: dict[str, Callable[[str], normalise.Normalised]] = field(init=False)

    def __post_init__(self) -> None:
        self._readers = normalise.readers(self.region)

    def id(self, kind: str, value: str) -> str | None:
        """The token of a source id, if it was an erased person's."""
        return self.tokens.get(address_hash(self.key, kind, plain_id(value)))

    def address(self, kind: str, raw: str) -> str | None:
        """The person's token, if the address was an erased person's."""
        if raw.strip().endswith(f"@{DOMAIN}"):
            return None
        value = self._readers[kind](raw).value
        return None if value is None else self.tokens.get(address_hash(self.key, kind, value))

    def id_of_newcomer(self, token: str, value: str) -> str:
        """The token of an id that came after the erasure with an erased address: the same whenever it comes."""
        return f"{token}-{hmac.new(self.key, plain_id(value).encode(), hashlib.sha256).hexdigest()[:12]}"

    def without(self, text: str | None) -> str | None:
        """A broken row's text without erased people's addresses; all of it goes if one is in there."""
        if text is None:
            return None
        for found in _ADDRESS.findall(text):
            if self.address("email", found):
                return GONE
        for part in re.split(r"[,;|\t\"]", text):
            digits = sum(character.isdigit() for character in part)
            if digits >= 6 and len(part) < 40 and self.address("phone", part):
                return GONE
        return text


def read(con: duckdb.DuckDBPyConnection, key: bytes | None, region: str) -> Erased | None:
    """Everybody who was erased, from an attached state; None if nobody was.

    Raises:
        UnusableInput: somebody was, and the key isn't there or is another: an old file would bring them back.
    """
    if not con.execute(
        "select 1 from duckdb_tables() where database_name = 'state' and schema_name = 'publish' "
        "and table_name = 'erased'"
    ).fetchone():
        return None
    rows = con.execute("select value_hash, token, key_id from state.publish.erased").fetchall()
    if not rows:
        return None
    if key is None:
        raise UnusableInput(
            "people were erased here, and RITORNO_HMAC_KEY isn't set, without which nobody knows them again in new "
            "files: nothing was landed. Export the key that `ritorno erase` was used with"
        )
    if {made for _, _, made in rows} != {key_id(key)}:
        raise UnusableInput(
            "RITORNO_HMAC_KEY is not the key that erased people were hashed with: nothing was landed. Export the old "
            "one; hashes can't be made anew, since nobody knows whose they are"
        )
    return Erased(key, {value_hash: token for value_hash, token, _ in rows}, region)

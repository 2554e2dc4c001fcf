"""Who is to be erased: everything by which a person stands in the warehouse, and what it becomes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

import duckdb

from ritorno import sql
from ritorno.audiences.planner import address_hash, key_id
from ritorno.contract import RawTable, raw_tables
from ritorno.identity import normalise
from ritorno.privacy.tokens import (
    ACCOUNT,
    CONTACT,
    PREFIX,
    Known,
    address_columns,
    id_columns,
    new_token,
    plain_id,
    source_kind,
    token_address,
)

_SPACE = {"contact": CONTACT}
"""Whose numbers an identity node's source id is; a member's and a subscriber's is their account's."""


@dataclass
class Work:
    """An erasure's plan. PERSONAL: it stands in the state's `pii.erasing` until everything is done, and nowhere else.

    Attributes:
        token: the person's.
        customer_key: as called before.
        new_key: as called from then on.
        keys: every earlier key → its new one.
        ids: (kind, id) → its token.
        addresses: (kind, normalised value), the person's alone.
        spellings: (kind, as it stands in a column).
        shared: how many addresses somebody else has too: those stay with them.
    """

    token: str
    customer_key: str
    new_key: str
    keys: dict[str, str] = field(default_factory=dict)
    ids: list[tuple[str, str, str]] = field(default_factory=list)
    addresses: list[tuple[str, str]] = field(default_factory=list)
    spellings: list[tuple[str, str]] = field(default_factory=list)
    shared: int = 0

    @property
    def mail(self) -> str:
        """The token address."""
        return token_address(self.token)

    def known(self) -> Known:
        """For rewriting raw tables, in the spellings of the day of the erasure."""
        return Known(
            {
                (kind, spelling): new
                for kind, old, new in self.ids
                for spelling in (old, f" {old}", f"{old} ", f"{old}.0")
            },
            {value: self.mail for kind, value in self.spellings if kind == "email"},
            {value: self.mail for kind, value in self.spellings if kind == "phone"},
        )

    def texts(self) -> dict[str, str | None]:
        """Values that mean this person wherever they stand, and what they become."""
        found: dict[str, str | None] = dict(self.keys)
        for kind, value in (*self.addresses, *self.spellings):
            found[value] = self.mail if kind == "email" else None
        return found

    def needles(self) -> list[str]:
        """What must not be found in any byte of the home afterwards; short ones mean nothing."""
        addresses = {value for _, value in (*self.addresses, *self.spellings) if len(value.strip()) >= 6}
        return sorted({value.strip() for value in addresses} | set(self.keys), key=lambda one: (-len(one), one))

    def hashes(self, key: bytes) -> list[tuple[str, str, str]]:
        """(keyed hash, kind, token) of everything by which the person may come back."""
        found = [(address_hash(key, kind, value), kind, self.token) for kind, value in self.addresses]
        found += [(address_hash(key, kind, plain_id(old)), kind, new) for kind, old, new in self.ids]
        found += [(address_hash(key, "key", old), "key", self.token) for old in self.keys]
        return sorted(set(found))

    def dump(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Work:
        """From JSON."""
        read = json.loads(text)
        read["ids"] = [tuple(one) for one in read["ids"]]
        read["addresses"] = [tuple(one) for one in read["addresses"]]
        read["spellings"] = [tuple(one) for one in read["spellings"]]
        return cls(**read)


def node_key(system: str, entity: str, source_id: str) -> str:
    """A node's key, as the identity step makes it."""
    return hashlib.md5(f"{system}|{entity}|{source_id}".encode(), usedforsecurity=False).hexdigest()


def collect(con: duckdb.DuckDBPyConnection, customer_key: str, region: str) -> Work:
    """Everything the attached warehouse (`warehouse`, current database) knows of a customer."""
    token = new_token()
    nodes = con.execute(
        "select node_key, system, entity, source_id, is_personal_id from identity.nodes where customer_key = ? "
        "order by node_key",
        [customer_key],
    ).fetchall()
    ids: dict[tuple[str, str], str] = {}
    for _, system, entity, source_id, is_personal in nodes:
        # An id that is an address may stand in an id column too; a guest's never does.
        if entity != "guest" and not (is_personal and entity != "account" and "@" in source_id):
            kind = source_kind(system, _SPACE.get(entity, ACCOUNT))
            ids.setdefault((kind, plain_id(source_id)), f"{token}-{len(ids) + 1}")
    keys: dict[str, str] = {}
    for key, system, entity, source_id, _ in nodes:
        new_id = ids.get((source_kind(system, _SPACE.get(entity, ACCOUNT)), plain_id(source_id)))
        if entity == "guest":
            new_id = f"{token_address(token)}|"
        keys[key] = node_key(system, entity, new_id or token_address(token))
    work = Work(token, customer_key, keys.get(customer_key, node_key("ritorno", "erased", token)), keys)
    work.keys.setdefault(customer_key, work.new_key)
    work.ids = [(kind, old, new) for (kind, old), new in sorted(ids.items())]
    _collect_addresses(con, work, region)
    return work


def _collect_addresses(con: duckdb.DuckDBPyConnection, work: Work, region: str) -> None:
    """Addresses of the person's nodes and of rows with their ids; what somebody else has too is not the person's."""
    values = set(
        con.execute(
            "select distinct kind, value from identity.node_addresses where customer_key = ? "
            "and kind in ('email', 'phone') and value is not null",
            [work.customer_key],
        ).fetchall()
    )
    read = normalise.readers(region)
    spelled = set(_in_rows(con, work)) | set(
        con.execute(
            "select g.kind, g.raw from (select customer_key, 'email' as kind, email as raw from identity.guests "
            "union all select customer_key, 'phone', phone from identity.guests) as g "
            "where g.customer_key = ? and g.raw != ''",
            [work.customer_key],
        ).fetchall()
    )
    values |= {(kind, value) for kind, raw in spelled if (value := read[kind](raw).value) is not None}
    others = set(
        con.execute(
            "select distinct kind, value from identity.node_addresses where customer_key != ? "
            "and kind in ('email', 'phone')",
            [work.customer_key],
        ).fetchall()
    )
    own = values - others
    work.shared = len(values & others)
    unreadable = {(kind, raw) for kind, raw in spelled if read[kind](raw).value is None and len(raw.strip()) >= 6}
    known = con.execute("select kind, raw_value, value from identity.addresses where value is not null").fetchall()
    work.addresses = sorted(own)
    work.spellings = sorted(
        {(kind, raw) for kind, raw, value in known if (kind, value) in own}
        | {(kind, raw) for kind, raw in spelled if (kind, read[kind](raw).value or "") in own}
        | unreadable
        | own
    )


def _in_rows(con: duckdb.DuckDBPyConnection, work: Work) -> Iterable[tuple[str, str]]:
    """Addresses in raw rows that carry one of the person's ids, of older versions and broken rows too."""
    by_kind: dict[str, list[str]] = {}
    for kind, old, _ in work.ids:
        by_kind.setdefault(kind, []).append(old)
    for table in raw_tables():
        there = _columns(con, table)
        for column, space in id_columns(table).items():
            wanted = by_kind.get(source_kind(table.system, space))
            if not wanted or column not in there or column in ("left_id", "right_id"):
                continue
            # An invitation by id names the inviter's address, not the invited person's.
            addresses = [
                (kind, name)
                for kind in ("email", "phone")
                for name in address_columns(table, kind)
                if name in there and name != "referee_email"
            ]
            for kind, name in addresses:
                for (raw,) in con.execute(
                    f"select distinct cast({sql.name(name)} as varchar) from {table.relation} "
                    f"where {sql.name(name)} is not null "
                    f"and trim(cast({sql.name(column)} as varchar)) in (select unnest(?::varchar[]))",
                    [[*wanted, *(f"{one}.0" for one in wanted)]],
                ).fetchall():
                    if raw.strip() and not raw.startswith(PREFIX):
                        yield kind, raw


def _columns(con: duckdb.DuckDBPyConnection, table: RawTable) -> set[str]:
    return {
        name
        for (name,) in con.execute(
            "select column_name from duckdb_columns() where database_name = current_database() "
            "and schema_name = 'raw' and table_name = ?",
            [table.identifier],
        ).fetchall()
    }


def find_erased(con: duckdb.DuckDBPyConnection, text: str, key: bytes, region: str) -> tuple[str, str] | None:
    """(token, customer key) of whoever was erased under this key, address or id; the state is attached as `state`."""
    wanted = text.strip()
    asked = [address_hash(key, "key", wanted)]
    for kind, read in normalise.readers(region).items():
        value = read(wanted).value
        if value is not None:
            asked.append(address_hash(key, kind, value))
    system, colon, rest = wanted.partition(":")
    rows = con.execute("select distinct kind from state.publish.erased where contains(kind, '/')").fetchall()
    kinds = [str(kind) for (kind,) in rows]
    asked += [address_hash(key, kind, plain_id(wanted)) for kind in kinds]
    if colon:
        asked += [address_hash(key, kind, plain_id(rest)) for kind in kinds if kind.startswith(f"{system}/")]
    found = con.execute(
        "select distinct split_part(token, '-', 1) || '-' || split_part(token, '-', 2), customer_key "
        "from state.publish.erased where (value_hash in (select unnest(?::varchar[])) and key_id = ?) "
        "or customer_key = ? or token = ?",
        [asked, key_id(key), wanted, wanted],
    ).fetchall()
    return (str(found[0][0]), str(found[0][1])) if len(found) == 1 else None

"""`ritorno explain CUSTOMER`: where a person is, where not, since when and why. From tables alone, in keys only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb

from ritorno import lock, shared_state
from ritorno.audiences import warehouse
from ritorno.audiences.planner import address_hash
from ritorno.audiences.store import FileStore
from ritorno.errors import UnusableInput
from ritorno.home import Home
from ritorno.identity import normalise


@dataclass(frozen=True)
class Standing:
    """How a person stands with one audience."""

    audience: str
    decision: str
    reason: str
    detail: str
    since: datetime
    there: str


@dataclass
class Explanation:
    """Everything that is known of why a person is sent or not."""

    customer_key: str
    segments: Sequence[tuple[str, Any, str]] = ()
    past_segments: Sequence[tuple[str, Any, Any, str]] = ()
    audiences: Sequence[Standing] = ()
    arms: Sequence[tuple[str, str, datetime]] = ()
    contacts: Sequence[tuple[datetime, str, str]] = ()
    dead_letters: Sequence[tuple[str, str, int, datetime]] = ()
    is_suppressed: bool | None = False
    is_erased: bool = False
    known_as: Sequence[tuple[str, str, str]] = field(default_factory=list)


def resolve(con: duckdb.DuckDBPyConnection, text: str, region: str) -> str:
    """The customer that a key, an e-mail address or phone number, or a source id means.

    Raises:
        UnusableInput: nobody, or several; the text is not repeated where it may be an address.
    """
    wanted = text.strip()
    asked: list[tuple[str, list[str]]] = [
        (
            "select distinct customer_key from warehouse.marts.customer_aliases where alias = ? "
            "or (alias_kind = 'source_id' and system || ':' || alias = ?)",
            [wanted, wanted],
        )
    ]
    for kind, read in normalise.readers(region).items():
        value = read(wanted).value
        if value is not None:
            asked.append(
                (
                    "select distinct customer_key from warehouse.identity.node_addresses where kind = ? and value = ?",
                    [kind, value],
                )
            )
    for sql, parameters in asked:
        found = [key for (key,) in con.execute(sql, parameters).fetchall()]
        if len(found) == 1:
            return str(found[0])
        if found:
            raise UnusableInput(
                f"{len(found)} customers have this: {', '.join(sorted(found)[:5])}. Give a customer key, or SYSTEM:ID"
            )
    raise UnusableInput("no customer has this key, e-mail address, phone number or source id as of the last refresh")


def explain(home: Home, text: str, policy: Mapping[str, Any], key: bytes | None) -> Explanation:
    """Explain a person.

    Raises:
        UnusableInput: the text means nobody, or several.
    """
    with duckdb.connect(":memory:") as con, lock.hold(home), shared_state.locked(home):
        warehouse.attach(con, home)
        customer = resolve(con, text, str(policy["default_phone_region"]))
        found = Explanation(customer)
        _from_warehouse(con, found)
        addresses = con.execute(
            "select distinct kind, value from warehouse.identity.node_addresses where customer_key = ? "
            "and kind in ('email', 'phone')",
            [customer],
        ).fetchall()
        with FileStore.of(home).attached(con):
            _from_state(con, found, addresses, key)
        return found


def _from_warehouse(con: duckdb.DuckDBPyConnection, found: Explanation) -> None:
    there = {
        (schema, name)
        for schema, name in con.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'warehouse'"
        ).fetchall()
    }
    customer = [found.customer_key]
    found.known_as = con.execute(
        "select alias_kind, system, alias from warehouse.marts.customer_aliases where customer_key = ? "
        "order by alias_kind, system, alias",
        customer,
    ).fetchall()
    if ("marts", "segment_membership") in there:
        found.segments = con.execute(
            "select segment, cast(entered_at as date), reason from warehouse.marts.segment_membership "
            "where customer_key = ? order by segment",
            customer,
        ).fetchall()
    if ("marts", "segment_history") in there:
        found.past_segments = con.execute(
            "select segment, cast(entered_at as date), cast(left_at as date), coalesce(exit_reason, '') "
            "from warehouse.marts.segment_history where customer_key = ? and left_at is not null "
            "order by left_at desc, segment limit 10",
            customer,
        ).fetchall()


def _from_state(
    con: duckdb.DuckDBPyConnection, found: Explanation, addresses: Sequence[tuple[str, str]], key: bytes | None
) -> None:
    con.execute(
        "create temp table me as select alias from warehouse.marts.customer_aliases "
        "where customer_key = ? and alias_kind = 'node_key' union select ?",
        [found.customer_key, found.customer_key],
    )
    mine = "customer_key in (select alias from me)"

    def rows(sql: str) -> list[Any]:
        found_rows: list[Any] = con.execute(sql).fetchall()
        return found_rows

    there = dict(
        rows(
            "select audience, case when bool_or(state = 'present') then 'there' else 'unknown' end "
            f"from state.publish.delivered where {mine} group by audience"
        )
    )
    found.audiences = [
        Standing(audience, decision, reason, detail, since, there.pop(audience, "not there"))
        for audience, decision, reason, detail, since in rows(
            "select audience, decision, reason, detail, valid_from from state.publish.decision "
            f"where {mine} and valid_to is null order by audience, valid_from"
        )
    ]
    found.arms = rows(f"select experiment, arm, assigned_at from state.publish.assignment where {mine} order by all")
    found.contacts = rows(
        f"select contacted_at, audience, channel from state.publish.contact_ledger where {mine} "
        "order by contacted_at desc, audience limit 10"
    )
    found.dead_letters = rows(
        "select audience, reason, times, last_at from state.publish.dead_letter "
        f"where {mine} and resolved_at is null order by audience"
    )
    found.is_erased = bool(rows(f"select 1 from state.publish.erasure where {mine} limit 1"))
    hashes = {hashed for (hashed,) in rows("select address_hash from state.publish.suppression")}
    if hashes:
        found.is_suppressed = (
            any(address_hash(key, kind, value) in hashes for kind, value in addresses) if key else None
        )


def lines(found: Explanation, show: Callable[[datetime], str] = lambda at: f"{at:%Y-%m-%d %H:%M} UTC") -> list[str]:
    """The explanation in sentences."""
    text = [f"Customer {found.customer_key}"]
    ids = [f"{system}:{alias}" for kind, system, alias in found.known_as if kind == "source_id"]
    if ids:
        text.append(f"  known as {', '.join(ids[:8])}" + (f" and {len(ids) - 8} more" if len(ids) > 8 else ""))
    if found.is_erased:
        text.append("  ERASED: nobody of this key is ever sent again")
    if found.is_suppressed:
        text.append("  SUPPRESSED: an address of theirs is on the suppression list, no audience gets them")
    if found.is_suppressed is None:
        text.append("  suppressed: can't be told without RITORNO_HMAC_KEY")
    text.append("Segments now:" if found.segments else "Segments now: none")
    text += [f"  {segment} since {since}: {reason}" for segment, since, reason in found.segments]
    if found.past_segments:
        text.append("Segments left:")
        text += [
            f"  {segment} {since} to {until}" + (f": {reason}" if reason else "")
            for segment, since, until, reason in found.past_segments
        ]
    text.append("Audiences:" if found.audiences else "Audiences: none has decided about them yet")
    for one in found.audiences:
        why = one.reason + (f" ({one.detail})" if one.detail else "")
        what = {
            "wanted": f"wanted since {show(one.since)}: {why}",
            "excluded": f"left out since {show(one.since)}: {why}",
            "left": f"no longer in the segment since {show(one.since)}",
        }[one.decision]
        text.append(f"  {one.audience}: {what}; at the destination: {one.there}")
    text += [f"Arm of {experiment}: {arm}, recorded {show(at)}" for experiment, arm, at in found.arms]
    text += [
        f"Refused by {audience}'s destination {times} times, last {show(at)}: {reason}"
        for audience, reason, times, at in found.dead_letters
    ]
    if found.contacts:
        text.append("Contacts, newest first:")
        text += [f"  {show(at)} {audience} ({channel})" for at, audience, channel in found.contacts]
    return text

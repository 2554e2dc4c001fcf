"""Accepted isn't applied: what the destination shows, held against what it acknowledged.

Who is missing, lingers or shows other values is unknown from then on, and so asserted again by the next run. Members go
by in chunks; what differs is counted by kind and field, no value is kept.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation

import duckdb

from ritorno.audiences import delivery, planner
from ritorno.audiences.delivery import AnyStore
from ritorno.audiences.destinations.base import Destination, Kind, Member, Value
from ritorno.audiences.exposures import Audience
from ritorno.audiences.store import transaction

KINDS = ("missing", "changed", "lingering", "foreign", "matching")


def read_back(
    con: duckdb.DuckDBPyConnection,
    store: AnyStore,
    destination: Destination,
    audience: Audience,
    types: Mapping[str, str],
    run_id: str,
    now: datetime,
    checkpoint: Callable[[str], None],
) -> Mapping[str, int]:
    """Count members by kind of difference and write them to publish.drift; empty where it can't be read back.

    Args:
        con: the scratch connection, with the run's work.ops and folded.
        types: the declared fields and their types; compared only where the destination `reads_fields`.
    """
    shown = destination.read_back(audience.name)
    if shown is None:
        return {}
    compared = types if getattr(destination, "reads_fields", False) else {}
    _load(con, shown, compared)
    checkpoint("read_back")
    with store.attached(con):
        _compare(con, audience)
        fields = _compare_fields(con, compared)
        with transaction(con):
            return _book(con, audience, run_id, now, fields)


def _load(con: duckdb.DuckDBPyConnection, shown: Iterable[Member], types: Mapping[str, str]) -> None:
    con.execute("create or replace table work.shown (member_id varchar, fields varchar)")
    chunk: list[list[str]] = []
    for member in shown:
        chunk.append([member.member_id, comparable(member.fields, types)])
        if len(chunk) >= delivery.ROWS_AT_ONCE:
            planner.insert_texts(con, "work.shown", ("member_id", "fields"), chunk)
            chunk = []
    planner.insert_texts(con, "work.shown", ("member_id", "fields"), chunk)


def _compare(con: duckdb.DuckDBPyConnection, audience: Audience) -> None:
    con.execute(
        """
        create or replace table work.compared as
        with ours as (
            select d.member_key, m.member_id, d.state, d.fields
            from state.publish.delivered as d inner join state.pii.member as m on d.member_key = m.member_key
            where d.audience = $audience
        ),
        removed as (
            select distinct o.member_id from work.ops as o
            inner join folded as f on o.member_key = f.member_key
            where o.kind <= 1 and f.state = 'acknowledged'
        )
        select
            o.member_key, s.member_id, o.state, o.fields, s.fields as shown,
            case
                when s.member_id is null and o.state = 'present' then 'missing'
                when s.member_id is null then 'unanswered'
                when o.member_id is not null then 'matching'
                when r.member_id is not null then 'lingering'
                else 'foreign'
            end as kind
        from ours as o
        full outer join (select member_id, any_value(fields) as fields from work.shown group by member_id) as s
            on o.member_id = s.member_id
        left join removed as r on s.member_id = r.member_id
        """,
        {"audience": audience.name},
    )


def _compare_fields(con: duckdb.DuckDBPyConnection, types: Mapping[str, str]) -> Counter[str]:
    """Mark who shows other values than were acknowledged; how many members differ in each field."""
    differing: Counter[str] = Counter()
    if not types:
        return differing
    changed: list[Sequence[str]] = []
    reader = con.cursor().execute(
        # the same text is the same values, and most are; another text may still mean them
        "select member_key, fields, shown from work.compared "
        "where kind = 'matching' and state = 'present' and fields is distinct from shown"
    )
    while chunk := reader.fetchmany(delivery.ROWS_AT_ONCE):
        for member_key, acknowledged, seen in chunk:
            expected = comparable(delivery.decode_fields(acknowledged, types), types)
            if expected != seen:
                changed.append([member_key])
                ours, theirs = json.loads(expected), json.loads(seen)
                differing.update(name for name in types if ours[name] != theirs[name])
    con.execute("create or replace table work.changed (member_key varchar)")
    planner.insert_texts(con, "work.changed", ("member_key",), changed)
    con.execute("update work.compared set kind = 'changed' where member_key in (select member_key from work.changed)")
    return differing


def _book(
    con: duckdb.DuckDBPyConnection, audience: Audience, run_id: str, now: datetime, fields: Counter[str]
) -> Mapping[str, int]:
    """Make unknown what differs, so that the next run asserts it again; in the caller's transaction."""
    unknown = {"missing": Kind.ADD}
    if audience.meta.mode != "append":  # once there, nobody is changed: what they were edited to stays
        unknown["changed"] = Kind.UPDATE
    for kind, operation in unknown.items():
        con.execute(
            "update state.publish.delivered as d set state = 'unknown', unknown_kind = $operation "
            "from work.compared as c where d.audience = $audience and d.member_key = c.member_key and c.kind = $kind",
            {"operation": int(operation), "audience": audience.name, "kind": kind},
        )
    _take_back_lingering(con, audience, run_id, now)
    counts = dict(
        con.execute("select kind, count(*) from work.compared where kind != 'unanswered' group by 1").fetchall()
    )
    which = ", ".join(f"{name} ({count})" for name, count in sorted(fields.items())) or None
    for kind in KINDS:
        con.execute(
            "insert into state.publish.drift (run_id, audience, kind, members, read_at, fields) "
            "values (?, ?, ?, ?, ?, ?)",
            [run_id, audience.name, kind, counts.get(kind, 0), now, which if kind == "changed" else None],
        )
    return counts


def _take_back_lingering(con: duckdb.DuckDBPyConnection, audience: Audience, run_id: str, now: datetime) -> None:
    """Who was removed and is still there is unknown, so that the removal is asserted again."""
    lingering = """
        from work.ops as o inner join work.compared as c on o.member_id = c.member_id
        where o.kind <= 1 and c.kind = 'lingering'
    """
    con.execute(
        "insert into state.pii.member select o.member_key, $audience, o.member_id, o.address_kind, o.value, $now "
        f"{lingering}",
        {"audience": audience.name, "now": now},
    )
    con.execute(
        "insert into state.publish.delivered select $audience, o.member_key, o.customer_key, 'unknown', o.kind, "
        f"null, null, $now, null, $run_id {lingering}",
        {"audience": audience.name, "now": now, "run_id": run_id},
    )


# --- values


def comparable(fields: Mapping[str, Value], types: Mapping[str, str]) -> str:
    """The declared fields in one spelling, however a destination writes numbers, instants and nothing at all."""
    spelled = {name: _spelled(fields.get(name), kind.lower()) for name, kind in types.items()}
    return json.dumps(spelled, ensure_ascii=False, separators=(",", ":"))


def _spelled(value: Value, kind: str) -> str | None:
    if value is None or value == "":  # not every place tells an empty text from none
        return None
    if kind == "varchar":
        return str(value)
    if kind == "boolean":
        return str(value).lower()
    if kind in ("bigint", "integer", "double") or kind.startswith("decimal"):
        try:
            number = Decimal(str(value))
            return f"{number:f}".rstrip("0").rstrip(".") if number % 1 else f"{number:.0f}"
        except InvalidOperation:
            return str(value)
    if kind == "timestamp":
        return _instant(value)
    return value.isoformat() if isinstance(value, date) else str(value)


def _instant(value: Value) -> str:
    if not isinstance(value, datetime):
        try:
            value = datetime.fromisoformat(str(value))
        except ValueError:
            return str(value)
    return (value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value).isoformat()

"""The Python steps of segments: `published_history` before the segment models, `segment_membership` after them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb

from ritorno.home import Home
from ritorno.segments import engine, store
from ritorno.segments.definitions import Segment, load_segments, segment_names
from ritorno.state import open_state
from ritorno.step_context import StepContext

SCHEMA = "segment_state"
OUTPUTS = tuple(f"{SCHEMA}.{name}" for name in engine.OUTPUTS)
HISTORY_OUTPUTS = ("publish_history.segment_acknowledged",)
_PEOPLE, _ALIASES = "int_segments__people", "customer_aliases"
_ACKNOWLEDGED = "segment varchar, acknowledged_as_of date"


def inputs(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Every segment of the project, who may be in one, and which key is whose."""
    return (*segment_names(manifest), _PEOPLE, _ALIASES)


def ensure(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Create the output tables, empty, where they are missing."""
    warehouse.execute(f"create schema if not exists {SCHEMA}")
    for name, types in engine.OUTPUTS.items():
        warehouse.execute(f"create table if not exists {SCHEMA}.{name} ({engine.columns(types)})")


def run(context: StepContext) -> dict[str, Any]:
    """Apply grace, cooldown and exclusive groups to today's eligibility and the state before today.

    The state store is only read; `ritorno.segments.store.save` writes it when everything is checked and published.
    """
    segments = load_segments(context.manifest)
    con = context.warehouse
    engine.prepare(con)
    try:
        for segment in segments:
            con.execute(
                f"insert into seg_eligible select ?, customer_key, reason from {segment.relation}", [segment.name]
            )
        con.execute(f"insert into seg_people select customer_key from {_relation(context, _PEOPLE)}")
        con.execute(
            f"insert into seg_alias select alias, customer_key from {_relation(context, _ALIASES)} "
            "where alias_kind = 'node_key'"
        )
        store.load_before(context.home, context.as_of, con)
        engine.advance(con, context.as_of, [rules_of(segment) for segment in segments], SCHEMA)
    finally:
        engine.forget(con)
    row = con.execute(
        f"select count(*), sum(size), sum(entered), sum(left_members), sum(in_grace) from {SCHEMA}.sizes "
        "where date = ?",
        [context.as_of],
    ).fetchone()
    names = ("segments", "members", "entered", "left", "in_grace")
    return {name: int(value or 0) for name, value in zip(names, row or (), strict=False)}


def rules_of(segment: Segment) -> engine.Rules:
    """What its meta asks of its membership."""
    meta = segment.meta
    return engine.Rules(
        segment=segment.name,
        definition_hash=segment.definition_hash,
        grace_days=meta.exit_grace_days,
        cooldown_days=meta.reentry_cooldown_days,
        group=meta.exclusive_group.name if meta.exclusive_group else None,
        priority=meta.exclusive_group.priority if meta.exclusive_group else None,
        experiment=meta.experiment.key if meta.experiment else None,
        salt=meta.experiment.salt if meta.experiment else None,
        arms=meta.experiment.arms if meta.experiment else None,
    )


def _relation(context: StepContext, name: str) -> str:
    node = context.manifest["nodes"][f"model.ritorno.{name}"]
    return f'"{node["schema"]}"."{name}"'


# --- what earlier sends tell the segment models


def ensure_history(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Create the output table, empty, where it is missing."""
    warehouse.execute("create schema if not exists publish_history")
    warehouse.execute(f"create table if not exists publish_history.segment_acknowledged ({_ACKNOWLEDGED})")


def run_history(context: StepContext) -> dict[str, Any]:
    """Tell up to which day each segment's audiences have acknowledged, from schema `publish` of the state store."""
    ensure_history(context.warehouse)
    con = context.warehouse
    rows = acknowledged(context)
    con.execute("delete from publish_history.segment_acknowledged")
    for segment, day in sorted(rows.items()):
        con.execute("insert into publish_history.segment_acknowledged values (?, ?)", [segment, day])
    return {"segments": len(rows)}


def acknowledged(context: StepContext) -> dict[str, Any]:
    """By segment: the newest as-of before this run's that all audiences on it have acknowledged.

    A segment of which an audience never acknowledged anything has none: that audience is to lose nobody either.
    """
    newest = _newest_acknowledged(context.home, context.as_of)
    audiences: dict[str, set[str]] = {}
    for name, exposure in _audiences(context.manifest).items():
        for parent in exposure["depends_on"].get("nodes", []):
            audiences.setdefault(parent.rsplit(".", 1)[-1], set()).add(name)
    for name, segment in newest:  # an audience that the project doesn't declare (any more) holds nobody back
        if segment not in audiences:
            audiences.setdefault(segment, set()).add(name)
    found = {}
    for segment, names in audiences.items():
        days = [newest.get((name, segment)) for name in names]
        if days and all(day is not None for day in days):
            found[segment] = min(day for day in days if day is not None)
    return found


def _audiences(manifest: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {
        exposure["name"]: exposure
        for exposure in manifest.get("exposures", {}).values()
        if "audience" in {**exposure.get("meta", {}), **exposure.get("config", {}).get("meta", {})}
    }


def _newest_acknowledged(home: Home, before: Any) -> dict[tuple[str, str], Any]:  # noqa: ANN401  a date
    if not home.state.exists():
        return {}
    with open_state(home, read_only=True) as con:
        known = con.execute("select 1 from duckdb_tables() where schema_name = 'publish' and table_name = 'run'")
        if known.fetchone() is None:
            return {}
        rows = con.execute(
            "select audience, segment, max(as_of) from publish.run "
            "where acknowledged_at is not null and as_of < ? and segment is not null group by audience, segment",
            [before],
        ).fetchall()
    return {(audience, segment): day for audience, segment, day in rows}

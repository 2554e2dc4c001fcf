"""What a segment's YAML may say, on the shipped ones and on copies with a fault in them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from ritorno.errors import UnusableInput
from ritorno.segments.definitions import definition_hash, load_segments, segment_names
from ritorno.segments.shares import judge
from ritorno.segments.step import inputs
from tests.support import Project

YAML = "models/segments/_segments__models.yml"


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    return dict(Project.compile().manifest)


def edited(manifest: dict[str, Any], name: str, edit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """A copy of the manifest in which one segment's meta is edited."""
    unique_id = f"model.ritorno.{name}"
    node = copy.deepcopy(manifest["nodes"][unique_id])
    edit(node["config"]["meta"]["segment"])
    return {**manifest, "nodes": {**manifest["nodes"], unique_id: node}}


def test_the_shipped_segments_are_those_of_the_issue_and_can_be_used(manifest: dict[str, Any]) -> None:
    segments = load_segments(manifest)
    assert {segment.name for segment in segments} == {
        "at_risk", "at_risk_registered", "at_risk_today", "b2b_key_accounts", "detractors", "dormant_big_spender",
        "loyalty_near_next_tier", "new_second_order", "pause_ending", "promoters", "replenishment_due",
        "subscription_candidate", "subscription_paused", "vip", "win_back",
    }  # fmt: skip
    assert all(segment.columns[:2] == ("customer_key", "reason") for segment in segments)


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "a field nobody knows": (lambda meta: meta.update(grace=3), "config.meta.segment.grace: no such field"),
    "a field nobody knows within": (
        lambda meta: meta["expect"].update(most=3), "config.meta.segment.expect.most: no such field. Known here: min_sh"
    ),
    "no owner": (lambda meta: meta.pop("owner"), "config.meta.segment.owner: missing"),
    "negative grace": (lambda meta: meta.update(exit_grace_days=-1), "exit_grace_days: found -1, expected greater"),
    "least above most": (
        lambda meta: meta.update(expect={"min_share": 0.5, "max_share": 0.1}), "min_share 0.5 is greater than max_share"
    ),
    "a share above 1": (lambda meta: meta.update(expect={"max_share": 3}), "expect.max_share: found 3, expected less"),
    "arms that leave people out": (
        lambda meta: meta["experiment"].update(arms={"a": 0.5, "b": 0.4}), "shares of arms add up to 0.9, not to 1"
    ),
    "one arm": (lambda meta: meta["experiment"].update(arms={"a": 1.0}), "experiment.arms: found"),
    "a day that is none": (lambda meta: meta["experiment"].update(end_date="soon"), "end_date: found 'soon'"),
    "a priority that another one has": (
        lambda meta: meta["exclusive_group"].update(priority=1), "priority 1 of group reactivation is also that of"
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_meant_is_refused_with_file_field_and_remedy(manifest: dict[str, Any], fault: str) -> None:
    edit, expected = FAULTS[fault]
    with pytest.raises(UnusableInput) as refused:
        load_segments(edited(manifest, "win_back", edit))
    assert expected in str(refused.value)
    assert "win_back" in str(refused.value)
    assert "models/segments/" in str(refused.value)


def test_a_segment_without_meta_or_reason_is_refused(manifest: dict[str, Any]) -> None:
    node = copy.deepcopy(manifest["nodes"]["model.ritorno.vip"])
    node["config"]["meta"] = {}
    node["meta"] = {}
    del node["columns"]["reason"]
    broken = {**manifest, "nodes": {**manifest["nodes"], "model.ritorno.vip": node}}
    with pytest.raises(UnusableInput, match=r"columns lacks reason[\s\S]*config.meta.segment is missing"):
        load_segments(broken)


def test_the_hash_follows_sql_macros_and_meta_and_nothing_else(manifest: dict[str, Any]) -> None:
    node = manifest["nodes"]["model.ritorno.vip"]
    known = definition_hash(manifest, node)
    assert definition_hash(manifest, {**node, "description": "other", "columns": {}}) == known
    assert definition_hash(manifest, {**node, "raw_code": node["raw_code"] + " limit 1"}) != known
    macro = "macro.ritorno.type_string"
    assert macro in node["depends_on"]["macros"]
    other = {**manifest["macros"], macro: {**manifest["macros"][macro], "macro_sql": "text"}}
    assert definition_hash({**manifest, "macros": other}, node) != known
    graced = edited(manifest, "vip", lambda meta: meta.update(exit_grace_days=99))
    assert definition_hash(graced, graced["nodes"]["model.ritorno.vip"]) != known


def test_the_hash_is_the_same_on_every_engine(manifest: dict[str, Any]) -> None:
    node = next(
        node
        for name in segment_names(manifest)
        for node in [manifest["nodes"][f"model.ritorno.{name}"]]
        if "macro.ritorno.add_days" in node["depends_on"]["macros"]
    )
    elsewhere = copy.deepcopy(manifest)  # what dbt writes where the adapter is Spark's
    for macro in elsewhere["macros"].values():
        macro["depends_on"]["macros"] = [
            name.replace("default__add_days", "spark__add_days") for name in macro["depends_on"]["macros"]
        ]
    assert elsewhere["macros"] != manifest["macros"]
    assert definition_hash(elsewhere, node) == definition_hash(manifest, node)


def test_a_further_file_is_a_further_segment_of_the_step(manifest: dict[str, Any]) -> None:
    added = copy.deepcopy(manifest["nodes"]["model.ritorno.vip"])
    added |= {"name": "lost_dog_owners", "original_file_path": "models/segments/lost_dog_owners.sql"}
    more = {**manifest, "nodes": {**manifest["nodes"], "model.ritorno.lost_dog_owners": added}}
    assert set(segment_names(more)) - set(segment_names(manifest)) == {"lost_dog_owners"}
    assert "lost_dog_owners" in inputs(more)
    assert "lost_dog_owners" in {segment.name for segment in load_segments(more)}


def test_a_share_outside_what_is_expected_fails_and_a_small_shop_is_not_judged(manifest: dict[str, Any]) -> None:
    strict = edited(manifest, "vip", lambda meta: meta.update(expect={"min_share": 0.1, "max_share": 0.2}))
    vip = next(segment for segment in load_segments(strict) if segment.name == "vip")
    verdicts = {size: judge(vip, size, 1000, 100) for size in (0, 99, 100, 200, 201)}
    assert {size: verdict.success for size, verdict in verdicts.items()} == {
        0: False, 99: False, 100: True, 200: True, 201: False,
    }  # fmt: skip
    assert verdicts[0].blocks
    small = judge(vip, 99, 99, 100)
    assert small.success
    assert not small.judged

"""What may be in the heavy tier, so that a fingerprint of its inputs covers everything a table of it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ritorno.incremental import code_hash, is_heavy, policy_hash
from ritorno.policy import load_policy
from tests.support import Project
from tests.support.project import AS_OF_SENTINEL

PREFIX = "model.ritorno."
DIMENSIONS = frozenset({"int_identity__order_customers"})
"""Inputs that say whose a row is: int_changes__fingerprints groups by what they say."""


@pytest.fixture(scope="module")
def models() -> Mapping[str, Mapping[str, Any]]:
    nodes = Project.compile().manifest["nodes"]
    return {node["name"]: node for node in nodes.values() if node["resource_type"] == "model"}


def _parents(node: Mapping[str, Any]) -> set[str]:
    return {parent.removeprefix(PREFIX) for parent in node["depends_on"]["nodes"]}


def _heavy(models: Mapping[str, Mapping[str, Any]]) -> set[str]:
    return {name for name, node in models.items() if is_heavy(node)}


def test_every_model_of_the_tier_is_waited_for_before_its_fingerprints_are_kept(models: Any) -> None:
    assert _parents(models["int_changes__kept"]) - {"int_changes__fingerprints"} == _heavy(models)


def test_what_the_tier_reads_is_of_the_tier_or_in_the_fingerprint_with_every_column(models: Any) -> None:
    fingerprint = models["int_changes__fingerprints"]
    covered = _parents(fingerprint)
    for name in _heavy(models):
        foreign = _parents(models[name]) - _heavy(models) - covered - {"int_changes__orders"}
        assert not foreign, f"{name} reads {foreign}, of which int_changes__fingerprints knows nothing"
    for cte in ("orders", "items", "refunds"):  # the whole row, not a list of columns in which one may be missing
        assert f"hash(hash({cte}))" in fingerprint["compiled_code"]
    assert covered - DIMENSIONS == {"int_orders__valid", "int_orders__items", "int_refunds__classified"}


def test_nothing_in_the_tier_asks_for_the_as_of_day(models: Any) -> None:
    assert [name for name in _heavy(models) if AS_OF_SENTINEL in models[name]["compiled_code"]] == []


def test_the_tier_comes_after_the_decision_how_it_is_built(models: Any) -> None:
    def waits(name: str) -> bool:
        parents = _parents(models[name]) & models.keys()
        return "int_changes__orders" in parents or any(waits(parent) for parent in parents if is_heavy(models[parent]))

    assert [name for name in _heavy(models) if not waits(name)] == []


def test_refunds_of_uncounted_orders_are_no_input_of_the_tier(models: Any) -> None:
    """The fingerprint hashes refunds that count and name an order; so do the tier's models read no others."""
    readers = [name for name in _heavy(models) if "int_refunds__classified" in _parents(models[name])]
    assert readers == ["int_orders__spread_items"]
    assert "outcome = 'counts' and order_item_key is not null" in models[readers[0]]["compiled_code"]


def test_another_model_macro_or_policy_is_another_hash_and_the_way_of_building_is_not() -> None:
    manifest = Project.compile().manifest
    unique_id, macro = f"{PREFIX}order_items", "macro.ritorno.type_money"

    def edited(kind: str, name: str, **change: Any) -> dict[str, Any]:
        return {**manifest, kind: {**manifest[kind], name: {**manifest[kind][name], **change}}}

    now = code_hash(manifest)
    assert code_hash(edited("nodes", unique_id, checksum={"name": "sha256", "checksum": "another"})) != now
    assert code_hash(edited("macros", macro, macro_sql="another")) != now
    assert code_hash(edited("nodes", f"{PREFIX}customers", checksum={"name": "sha256", "checksum": "another"})) == now

    values = load_policy().values
    assert policy_hash({**values, "count_refunds": False}) != policy_hash(values)
    assert policy_hash({**values, "incremental": "always"}) == policy_hash(values)

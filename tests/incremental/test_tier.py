"""What may be in the heavy tier, so that a fingerprint of its inputs covers everything a table of it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ritorno.incremental import code_hash, is_front, is_heavy, is_of_lifecycle, is_of_subscriptions, policy_hash
from ritorno.policy import load_policy
from tests.support import Project
from tests.support.project import AS_OF_SENTINEL

PREFIX = "model.ritorno."
DIMENSIONS = frozenset({"int_identity__order_customers"})
"""Inputs that say whose a row is: int_changes__fingerprints groups by what they say."""

SUBSCRIPTIONS_KEPT = {
    f"int_changes__kept_{what}" for what in ("subscription_landed", "subscription_rows", "plans", "subscription_rates")
}
LIFECYCLE_KEPT = {"int_changes__kept_lifecycle_rows", "int_changes__kept_thresholds"}
BEHIND_REFUNDS = {"int_refunds__classified"}


@pytest.fixture(scope="module")
def models() -> Mapping[str, Mapping[str, Any]]:
    nodes = Project.compile().manifest["nodes"]
    return {node["name"]: node for node in nodes.values() if node["resource_type"] == "model"}


def _parents(node: Mapping[str, Any]) -> set[str]:
    return {parent.removeprefix(PREFIX) for parent in node["depends_on"]["nodes"]}


def _heavy(models: Mapping[str, Mapping[str, Any]]) -> set[str]:
    return {name for name, node in models.items() if is_heavy(node)}


def _front(models: Mapping[str, Mapping[str, Any]]) -> set[str]:
    return {name for name, node in models.items() if is_front(node)}


def _ancestors(models: Mapping[str, Mapping[str, Any]], name: str) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        parents = (_parents(models[waiting.pop()]) & models.keys()) - found
        found |= parents
        waiting += parents
    return found


def test_what_is_kept_of_a_run_is_kept_after_every_table_that_it_stands_for(models: Any) -> None:
    kept = {name for name in models if name.startswith("int_changes__kept")}
    kept -= SUBSCRIPTIONS_KEPT | LIFECYCLE_KEPT
    assert len(kept) == 6
    for name in kept:
        assert _ancestors(models, name) >= _heavy(models) | _front(models) - {"int_changes__kept"}, name
    assert _parents(models["int_changes__done"]) == kept | {"int_changes__run"}


def test_a_list_of_touched_orders_is_written_before_the_table_that_it_is_for(models: Any) -> None:
    assert len(_front(models)) == 7
    for name in _front(models):
        touched_by = models[name]["config"]["meta"]["touched_by"]
        assert {touched_by, "int_changes__front"} <= _ancestors(models, name)
        assert "order_id" in models[name]["config"]["unique_key"]


def test_the_front_reads_what_it_follows_and_nothing_else(models: Any) -> None:
    """A new input is one more reason to touch an order: macros/incremental/front.sql, and a case in test_front.py."""
    read = {
        name: {parent for parent in _parents(models[name]) if "int_changes__" not in parent}
        for name in _front(models) - {"int_changes__kept"}
    }
    staged = {entity: {f"stg_files__{entity}"} for entity in ("orders", "order_items", "payments")}
    for entity in ("orders", "order_items"):
        staged[entity] |= {f"stg_online_retail__{entity}"}
    assert read == {
        "int_canonical__orders": staged["orders"],
        "int_canonical__order_items": staged["order_items"] | {"int_canonical__orders"},
        "int_canonical__payments": staged["payments"] | {"int_canonical__orders"},
        "int_orders__items": {"int_canonical__order_items"},
        "int_orders__classified": {
            "int_canonical__orders", "int_orders__line_totals", "int_orders__payments", "int_orders__exchange_rates"
        },
        "int_identity__order_customers": {
            "int_canonical__orders", "int_identity__customer_ids", "source.ritorno.identity.guests"
        },
    }  # fmt: skip


def test_what_the_tier_reads_is_of_the_tier_or_in_the_fingerprint_with_every_column(models: Any) -> None:
    fingerprint = models["int_changes__fingerprints"]
    covered = _parents(fingerprint)
    for name in _heavy(models):
        foreign = _parents(models[name]) - _heavy(models) - covered - {"int_changes__orders"} - BEHIND_REFUNDS
        assert not foreign, f"{name} reads {foreign}, of which int_changes__fingerprints knows nothing"
    hashed = fingerprint["compiled_code"] + models["int_changes__refunds"]["compiled_code"]
    for cte in ("orders", "items", "refunds"):  # the whole row, not a list of columns in which one may be missing
        assert f"hash(hash({cte}))" in hashed
    covered -= {"int_changes__owned_orders"}  # which orders, not what of them
    assert covered - DIMENSIONS == {"int_orders__valid", "int_orders__items", "int_changes__refunds"}
    assert _parents(models["int_changes__refunds"]) == BEHIND_REFUNDS


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
    view = f"{PREFIX}int_orders__line_totals"  # between two tables that are kept
    assert code_hash(edited("nodes", view, checksum={"name": "sha256", "checksum": "another"})) != now
    source = "source.ritorno.files.orders"
    columns = manifest["sources"][source]["columns"]
    fewer = {name: column for name, column in columns.items() if name != "coupon_code"}
    assert code_hash(edited("sources", source, columns=fewer)) != now
    assert code_hash(edited("nodes", f"{PREFIX}customers", checksum={"name": "sha256", "checksum": "another"})) == now

    values = load_policy().values
    assert policy_hash({**values, "count_refunds": False}) != policy_hash(values)
    assert policy_hash({**values, "incremental": "always"}) == policy_hash(values)


def _subscription_tier(models: Mapping[str, Mapping[str, Any]]) -> set[str]:
    return {name for name, node in models.items() if is_of_subscriptions(node)}


def test_what_is_kept_of_subscriptions_is_kept_after_every_table_that_it_stands_for(models: Any) -> None:
    assert len(_subscription_tier(models)) == 15
    for name in SUBSCRIPTIONS_KEPT:
        assert _ancestors(models, name) >= _subscription_tier(models), name
    done = _parents(models["int_changes__subscription_done"])
    assert done == SUBSCRIPTIONS_KEPT | {"int_changes__subscription_run"}


def test_a_list_of_touched_subscriptions_is_written_before_the_table_that_it_is_for(models: Any) -> None:
    for name in _subscription_tier(models):
        meta = models[name]["config"]["meta"]
        assert {meta["touched_by"], meta["decided_by"]} <= _ancestors(models, name), name
        assert models[name]["config"]["unique_key"].removeprefix("coalesce(").split(",")[0] in {
            "subscription_id", "subscription_key", "account_key"
        }  # fmt: skip


def test_what_the_subscription_tier_reads_is_of_the_tier_or_a_reason_to_touch_a_subscription(models: Any) -> None:
    """A new input is one more reason: macros/incremental/subscriptions.sql, and a case in test_subscriptions.py."""
    tier = _subscription_tier(models)
    read = {parent for name in tier for parent in _parents(models[name]) if "int_changes__" not in parent} - tier
    assert read == {
        "stg_files__subscriptions", "stg_files__subscription_events", "int_subscriptions__accounts",
        "int_subscriptions__versions", "int_subscriptions__exchange_rates", "int_canonical__plans",
    }  # fmt: skip
    hashed = models["int_changes__subscription_rows"]
    assert {"int_subscriptions__accounts", "int_subscriptions__versions"} <= _parents(hashed)
    for cte in ("accounts", "versions"):  # the whole row, not a list of columns in which one may be missing
        assert f"hash(hash({cte}))" in hashed["compiled_code"]


def test_only_dates_that_are_reasons_to_touch_a_subscription_are_held_against_as_of(models: Any) -> None:
    """Models of the tier that ask for as-of, and how often: for each date there is a case in test_subscriptions.py."""
    asked = {name: models[name]["compiled_code"].count(AS_OF_SENTINEL) for name in _subscription_tier(models)}
    asked = {name: count for name, count in asked.items() if count and not name.startswith("int_canonical__")}
    assert asked == {
        "int_subscriptions__inferred_events": 1,  # any date of a row's first version
        "int_subscriptions__events": 1,  # a coupon's end
        "int_subscriptions__lives": 1,  # effective dates
        "int_subscriptions__steps": 1,
    }


def _lifecycle(models: Mapping[str, Mapping[str, Any]]) -> set[str]:
    return {name for name, node in models.items() if is_of_lifecycle(node)}


def test_lifecycles_are_built_after_the_decision_and_kept_after_their_tables(models: Any) -> None:
    assert _lifecycle(models) == {
        "int_lifecycle__points", "lifecycle_history", "int_rates__spells", "int_rates__memberships"
    }  # fmt: skip
    for name in _lifecycle(models):
        meta = models[name]["config"]["meta"]
        assert {meta["touched_by"], meta["decided_by"], "int_changes__lifecycle_before"} <= _ancestors(models, name)
    for name in LIFECYCLE_KEPT:
        assert _ancestors(models, name) >= _lifecycle(models), name
    # whom the heavy tier touched is known in the run that finishes it, and in no later one
    done = _parents(models["int_changes__lifecycle_done"])
    assert done == LIFECYCLE_KEPT | {"int_changes__lifecycle_run", "int_changes__done"}
    assert "int_changes__customers" in _parents(models["int_changes__lifecycle_customers"])


def test_what_lifecycles_read_is_a_reason_to_touch_one_and_only_their_ends_are_held_against_as_of(models: Any) -> None:
    """A new input is one more reason: macros/incremental/lifecycle.sql, and a case in test_lifecycle.py."""
    read = {parent for name in _lifecycle(models) for parent in _parents(models[name]) if "int_changes__" not in parent}
    hashed = {
        "lines": "int_lifecycle__lines", "live_spans": "int_subscriptions__live_spans",
        "contacts": "int_lifecycle__contacts",
    }  # fmt: skip
    assert read - _lifecycle(models) == {*hashed.values(), "int_customers__order_days", "lifecycle_thresholds"}
    assert "int_customers__order_days" in _heavy(models)
    rows = models["int_changes__lifecycle_rows"]
    assert _parents(rows) == set(hashed.values())
    for cte in hashed:  # the whole row, not a list of columns in which one may be missing
        assert f"hash(hash({cte}))" in rows["compiled_code"]
    asked = {name: models[name]["compiled_code"].count(AS_OF_SENTINEL) for name in _lifecycle(models)}
    assert {name: count for name, count in asked.items() if count} == {"lifecycle_history": 2}

"""The policy: names, types, ranges and contradictions are refused by name before anything is read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ritorno.errors import UnusableInput
from ritorno.home import PROJECT_ROOT
from ritorno.policy import PolicyValues, load_policy

FIXED = """
    reporting_currency business_timezone invalid_order_statuses count_zero_orders count_refunds rfm_monetary
    identity_max_nodes_per_value lifecycle_method at_risk_after_days lapsed_after_days registered_at_risk_after_days
    at_risk_percentile lapsed_percentile percentile_min_history_days percentile_min_gaps personal_floor_days
    prices_include_tax fx_max_age_days default_phone_region annual_discount_rate paused_in_mrr past_due_in_mrr
    pause_at_risk_after_days quarantine_limit
"""


def test_the_project_and_the_validator_know_the_same_names() -> None:
    assert set(load_policy().values) == set(PolicyValues.model_fields)


def test_every_name_that_the_design_fixes_is_there() -> None:
    assert set(FIXED.split()) <= set(load_policy().values)


def test_every_var_that_a_model_or_macro_reads_is_a_policy() -> None:
    read = {
        name
        for folder in ("models", "macros", "tests/dbt", "snapshots")
        for path in (PROJECT_ROOT / folder).rglob("*.sql")
        for name in re.findall(r"\bvar\(\s*['\"](\w+)['\"]", path.read_text(encoding="utf-8"))
    }
    assert read - set(load_policy().values) == set()


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        ({"count_refund": False}, ["count_refund: no such policy", "did you mean 'count_refunds'?"]),
        ({"zzz": 1}, ["zzz: no such policy", "dbt_project.yml lists them all"]),
        ({"count_refunds": "false"}, ["count_refunds: expected valid boolean, found 'false'"]),
        ({"count_refunds": 0}, ["count_refunds", "found 0"]),
        ({"at_risk_after_days": "90"}, ["at_risk_after_days: expected valid integer, found '90'"]),
        ({"at_risk_after_days": True}, ["at_risk_after_days: expected valid integer, found True"]),
        ({"at_risk_after_days": 1.5}, ["at_risk_after_days", "found 1.5"]),
        ({"at_risk_after_days": 0}, ["at_risk_after_days", "greater than or equal to 1"]),
        ({"at_risk_after_days": None}, ["at_risk_after_days", "found None"]),
        ({"lapsed_after_days": 90}, ["lapsed_after_days (90) must be greater than at_risk_after_days (90)"]),
        ({"registered_lapsed_after_days": 20}, ["registered_lapsed_after_days (20) must be greater"]),
        ({"at_risk_percentile": 0.95}, ["lapsed_percentile (0.9) must be greater than at_risk_percentile (0.95)"]),
        ({"lapsed_percentile": 1.0}, ["lapsed_percentile", "less than 1"]),
        ({"quarantine_limit": 1.5}, ["quarantine_limit", "less than or equal to 1", "found 1.5"]),
        ({"quarantine_limit": -0.1}, ["quarantine_limit", "greater than or equal to 0"]),
        ({"quarantine_limit": "5%"}, ["quarantine_limit", "found '5%'"]),
        ({"business_timezone": "Europe/Berln"}, ["no IANA time zone", "did you mean 'Europe/Berlin'?"]),
        ({"business_timezone": "../../etc/passwd"}, ["no IANA time zone"]),
        ({"reporting_currency": "Euro"}, ["'Euro' is no ISO 4217 currency code"]),
        ({"reporting_currency": "eur"}, ["did you mean 'EUR'?"]),
        ({"default_phone_region": "Germany"}, ["'Germany' is no region"]),
        ({"lifecycle_method": "percentil"}, ["'fixed', 'percentile' or 'personal'", "did you mean 'percentile'?"]),
        ({"rfm_monetary": "sum"}, ["'total' or 'average'", "found 'sum'"]),
        ({"invalid_order_statuses": ["Cancelled"]}, ["'Cancelled' must be trimmed and in lower case"]),
        ({"invalid_order_statuses": "cancelled"}, ["invalid_order_statuses: expected valid list"]),
        ({"invalid_order_statuses": ["paid"]}, ["paid stands in invalid_order_statuses and in known"]),
        ({"cohort_cuts": ["contry"]}, ["cohort_cuts.0", "did you mean 'country'?"]),
        ({"systems": {"file": ["orders"]}}, ["systems.file", "did you mean 'files'?"]),
        ({"systems": {"files": ["order"]}}, ["'order' is no canonical entity", "did you mean 'orders'?"]),
        ({"identity_max_nodes_per_value": 1}, ["identity_max_nodes_per_value", "greater than or equal to 2"]),
        ({"annual_discount_rate": -1}, ["annual_discount_rate"]),
    ],
)
def test_what_can_not_be_used_is_refused_by_name(overrides: dict[str, Any], parts: list[str]) -> None:
    for given in (overrides, json.dumps(overrides)):
        with pytest.raises(UnusableInput) as caught:
            load_policy(PROJECT_ROOT, given)
        for part in parts:
            assert part in str(caught.value)


def test_several_faults_are_told_at_once() -> None:
    with pytest.raises(UnusableInput) as caught:
        load_policy(overrides={"rfm_monetary": "x", "reporting_currency": "x"})
    assert "rfm_monetary" in str(caught.value)
    assert "reporting_currency" in str(caught.value)


@pytest.mark.parametrize("name", ["policy.yml", "policy.json"])
def test_overrides_come_from_files_and_text_alike(tmp_path: Path, name: str) -> None:
    overrides = {"count_refunds": False, "reporting_currency": "GBP"}
    path = tmp_path / name
    path.write_text(json.dumps(overrides) if name.endswith("json") else yaml.safe_dump(overrides))
    policies = [load_policy(overrides=given) for given in (overrides, json.dumps(overrides), path, str(path))]
    assert {policy.policy_hash for policy in policies} == {policies[0].policy_hash}
    assert json.loads(policies[0].dbt_vars()) == overrides, "dbt gets the overrides only"
    assert policies[0].values["reporting_currency"] == "GBP"
    assert policies[0].values["business_timezone"] == load_policy().values["business_timezone"]


def test_without_overrides_dbt_gets_no_vars_so_that_it_need_not_parse_anew() -> None:
    for nothing in (None, {}, "", "{}"):
        assert load_policy(overrides=nothing).dbt_vars() == "{}"


def test_the_hash_is_of_the_policy_not_of_how_it_was_given() -> None:
    default = load_policy()
    same = load_policy(overrides={"count_refunds": default.values["count_refunds"]})
    other = load_policy(overrides={"count_refunds": not default.values["count_refunds"]})
    assert same.policy_hash == default.policy_hash != other.policy_hash


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ("nowhere.yml", "neither JSON text"),
        ('{"a": [}', "no readable JSON or YAML"),
        ("[1]", "expected names with values, found list"),
    ],
)
def test_overrides_that_can_not_be_read_are_refused(given: str, part: str) -> None:
    with pytest.raises(UnusableInput, match="--vars") as caught:
        load_policy(overrides=given)
    assert part in str(caught.value)


def test_a_var_of_ones_own_needs_no_python_but_keeps_its_type(tmp_path: Path) -> None:
    text = (PROJECT_ROOT / "dbt_project.yml").read_text(encoding="utf-8")
    text = text.replace("  ritorno:\n    # Which source", "  ritorno:\n    own_limit: 3\n    # Which source", 1)
    (tmp_path / "dbt_project.yml").write_text(text)
    (tmp_path / "models").symlink_to(PROJECT_ROOT / "models")
    assert load_policy(tmp_path, {"own_limit": 4}).values["own_limit"] == 4
    with pytest.raises(UnusableInput, match=r"own_limit: expected int as in dbt_project\.yml, found 'many'"):
        load_policy(tmp_path, {"own_limit": "many"})


def test_a_var_missing_from_the_project_is_named(tmp_path: Path) -> None:
    text = (PROJECT_ROOT / "dbt_project.yml").read_text(encoding="utf-8").replace("count_refunds:", "count_returns:")
    (tmp_path / "dbt_project.yml").write_text(text)
    with pytest.raises(UnusableInput, match=r"count_refunds: missing from dbt_project\.yml"):
        load_policy(tmp_path)

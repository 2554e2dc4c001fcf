"""Audiences are read from the manifest; every mistake names file, audience, field and remedy."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ritorno.audiences import exposures, store
from ritorno.audiences.exposures import audiences, find
from ritorno.errors import UnusableInput
from ritorno.home import PROJECT_ROOT
from tests.support import Project

SEGMENT = {
    "name": "people",
    "resource_type": "model",
    "original_file_path": "models/segments/people.sql",
    "columns": {
        "customer_key": {"data_type": "varchar"},
        "tier": {"data_type": "varchar"},
        "note": {"data_type": "varchar", "config": {"meta": {"pii": True}}},
    },
    "config": {
        "meta": {"segment": {"experiment": {"key": "exp", "salt": "s", "arms": {"holdout": 0.1, "a": 0.9}}}},
    },
}
GOOD: dict[str, Any] = {
    "destination": {"type": "files", "path": "audiences"},
    "channel": "email",
    "purpose": "marketing",
    "fields": ["tier"],
}


def manifest(**changes: Any) -> dict[str, Any]:
    meta = {key: value for key, value in (GOOD | changes).items() if value != "absent"}
    return {
        "nodes": {"model.ritorno.people": copy.deepcopy(SEGMENT)},
        "exposures": {
            "exposure.ritorno.letters": {
                "name": "letters",
                "original_file_path": "models/segments/_audiences.yml",
                "depends_on": {"nodes": ["model.ritorno.people"]},
                "config": {"meta": {"audience": meta}},
            }
        },
    }


WRONG = {
    "an unknown field": ({"chanel": "email", "channel": "absent"}, ["chanel: is no such field; did you mean channel?"]),
    "a missing field": ({"purpose": "absent"}, ["purpose: is missing"]),
    "an unknown mode": ({"mode": "sync"}, ["mode: ", "mirror"]),
    "a guard that is none": ({"guards": {"max_remove": 3}}, ["guards.max_remove: is no such field; did you mean"]),
    "a guard beyond reason": ({"guards": {"max_remove_pct": 150}}, ["guards.max_remove_pct: "]),
    "a cap without days": ({"caps": {"contacts": 1}}, ["caps.days: is missing"]),
    "a window that is never open": ({"send_window": {"from": "08:00", "to": "08:00"}}, ["it is never open"]),
    "a clock that is none": ({"send_window": {"from": "8"}}, ["send_window.from: '8' is no time of day"]),
    "no destination type": ({"destination": {}}, ["destination: it has no `type`"]),
    "a column that the segment lacks": ({"fields": ["teir"]}, ["fields: teir: no column of segment people", "tier"]),
    "a field of personal data": ({"fields": ["email"]}, ["fields: email: personal data is no field"]),
    "a column tagged as personal": ({"fields": ["note"]}, ["fields: note: tagged as personal data"]),
    "an arm that nobody knows": ({"arms": ["b"]}, ["arms: b: no arm of exp"]),
    "the holdout as an arm": ({"arms": ["holdout"]}, ["arms: the arm holdout is never sent"]),
    "no arm at all": ({"arms": []}, ["arms: is empty"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_exposure_is_refused_with_file_audience_field_and_remedy(case: str) -> None:
    changes, messages = WRONG[case]
    with pytest.raises(UnusableInput) as error:
        audiences(manifest(**changes))
    assert str(error.value).startswith("models/segments/_audiences.yml: audience letters: ")
    for message in messages:
        assert message in str(error.value)


def test_an_audience_depends_on_exactly_one_segment() -> None:
    wrong = manifest()
    wrong["exposures"]["exposure.ritorno.letters"]["depends_on"]["nodes"] = []
    with pytest.raises(UnusableInput, match="depends_on: names 0 segments"):
        audiences(wrong)


def test_an_unknown_audience_is_named_with_the_closest() -> None:
    with pytest.raises(UnusableInput, match="did you mean letters"):
        find(manifest(), "leters")


def test_every_arm_but_the_holdout_is_sent_unless_arms_are_named() -> None:
    assert find(manifest(), "letters").sent_arms == ("a",)


def test_the_projects_own_audiences_are_valid_and_write_below_the_home_only() -> None:
    found = audiences(Project.compile().manifest)
    assert len(found) >= 3
    for audience in found:
        assert audience.meta.destination["type"] == "files"
        assert not str(audience.meta.destination["path"]).startswith("/")


def test_the_definition_hash_changes_with_the_definition_only() -> None:
    first, same = find(manifest(), "letters"), find(manifest(), "letters")
    other = find(manifest(purpose="service"), "letters")
    assert first.definition_hash == same.definition_hash != other.definition_hash
    assert exposures.HOLDOUT not in first.sent_arms


def test_the_documentation_shows_every_table_and_column_of_the_publish_state() -> None:
    text = (PROJECT_ROOT / "docs" / "audiences.md").read_text(encoding="utf-8")
    assert store.describe().rstrip() in text

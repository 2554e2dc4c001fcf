"""The dashboards' files, as the tests read them."""

from __future__ import annotations

from functools import cache
from typing import Any

import yaml

from bi.serve import BUNDLE


@cache
def contents(folder: str) -> dict[str, dict[str, Any]]:
    """The files of a folder by what their things are called."""
    name = {"datasets": "table_name", "charts": "slice_name", "dashboards": "slug", "databases": "database_name"}[
        folder
    ]
    files = sorted((BUNDLE / folder).rglob("*.yaml"))
    found = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]
    assert found
    return {content[name]: content for content in found}


def charts_of(dashboard: str) -> list[str]:
    """The charts on a dashboard, by name."""
    named = {chart["uuid"]: name for name, chart in contents("charts").items()}
    places = contents("dashboards")[dashboard]["position"].values()
    return [named[place["meta"]["uuid"]] for place in places if isinstance(place, dict) and place["type"] == "CHART"]

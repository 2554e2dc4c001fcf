"""Shortcuts in dagster-dbt, for refreshes: what it imports and asks of dbt, where dbt runs in another process.

As in ritorno.dbt_speed: each says what it expects and is left out, with a line in the log, where Dagster is another.
`RITORNO_PLAIN_DBT=1` leaves all of them out. tests/orchestration/test_dagster_speed.py holds that all are taken with
the versions in requirements.lock, and that the answers are the same.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from typing import Any

from ritorno.dbt_speed import PLAIN, Unexpected, expect

log = logging.getLogger(__name__)


def import_without_dbt() -> None:
    """Import dagster-dbt as where dbt isn't installed: it wants the names of dbt's statuses, and has them itself.

    dbt is a third of the imports of a process that only shows what dbt did. It can be imported afterwards.
    """
    hidden = "dbt.version"
    if os.environ.get(PLAIN) == "1" or hidden in sys.modules or "dagster_dbt" in sys.modules:
        return
    sys.modules[hidden] = None  # type: ignore[assignment]  # makes its import fail
    try:
        importlib.import_module("dagster_dbt")
    except ImportError as error:
        log.warning("Dagster imports dbt: %s", error)
        for name in [name for name in sys.modules if name.partition(".")[0] == "dagster_dbt"]:
            del sys.modules[name]
    finally:
        del sys.modules[hidden]


@contextmanager
def selected_by_tag(manifest: Mapping[str, Any]) -> Iterator[None]:
    """Answer what dagster-dbt asks of dbt's selector for each stage, `tag:<stage>`, from the manifest itself.

    dbt's would make objects of the whole manifest and link them, once for each stage.
    """
    try:
        if os.environ.get(PLAIN) == "1":
            raise Unexpected(f"{PLAIN} is set")
        from dagster_dbt import asset_utils

        expect(asset_utils.select_unique_ids, "select", "exclude", "selector", "project", "manifest_json")
    except (ImportError, AttributeError, Unexpected) as error:
        log.info("stages are selected by dbt: %s", error)
        yield
        return
    plain = asset_utils.select_unique_ids

    def select_unique_ids(select: str, exclude: str, selector: str, project: Any, manifest_json: Any) -> Set[str]:  # noqa: ANN401
        kind, _, tag = select.partition(":")
        if manifest_json is not manifest or exclude or selector or kind != "tag" or not tag.isidentifier():
            return set(plain(select, exclude, selector, project, manifest_json))
        return tagged(manifest, tag)

    asset_utils.select_unique_ids = select_unique_ids
    try:
        yield
    finally:
        asset_utils.select_unique_ids = plain


def tagged(manifest: Mapping[str, Any], tag: str) -> set[str]:
    """The nodes with a tag, and as dbt's selector has it the tests of every model among them."""
    nodes = manifest["nodes"]
    found = {unique_id for unique_id, node in nodes.items() if tag in node["tags"]}
    tests = {unique_id: node for unique_id, node in nodes.items() if node["resource_type"] == "test"} | manifest[
        "unit_tests"
    ]
    return found | {unique_id for unique_id, test in tests.items() if not found.isdisjoint(test["depends_on"]["nodes"])}

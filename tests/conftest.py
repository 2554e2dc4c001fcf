"""Hypothesis profiles (the same examples in every run of `make test`, fresh ones in `make soak`), where dbt's parse of
the project stands, and who runs first.

A gate that draws new examples each time fails for whoever comes by, not for who caused it: a landing was refused
because an old test at last drew an example that shows an old fault. Searching is the soak's job; its finds are kept.
"""

from __future__ import annotations

import gc
import hashlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from ritorno.helper import collect_seldom

settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("soak", derandomize=False, deadline=None, print_blob=True, max_examples=1000)
settings.load_profile(os.environ.get("RITORNO_HYPOTHESIS", "steady"))

collect_seldom()  # two thousand collected tests are objects that stay, too

# Parsing the project costs ten seconds of CPU, and depends on no home: every test's `ritorno` shares one of this
# checkout, as the refreshes of a home do. What a test overrides (`--vars`) stands in folders of its own in it.
_CHECKOUT = hashlib.sha256(__file__.encode()).hexdigest()[:12]
_SHARED = Path(tempfile.gettempdir(), f"ritorno-compiled-{os.getuid()}")
os.environ.setdefault("DBT_TARGET_PATH", str(_SHARED / f"target-{_CHECKOUT}"))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slow stories first, spread over the two halves that `--dist worksteal` deals to two workers.

    In the folders' order one worker began a story of five minutes when the other had nothing left to steal.
    """
    slow = {id(item): seconds for item in items if (seconds := _seconds(item))}
    halves: tuple[list[pytest.Item], list[pytest.Item]] = ([], [])
    loads = [0.0, 0.0]
    for item in sorted((item for item in items if id(item) in slow), key=lambda item: -slow[id(item)]):
        lighter = loads.index(min(loads))
        halves[lighter].append(item)
        loads[lighter] += slow[id(item)]
    rest = [item for item in items if id(item) not in slow]
    middle = max((len(items) + 1) // 2 - len(halves[0]), 0)
    items[:] = [*halves[0], *rest[:middle], *halves[1], *rest[middle:]]


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end."""
    gc.collect()
    gc.freeze()


def _seconds(item: pytest.Item) -> float:
    """What `@pytest.mark.slow(seconds)` says the test takes on two idle cores."""
    marker = item.get_closest_marker("slow")
    return float(marker.args[0]) if marker and marker.args else 0.0

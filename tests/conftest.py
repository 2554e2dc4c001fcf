"""Hypothesis profiles (the same examples in every run of `make test`, fresh ones in `make soak`), where dbt's parse of
the project stands, where temporary files are, and who runs first.

A gate that draws new examples each time fails for whoever comes by, not for who caused it: a landing was refused
because an old test at last drew an example that shows an old fault. Searching is the soak's job; its finds are kept.
"""

from __future__ import annotations

import gc
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from ritorno.helper import collect_seldom

if TYPE_CHECKING:
    from playwright.sync_api import Browser

settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("soak", derandomize=False, deadline=None, print_blob=True, max_examples=1000)
settings.load_profile(os.environ.get("RITORNO_HYPOTHESIS", "steady"))

collect_seldom()  # two thousand collected tests are objects that stay, too

# Parsing the project costs ten seconds of CPU, and depends on no home: every test's `ritorno` shares one of this
# checkout, as the refreshes of a home do. What a test overrides (`--vars`) stands in folders of its own in it.
_CHECKOUT = hashlib.sha256(__file__.encode()).hexdigest()[:12]
_SHARED = Path(tempfile.gettempdir(), f"ritorno-compiled-{os.getuid()}")
os.environ.setdefault("DBT_TARGET_PATH", str(_SHARED / f"target-{_CHECKOUT}"))


def _room_in_memory() -> Path | None:
    """The folder of files that are never written to a disk, where there is room for some GB of them beside the tests.

    A warehouse is two hundred tables that are made to last, one after the other: on a disk a tenth of all time.
    """
    memory = Path("/dev/shm")
    try:
        known = dict(line.split(":") for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines())
        available = int(known["MemAvailable"].split()[0]) * 1024
        free = shutil.disk_usage(memory).free
    except (OSError, KeyError, ValueError):
        return None
    return memory if free > 6 << 30 and available > 12 << 30 else None


if "PYTEST_DEBUG_TEMPROOT" not in os.environ and (memory := _room_in_memory()):
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(memory)  # where pytest's temporary folders are


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
    middle = max(len(items) // 2 - len(halves[0]), 0)
    items[:] = [*halves[0], *rest[:middle], *halves[1], *rest[middle:]]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One for all tests of a process: Playwright can't be started twice in it."""
    from tests.report.browser import chromium

    with chromium() as started:
        yield started


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end."""
    gc.collect()
    gc.freeze()


def _seconds(item: pytest.Item) -> float:
    """What `@pytest.mark.slow(seconds)` says the test takes on two idle cores."""
    marker = item.get_closest_marker("slow")
    return float(marker.args[0]) if marker and marker.args else 0.0

"""The report's pages, each a function from the published marts to what is on it."""

from __future__ import annotations

import sys
from collections.abc import Callable

from ritorno.report.figures import Dataset, Page
from ritorno.report.marts import Marts
from ritorno.report.pages import (
    audiences,
    cohorts,
    engagement,
    experiments,
    lifecycle,
    overview,
    rfm,
    subscriptions,
    value,
)

PAGES: tuple[Callable[[Marts], Page], ...] = (
    overview.page,
    cohorts.page,
    rfm.page,
    lifecycle.page,
    subscriptions.page,
    value.page,
    engagement.page,
    experiments.page,
    audiences.page,
)


def showing(mart: str) -> tuple[str, ...]:
    """The pages with a chart of this mart, by their key: the first page is `index`."""
    return tuple(_key(page) for page in PAGES if any(mart in dataset.marts for dataset in _datasets(page)))


def _datasets(page: Callable[[Marts], Page]) -> list[Dataset]:
    """The datasets that a page's module defines; those it borrows are shown on the other page as well."""
    return [value for value in vars(sys.modules[page.__module__]).values() if isinstance(value, Dataset)]


def _key(page: Callable[[Marts], Page]) -> str:
    name = page.__module__.rsplit(".", 1)[-1]
    return "index" if name == "overview" else name

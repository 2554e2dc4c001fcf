"""The report's pages, each a function from the published marts to what is on it."""

from __future__ import annotations

from collections.abc import Callable

from ritorno.report.figures import Page
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

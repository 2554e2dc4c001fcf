"""What a person at the terminal sees of a refresh."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.status import Status
from rich.table import Table

from ritorno.refresh import Outcome
from ritorno.report import INDEX

_LABELS = {
    "prepare": "Prepare (dbt project, Dagster)",
    "land": "Land raw files",
    "check_raw": "Check raw tables",
    "check_marts": "Check marts",
    "publish": "Publish",
}


def label(step: str) -> str:
    """A step's name for people."""
    if step.startswith("dbt_stage_"):
        return f"Build models, part {int(step.removeprefix('dbt_stage_')) + 1}"
    return _LABELS.get(step, step.replace("_", " ").capitalize())


class Terminal:
    """Progress by step: a spinner on a terminal, plain lines in a log."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self._status: Status | None = None

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def started(self, step: str) -> None:
        """A step began."""
        self._stop()
        if self.console.is_terminal:
            self._status = self.console.status(label(step))
            self._status.start()

    def detail(self, step: str, text: str) -> None:
        """Something happened inside a step: shown beside the spinner, for as long as it lasts."""
        if self._status is not None:
            self._status.update(f"{label(step)}  [dim]{text[:100]}[/dim]")

    def finished(self, step: str, seconds: float, status: str, counts: Mapping[str, Any]) -> None:
        """A step ended."""
        self._stop()
        mark = "[green]✓[/green]" if status == "done" else "[red]✗[/red]"
        figures = [f"{_figure(value)} {name.replace('_', ' ')}" for name, value in counts.items() if _is_figure(value)]
        shown = ", ".join(figures)
        self.console.print(f"{mark} {label(step):<32} {seconds:>6.1f} s  [dim]{shown}[/dim]")

    def note(self, text: str) -> None:
        """Something that the reader should know."""
        self.console.print("! " + text, style="yellow", markup=False)


def _is_figure(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _figure(value: Any) -> str:  # noqa: ANN401  a count or a text
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}" if isinstance(value, float) else str(value)


def print_outcome(outcome: Outcome, console: Console | None = None) -> None:
    """The closing table, or why it stopped and what holds now."""
    console = console or Console(highlight=False, soft_wrap=True)
    run, counts = outcome.run, outcome.run.counts
    if run.stopped is not None:
        console.print(f"Stopped at: {label(run.stopped.step)}", style="red")
        console.print(run.stopped.reason, markup=False)
        before = "the last published state stays" if run.home.published.exists() else "and nothing was before"
        console.print(f"Nothing was published; {before}. Log: {run.log_file}", markup=False)
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    rows = {
        "Rows in": counts.get("rows_in"),
        "Quarantined": counts.get("quarantined"),
        "Valid orders": counts.get("orders"),
        "Excluded orders": counts.get("excluded"),
        "Customers": counts.get("customers"),
        "Marts published": counts.get("marts"),
        "Audiences sent": counts.get("audiences_sent"),
        "Audiences open": counts.get("audiences_open"),
        "As of": run.request.as_of.isoformat(),
        "Where": str(run.home.published / "marts.duckdb"),
        "Report": str(run.home.published / INDEX) if (run.home.published / INDEX).exists() else None,
        "Took": f"{run.seconds:.1f} s",
    }
    for name, value in rows.items():
        if value is not None:
            table.add_row(name, _figure(value))
    console.print(table)

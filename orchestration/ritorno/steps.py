"""The Python steps that run between dbt models, and what each reads and writes.

A refresh is: land, then dbt models and these steps in the order their inputs and outputs ask for. A step's outputs
are declared as dbt sources, so lineage runs through it and dbt's models that read them come after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from ritorno.audiences import history as audience_history
from ritorno.experiments import records as experiment_records
from ritorno.experiments import step as experiments
from ritorno.identity import step as identity
from ritorno.loyalty import step as loyalty
from ritorno.segments import step as segments
from ritorno.step_context import StepContext
from ritorno.survival import step as survival
from ritorno.value import step as value


@dataclass(frozen=True)
class PythonStep:
    """A step between dbt models.

    Attributes:
        name: the step's and its Dagster asset's name.
        description: one sentence for people.
        inputs: dbt models it reads, by name; or how to find them in a manifest, where adding a file adds an input.
        outputs: `source.table` names it writes, declared as dbt sources.
        ensure: creates its output tables, empty, where they are missing.
        run: reads the inputs and replaces the outputs; returns figures worth showing (counts, seconds, status).
    """

    name: str
    description: str
    inputs: tuple[str, ...] | Callable[[Mapping[str, Any]], tuple[str, ...]]
    outputs: tuple[str, ...]
    ensure: Callable[[duckdb.DuckDBPyConnection], None]
    run: Callable[[StepContext], Mapping[str, Any]]

    def reads(self, manifest: Mapping[str, Any]) -> tuple[str, ...]:
        """The names of the dbt models that the step reads in this project."""
        return self.inputs(manifest) if callable(self.inputs) else self.inputs

    @property
    def tables(self) -> list[tuple[str, str]]:
        """Its output tables as (schema, name)."""
        return [(schema, name) for schema, name in (output.split(".") for output in self.outputs)]


STEPS: tuple[PythonStep, ...] = (
    PythonStep(
        name="identity",
        description="Which accounts, guests, contacts, members and subscribers are one customer.",
        inputs=identity.INPUTS,
        outputs=identity.OUTPUTS,
        ensure=identity.ensure,
        run=identity.run,
    ),
    PythonStep(
        name="value",
        description="Fits of the customer value models with their back-test, and what they predict of each customer.",
        inputs=value.INPUTS,
        outputs=value.OUTPUTS,
        ensure=value.ensure,
        run=value.run,
    ),
    PythonStep(
        name="loyalty",
        description="Which lot each loyalty point came from and went out of, and each member's tier day by day.",
        inputs=loyalty.INPUTS,
        outputs=loyalty.OUTPUTS,
        ensure=loyalty.ensure,
        run=loyalty.run,
    ),
    PythonStep(
        name="experiment_records",
        description="Who was put in which arm of a segment's experiment, and what the segment planned.",
        inputs=experiment_records.INPUTS,
        outputs=experiment_records.OUTPUTS,
        ensure=experiment_records.ensure,
        run=experiment_records.run,
    ),
    PythonStep(
        name="experiments",
        description="Campaigns' arms against their holdout: tests, intervals, and what may be concluded.",
        inputs=experiments.INPUTS,
        outputs=experiments.OUTPUTS,
        ensure=experiments.ensure,
        run=experiments.run,
    ),
    PythonStep(
        name="published_history",
        description="Up to which day the audiences of a segment were acknowledged, from the state store.",
        inputs=(),
        outputs=segments.HISTORY_OUTPUTS,
        ensure=segments.ensure_history,
        run=segments.run_history,
    ),
    PythonStep(
        name="segment_membership",
        description="Who is in each segment: eligibility with grace, cooldown, exclusive groups and yesterday's state.",
        inputs=segments.inputs,
        outputs=segments.OUTPUTS,
        ensure=segments.ensure,
        run=segments.run,
    ),
    PythonStep(
        name="survival",
        description="Log-rank tests between the groups of each survival curve, and their restricted means.",
        inputs=survival.INPUTS,
        outputs=survival.OUTPUTS,
        ensure=survival.ensure,
        run=survival.run,
    ),
    PythonStep(
        name="audience_history",
        description="What earlier sends of audiences came to, from the state store: counts only.",
        inputs=(),
        outputs=audience_history.OUTPUTS,
        ensure=audience_history.ensure,
        run=audience_history.run,
    ),
)

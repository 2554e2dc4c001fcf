"""The step `experiments`: sums per campaign and arm in; tests, intervals and verdicts out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from ritorno.experiments.compare import Arm, Campaign, Policy, Result, compare
from ritorno.experiments.statistics import Estimate, Sample
from ritorno.step_context import StepContext

INPUTS = ("int_campaigns__arms",)

_ARMS = "intermediate.int_campaigns__arms"

_RESULTS: Mapping[str, str] = {
    "campaign_key": "varchar",
    "arm": "varchar",
    "arm_role": "varchar",
    "method": "varchar",
    "confidence_level": "double",
    "sample_ratio_chi_square": "double",
    "sample_ratio_p_value": "double",
    "is_sample_ratio_alarm": "boolean",
    "baseline_conversion": "double",
    "minimum_detectable_effect": "double",
    "conversion_difference": "double",
    "conversion_z": "double",
    "conversion_p_value": "double",
    "conversion_difference_low": "double",
    "conversion_difference_high": "double",
    "spend_difference": "double",
    "spend_p_value": "double",
    "spend_difference_low": "double",
    "spend_difference_high": "double",
    "cuped_theta": "double",
    "cuped_variance_reduction": "double",
    "cuped_spend_difference": "double",
    "cuped_spend_p_value": "double",
    "cuped_spend_difference_low": "double",
    "cuped_spend_difference_high": "double",
    "probability_beats_holdout": "double",
    "probability_best": "double",
    "incremental_orders": "double",
    "incremental_orders_low": "double",
    "incremental_orders_high": "double",
    "incremental_revenue": "double",
    "incremental_revenue_low": "double",
    "incremental_revenue_high": "double",
    "status": "varchar",
    "verdict": "varchar",
}

OUTPUTS = ("experiments.results",)


def ensure(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Create the output table, empty, where it is missing."""
    warehouse.execute("create schema if not exists experiments")
    columns = ", ".join(f"{name} {kind}" for name, kind in _RESULTS.items())
    warehouse.execute(f"create table if not exists experiments.results ({columns})")


def run(context: StepContext) -> dict[str, Any]:
    """Compare the arms of every campaign and replace experiments.results."""
    warehouse, policy = context.warehouse, context.policy
    rules = Policy(
        peeking=str(policy["campaign_peeking"]),
        alpha=float(policy["campaign_alpha"]),
        power=float(policy["campaign_power"]),
        sample_ratio_alarm=float(policy["campaign_sample_ratio_alarm"]),
        currency=str(policy["reporting_currency"]),
    )
    found = (
        warehouse.execute(f"select * from {_ARMS} order by campaign_key, arm_role, arm").to_arrow_table().to_pylist()
    )
    rows: list[dict[str, Any]] = []
    alarms = 0
    for key, arms in itertools.groupby(found, key=lambda row: row["campaign_key"]):
        results = _campaign(str(key), list(arms), rules)
        alarms += bool(results[0].is_ratio_alarm)
        rows += [_row(str(key), result) for result in results]
    _replace(warehouse, rows)
    return {"campaigns": len({row["campaign_key"] for row in rows}), "arms": len(rows), "sample ratio alarms": alarms}


def _campaign(key: str, rows: Sequence[Mapping[str, Any]], rules: Policy) -> list[Result]:
    campaign = Campaign(key, rows[0]["window_end_date"], bool(rows[0]["is_complete"]))
    return compare(campaign, [_arm(row) for row in rows], rules)


def _arm(row: Mapping[str, Any]) -> Arm:
    people = int(row["assigned"])

    def sample(total: str, squares: str) -> Sample:
        return Sample(people, float(row[total]) / people, float(row[squares])) if people else Sample(0, math.nan, 0.0)

    return Arm(
        name=str(row["arm"]),
        role=str(row["arm_role"]),
        people=people,
        converters=int(row["converters"]),
        baseline_converters=int(row["baseline_converters"]),
        planned_share=None if row["planned_share"] is None else float(row["planned_share"]),
        orders=sample("orders", "orders_squares"),
        spend=sample("spend", "spend_squares"),
        before=sample("spend_before", "spend_before_squares"),
        cross=float(row["spend_cross"]),
    )


def _row(key: str, result: Result) -> dict[str, Any]:
    return {
        "campaign_key": key,
        "arm": result.arm.name,
        "arm_role": result.arm.role,
        "method": result.method,
        "confidence_level": result.confidence,
        "sample_ratio_chi_square": _known(result.ratio.chi_square),
        "sample_ratio_p_value": _known(result.ratio.p_value),
        "is_sample_ratio_alarm": result.is_ratio_alarm,
        "baseline_conversion": _known(result.baseline),
        "minimum_detectable_effect": _known(result.detectable),
        "conversion_z": _known(result.z),
        "conversion_p_value": _known(result.conversion.p_value),
        **_columns("conversion_difference", result.conversion),
        "spend_p_value": _known(result.spend.p_value),
        **_columns("spend_difference", result.spend),
        "cuped_theta": _known(result.theta),
        "cuped_variance_reduction": _known(result.variance_reduction),
        "cuped_spend_p_value": _known(result.cuped.p_value),
        **_columns("cuped_spend_difference", result.cuped),
        "probability_beats_holdout": _known(result.beats_holdout),
        "probability_best": _known(result.best),
        **_columns("incremental_orders", result.incremental_orders),
        **_columns("incremental_revenue", result.incremental_revenue),
        "status": result.status,
        "verdict": result.verdict,
    }


def _columns(name: str, estimate: Estimate) -> dict[str, float | None]:
    return {
        name: _known(estimate.difference),
        f"{name}_low": _known(estimate.low),
        f"{name}_high": _known(estimate.high),
    }


def _known(value: float) -> float | None:
    """What can't be said is null in the table, never NaN or infinity."""
    return value if math.isfinite(value) else None


_ARROW = {"varchar": pa.string(), "double": pa.float64(), "boolean": pa.bool_()}


def _replace(warehouse: duckdb.DuckDBPyConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    table = pa.table({name: pa.array([row[name] for row in rows], _ARROW[kind]) for name, kind in _RESULTS.items()})
    warehouse.execute("create schema if not exists experiments")
    warehouse.register("experiment_rows", table)
    try:
        warehouse.execute("create or replace table experiments.results as select * from experiment_rows")
    finally:
        warehouse.unregister("experiment_rows")

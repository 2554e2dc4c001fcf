"""Business policy: the vars of dbt_project.yml, overridden for one run, validated before anything is read.

The defaults stand in dbt_project.yml, commented, and only there. What a value may be stands here, and only here. A var
that a team adds for models of its own needs no line here: it must then keep the type of its default.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from ritorno.contract import systems
from ritorno.documents import load_yaml
from ritorno.errors import UnusableInput
from ritorno.home import PROJECT_ROOT

NAMESPACE = "ritorno"

_CURRENCIES = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF
CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL
HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD
MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG
QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD
TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""
ISO_4217 = frozenset(_CURRENCIES.split())


def _currency(value: str) -> str:
    if value not in ISO_4217:
        raise ValueError(f"{value!r} is no ISO 4217 currency code{_did_you_mean(value.upper(), ISO_4217)}")
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"{value!r} is no IANA time zone, such as Europe/Berlin{_did_you_mean(value, available_timezones())}"
        ) from None
    return value


def _region(value: str) -> str:
    import phonenumbers  # not needed to import this module

    if value not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(f"{value!r} is no region with phone numbers, such as DE (ISO 3166 alpha-2, upper case)")
    return value


def _statuses(values: list[str]) -> list[str]:
    for value in values:
        if value != value.strip().lower():
            raise ValueError(f"{value!r} must be trimmed and in lower case, since statuses are compared so")
    return values


def _scale(value: list[int]) -> list[int]:
    if len(value) != 2 or value[0] >= value[1]:
        raise ValueError(f"{value!r} is no scale: give the lowest and the highest value, such as [1, 5]")
    return value


def _names(values: list[str]) -> list[str]:
    for value in values:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", value):
            raise ValueError(
                f"{value!r} must be of lower-case letters, digits and underscores, as events are compared so"
            )
    return values


def _preferences(value: dict[str, PreferenceColumn]) -> dict[str, PreferenceColumn]:
    for name in value:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in {"customer_key", "preferences_stated_at"}:
            raise ValueError(f"{name!r} can't be a column: use lower-case letters, digits and underscores")
    return value


class PreferenceColumn(BaseModel):
    """A column read from the JSON of crm_contacts.preferences."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    path: Annotated[str, Field(pattern=r"^\$(\.[A-Za-z_][A-Za-z0-9_]*)+$")]
    type: Literal["text", "integer", "number", "boolean", "date", "list"]


Currency = Annotated[str, AfterValidator(_currency)]
Zone = Annotated[str, AfterValidator(_zone)]
Region = Annotated[str, AfterValidator(_region)]
Statuses = Annotated[list[str], AfterValidator(_statuses)]
Scale = Annotated[list[int], AfterValidator(_scale)]
Names = Annotated[list[str], AfterValidator(_names)]
Touchpoint = Literal[
    "first_contact",
    "order",
    "refund",
    "ticket_opened",
    "ticket_resolved",
    "review",
    "nps_response",
    "campaign_assigned",
    "message_sent",
    "message_opened",
    "message_clicked",
    "unsubscribed",
    "subscription",
    "tier_changed",
]
Days = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class PolicyValues(BaseModel):
    """What each policy var may be. The names are those of dbt_project.yml; a test keeps them the same."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    systems: dict[str, list[str]]

    reporting_currency: Currency
    fx_max_age_days: Days
    business_timezone: Zone
    raw_timezone: Zone
    prices_include_tax: bool

    invalid_order_statuses: Statuses
    known_order_statuses: Statuses
    successful_payment_statuses: Statuses
    count_zero_orders: bool
    count_refunds: bool

    default_phone_region: Region
    identity_max_nodes_per_value: Annotated[int, Field(ge=2)]

    rfm_monetary: Literal["total", "average"]
    cohort_cuts: list[Literal["acquisition_channel", "first_category", "country", "account_type"]]

    lifecycle_method: Literal["fixed", "percentile", "personal"]
    lifecycle_business_line: list[Literal["account_type", "category", "country"]]
    at_risk_after_days: Annotated[int, Field(ge=1)]
    lapsed_after_days: Annotated[int, Field(ge=2)]
    registered_at_risk_after_days: Annotated[int, Field(ge=1)]
    registered_lapsed_after_days: Annotated[int, Field(ge=2)]
    at_risk_percentile: Annotated[float, Field(gt=0, lt=1)]
    lapsed_percentile: Annotated[float, Field(gt=0, lt=1)]
    percentile_min_history_days: Days
    percentile_min_gaps: Annotated[int, Field(ge=1)]
    personal_floor_days: Annotated[int, Field(ge=1)]

    value_model: Literal["mbg_nbd", "bg_nbd", "pareto_nbd"]
    value_min_customers: Annotated[int, Field(ge=2)]
    value_min_days: Annotated[int, Field(ge=1)]
    value_backtest_days: Annotated[int, Field(ge=1)]
    clv_lifespan: Literal["lapse_rate", "observed"]
    annual_discount_rate: Annotated[float, Field(ge=0, lt=10)]

    repurchase_window_days: Annotated[int, Field(ge=1)]
    repurchase_min_intervals: Annotated[int, Field(ge=2)]
    subscription_min_repeat_buyers: Annotated[int, Field(ge=1)]
    subscription_min_repurchase_rate: Annotated[float, Field(gt=0, le=1)]
    subscription_max_variation: Annotated[float, Field(ge=0)]
    affinity_max_basket_products: Annotated[int, Field(ge=2)]
    affinity_min_product_orders: Annotated[int, Field(ge=1)]
    affinity_min_pair_orders: Annotated[int, Field(ge=1)]
    recommendations_per_customer: Annotated[int, Field(ge=1)]
    recommend_not_within_days: Days
    recommend_due_intervals: Annotated[int, Field(ge=1)]
    recommend_newest_of: Annotated[int, Field(ge=1)]
    recommend_partners: Annotated[int, Field(ge=1)]

    paused_in_mrr: bool
    past_due_in_mrr: bool
    discounts_in_mrr: Literal["forever", "running", "none"]
    pause_at_risk_after_days: Days
    survival_horizon_days: Days

    loyalty_point_value: Annotated[float, Field(ge=0)]

    referral_window_days: Annotated[int, Field(ge=1)]
    referral_accept_registered: bool

    holdout_arms: Annotated[Statuses, Field(min_length=1)]
    campaign_window_days: Days
    campaign_open_window_days: Annotated[int, Field(ge=1)]
    campaign_before_days: Annotated[int, Field(ge=1)]
    campaign_peeking: Literal["fixed_end", "always_valid"]
    campaign_alpha: Annotated[float, Field(gt=0, lt=0.5)]
    campaign_power: Annotated[float, Field(gt=0.5, lt=1)]
    campaign_sample_ratio_alarm: Annotated[float, Field(gt=0, lt=0.5)]

    support_default_priority: str
    support_deadline_days: Annotated[int, Field(ge=1, le=3660)]
    csat_scale: Scale
    csat_satisfied_from: int
    support_effect_days: Annotated[int, Field(ge=1)]
    support_effect_min_controls: Annotated[int, Field(ge=1)]

    review_scale: Scale
    review_low_rating: int
    review_answer_days: Annotated[int, Field(ge=1)]
    review_reply_types: Names
    review_request_types: Names
    review_request_days: Annotated[int, Field(ge=1)]

    contact_channels: Names
    marketing_purposes: Names
    machine_reaction_seconds: Annotated[int, Field(ge=0, le=3600)]
    best_hour_min_events: Annotated[int, Field(ge=1)]

    preference_columns: Annotated[dict[str, PreferenceColumn], AfterValidator(_preferences)]
    journey_touchpoints: Annotated[list[Touchpoint], Field(min_length=1)]

    segment_second_order_after_days: Days
    segment_win_back_within_days: Annotated[int, Field(ge=1)]
    segment_pause_ending_days: Days
    segment_replenish_before_days: Days
    segment_replenish_after_days: Days
    segment_key_account_top_share: Annotated[float, Field(gt=0, le=1)]
    segment_entrants_within_days: Annotated[int, Field(ge=1)]
    segment_nps_within_days: Annotated[int, Field(ge=1)]
    segment_next_tier_share: Annotated[float, Field(gt=0, le=1)]
    segment_expect_min_customers: Annotated[int, Field(ge=1)]

    quarantine_limit: Share
    quarantine_retention_days: Annotated[int, Field(ge=1)]
    data_quality_listed_rows: Annotated[int, Field(ge=0)]

    incremental: Literal["auto", "always", "never"]
    incremental_from_orders: dict[Literal["duckdb", "postgres"], Annotated[int, Field(ge=0)]]
    incremental_from_subscription_rows: dict[Literal["duckdb", "postgres"], Annotated[int, Field(ge=0)]]
    incremental_max_share: Share

    spark_table_format: Literal["parquet", "delta", "iceberg"]
    spark_landing_parts: Literal["month", "day", "none"]
    spark_layout_from_rows: Annotated[int, Field(ge=0)]
    spark_buckets: Literal["auto"] | Annotated[int, Field(ge=0, le=100_000)]

    online_retail_currency: Currency
    online_retail_timezone: Zone
    online_retail_fee_codes: list[str]

    @model_validator(mode="after")
    def _consistent(self) -> PolicyValues:
        problems = list(self._contradictions())
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _contradictions(self) -> Iterable[str]:
        for lower, upper in (
            ("at_risk_after_days", "lapsed_after_days"),
            ("registered_at_risk_after_days", "registered_lapsed_after_days"),
            ("at_risk_percentile", "lapsed_percentile"),
        ):
            low, high = getattr(self, lower), getattr(self, upper)
            if high <= low:
                yield f"{upper} ({high}) must be greater than {lower} ({low}): who lapses was at risk before"
        for value, scale in (("csat_satisfied_from", "csat_scale"), ("review_low_rating", "review_scale")):
            bounds, chosen = getattr(self, scale), getattr(self, value)
            if not bounds[0] <= chosen <= bounds[1]:
                yield f"{value} ({chosen}) must lie within {scale} ({bounds[0]} to {bounds[1]})"
        both = sorted(set(self.invalid_order_statuses) & set(self.known_order_statuses))
        if both:
            yield f"{', '.join(both)} stands in invalid_order_statuses and in known_order_statuses: keep it in one"


@dataclass(frozen=True)
class Policy:
    """The policy of one run.

    Attributes:
        values: every var, defaults and overrides, validated.
        overrides: what differs from dbt_project.yml by the run's own will.
    """

    values: Mapping[str, Any]
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def dbt_vars(self) -> str:
        """The overrides as JSON for dbt's --vars; '{}' if there are none, so that dbt needn't parse anew."""
        return json.dumps(dict(self.overrides), sort_keys=True, ensure_ascii=False)

    @cached_property
    def policy_hash(self) -> str:
        """The same for equal policies, whatever part of it was an override."""
        text = json.dumps(dict(self.values), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_policy(project_root: Path = PROJECT_ROOT, overrides: Mapping[str, Any] | str | Path | None = None) -> Policy:
    """The project's policy with one run's overrides.

    Args:
        project_root: where dbt_project.yml stands.
        overrides: a mapping, JSON text, or the path of a YAML or JSON file.

    Raises:
        UnusableInput: a name is unknown, a value has a wrong type or range, or two contradict each other.
    """
    defaults = _defaults(project_root)
    given = _overrides(overrides)
    problems = [_unknown(name, defaults) for name in given if name not in defaults]
    problems += [problem for name, value in given.items() if (problem := _other_type(name, value, defaults))]
    if problems:
        raise _refused(problems)
    merged = {**defaults, **given}
    try:
        PolicyValues.model_validate(merged)
    except ValidationError as error:
        raise _refused([_described(detail) for detail in error.errors()]) from None
    problems = list(_system_problems(merged["systems"], project_root))
    if problems:
        raise _refused(problems)
    return Policy(merged, given)


def _defaults(project_root: Path) -> dict[str, Any]:
    path = project_root / "dbt_project.yml"
    try:
        document = load_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnusableInput(f"{path}: not found. Run from the repository, or give its root.") from None
    except yaml.YAMLError as error:
        raise UnusableInput(f"{path}: no readable YAML. {error}") from error
    values = document.get("vars", {}).get(NAMESPACE, {})
    if not isinstance(values, dict):
        raise UnusableInput(f"{path}: vars.{NAMESPACE} must be a mapping of names to values.")
    return values


def _overrides(given: Mapping[str, Any] | str | Path | None) -> dict[str, Any]:
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return dict(given)
    text = str(given).strip()
    if isinstance(given, str) and (not text or text.startswith(("{", "["))):
        return _mapping(text or "{}", "--vars")
    path = Path(text).expanduser()
    if not path.is_file():
        raise UnusableInput(
            f"--vars {text!r}: neither JSON text, such as '{{\"count_refunds\": false}}', nor a file. Give one of them."
        )
    try:
        return _mapping(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError:
        raise UnusableInput(f"{path}: not UTF-8 text. Give a YAML or JSON file.") from None


def _mapping(text: str, where: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(text)  # JSON is YAML
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise UnusableInput(f"{where}: no readable JSON or YAML ({reason}).") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise UnusableInput(f"{where}: expected names with values, found {type(found).__name__}.")
    return {str(name): value for name, value in found.items()}


def _unknown(name: str, known: Iterable[str]) -> str:
    return f"{name}: no such policy{_did_you_mean(name, known) or '; dbt_project.yml lists them all'}"


def _other_type(name: str, value: Any, defaults: Mapping[str, Any]) -> str | None:  # noqa: ANN401  any YAML value
    """Of a var that only the project knows, the default's type is the type."""
    default = defaults.get(name)
    if name in PolicyValues.model_fields or default is None or type(value) is type(default):
        return None
    if isinstance(default, float) and type(value) is int:
        return None
    return f"{name}: expected {type(default).__name__} as in dbt_project.yml, found {_shown(value)}"


def _described(detail: Mapping[str, Any]) -> str:
    message = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    if not detail["loc"]:
        return message
    name = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "missing":
        return f"{name}: missing from dbt_project.yml, vars.{NAMESPACE}"
    if detail["type"] == "value_error":
        return f"{name}: {message}"
    hint = ""
    if detail["type"] == "literal_error" and isinstance(detail["input"], str):
        hint = _did_you_mean(detail["input"], re.findall(r"'([^']*)'", str(detail["ctx"]["expected"])))
    return f"{name}: expected {message.removeprefix('a ')}, found {_shown(detail['input'])}{hint}"


def _system_problems(chosen: Mapping[str, list[str]], project_root: Path) -> Iterable[str]:
    known = systems(project_root)
    entities = known["files"]
    for system, names in chosen.items():
        if system not in known:
            yield f"systems.{system}: no folder models/staging/{system}/ with its sources{_did_you_mean(system, known)}"
        for name in names:
            if name not in entities:
                yield f"systems.{system}: {name!r} is no canonical entity{_did_you_mean(name, entities)}"


def _refused(problems: Iterable[str]) -> UnusableInput:
    listed = "\n".join(f"  - {problem}" for problem in problems)
    return UnusableInput(
        f"The policy can't be used (dbt_project.yml, vars.{NAMESPACE}, with --vars over it):\n{listed}"
    )


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def _shown(value: Any) -> str:  # noqa: ANN401  any YAML value
    if isinstance(value, date):
        return value.isoformat()
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."

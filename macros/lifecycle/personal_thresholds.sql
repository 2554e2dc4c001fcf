{#- A customer's own thresholds in whole days: n own gaps with median `own`, the line's median `pop`;
    m = (n × own + 5 × pop) / (n + 5); at risk beyond max(2m, floor), lapsed beyond that × p90 / p75. Recency is whole
    days, so the floor of a real threshold decides alike, and whole-number division keeps every engine exact. -#}
{% macro personal_at_risk_days(medians, thresholds) -%}
greatest(
    {{ integer_divide(
        "2 * (coalesce(" ~ medians ~ ".gaps * " ~ medians ~ ".median_gap_days, 0) + 5 * " ~ thresholds ~ ".median_gap_days)",
        "coalesce(" ~ medians ~ ".gaps, 0) + 5"
    ) }},
    {{ var('personal_floor_days') }}
)
{%- endmacro %}

{% macro personal_lapsed_days(medians, thresholds) -%}
{{ integer_divide(
    "greatest(2 * (coalesce(" ~ medians ~ ".gaps * " ~ medians ~ ".median_gap_days, 0) + 5 * " ~ thresholds ~ ".median_gap_days), "
    ~ var('personal_floor_days') ~ " * (coalesce(" ~ medians ~ ".gaps, 0) + 5)) * " ~ thresholds ~ ".lapsed_percentile_days",
    "(coalesce(" ~ medians ~ ".gaps, 0) + 5) * " ~ thresholds ~ ".at_risk_percentile_days"
) }}
{%- endmacro %}

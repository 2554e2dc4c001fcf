{#- percentile_cont from a histogram, exactly and alike on every engine. An aggregate over one group's rows, one row per
    `value`: `up_to` counts what lies up to and including it, `total` everything, `thousandths` is the percentile (750 is
    p75). Its place is p × (total − 1); between two places the value is in proportion. -#}
{% macro histogram_percentile(value, up_to, total, thousandths) -%}
{%- set scaled = thousandths ~ " * (" ~ total ~ " - 1)" -%}
{%- set place = integer_divide(scaled, 1000) -%}
{%- set below = "min(case when " ~ up_to ~ " > " ~ place ~ " then " ~ value ~ " end)" -%}
{%- set above = "min(case when " ~ up_to ~ " > " ~ integer_divide(scaled ~ " + 999", 1000) ~ " then " ~ value ~ " end)" -%}
({{ below }} + ({{ above }} - {{ below }}) * {{ ratio("max(" ~ scaled ~ " - 1000 * " ~ place ~ ")", 1000) }})
{%- endmacro %}

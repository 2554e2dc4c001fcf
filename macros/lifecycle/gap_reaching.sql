{#- percentile_disc from a histogram: `min` of this is the smallest gap whose share of gaps up to it reaches the
    percentile (columns gap_days, gaps_up_to, all_gaps). Exact on every engine: no float decides. -#}
{% macro gap_reaching(percentile) -%}
case when gaps_up_to >= cast({{ percentile }} as decimal(9, 6)) * all_gaps then gap_days end
{%- endmacro %}

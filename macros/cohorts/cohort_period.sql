{#- The period of `day` for a customer whose first order day is `first_day`: calendar months since, or the rolling
    window k with first + 30(k − 1) + 1 <= day <= first + 30k (window 0 is the first day alone). -#}
{% macro cohort_period(cohort_type, first_day, day) -%}
{%- if cohort_type == 'calendar_month' -%}
{{ months_between(first_day, day) }}
{%- elif cohort_type == 'rolling_30d' -%}
{{ integer_divide(days_between(first_day, day) ~ " + 29", 30) }}
{%- else -%}
{{ exceptions.raise_compiler_error("no cohort type " ~ cohort_type) }}
{%- endif -%}
{%- endmacro %}

{#- What cohorts can be cut by: `cohort_cuts`, refused by name when it is nothing we know of a customer. -#}
{% macro cohort_cut_columns() -%}
{%- set known = ['acquisition_channel', 'first_category', 'country', 'account_type'] -%}
{%- for cut in var('cohort_cuts') if cut not in known -%}
    {{ exceptions.raise_compiler_error("cohort_cuts: no cut '" ~ cut ~ "'; there are " ~ known | join(', ')) }}
{%- endfor -%}
{{ return(var('cohort_cuts') | unique | list) }}
{%- endmacro %}

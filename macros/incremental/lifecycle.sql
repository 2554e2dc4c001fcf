{#- Lifecycles: points and history of the customers that something happened to, or that a day brought into another state,
    and what reads nothing but the history: spells as a buyer, and the closes of periods found in one. They come after
    the heavy tier (order days) and the subscription tier (live spans), and after the thresholds, which are built whole
    every time. Touched, in int_changes__lifecycle_customers:

    1. customers of the heavy tier's list, whose order days may be others;
    2. customers of whom anything else that points and history read is another than after the last finished run: business
       line, live spans, contacts; all columns of each as one number (int_changes__lifecycle_rows);
    3. customers of a business line with a point in a month whose threshold is another now: that of a silence is the one
       of the month in which it begins. A month that begins has no points yet;
    4. customers whose last silence crosses its threshold in (last as-of, as-of].

    Nothing else depends on as-of: no point, contact or end of a live span lies after it, and what lies before it stays.
    So a stay that is merely open isn't touched by another day.

    The lifecycle has an account of the last finished run of its own (int_changes__lifecycle_done), since much more is
    built before it than before the heavy tier's end. It follows the heavy tier's list, so the last finished run of both
    must be the same one; where a run was killed in between, and where the heavy tier is built in full, so is the
    lifecycle. Killed in the middle of its own tables, it touches again whom it was about to touch. -#}
{% macro lifecycle_models() -%}
{{- return(['int_lifecycle__points', 'lifecycle_history', 'int_rates__spells', 'int_rates__memberships']) -}}
{%- endmacro %}

{#- Whether they stand. -#}
{% macro lifecycle_stands() -%}
{{- return(front_stands(lifecycle_models(), {'lifecycle_history': 'marts'})) -}}
{%- endmacro %}

{#- What is kept of a finished run is written after all tables that it stands for. -#}
{% macro after_the_lifecycle() -%}
{{ after_all_of(lifecycle_models()) }}
{%- endmacro %}

{#- What int_lifecycle__points reads of the thresholds. -#}
{% macro threshold_columns() -%}
{{- return(
    ['policy', 'at_risk_days', 'lapsed_days'] + (
        ['median_gap_days', 'at_risk_percentile_days', 'lapsed_percentile_days']
        if var('lifecycle_method') == 'personal' else []
    )
) -}}
{%- endmacro %}

{#- The first day beyond one of the thresholds, counted from `since`, lies in (last as-of, as-of]; `before` is
    int_changes__lifecycle_before. -#}
{% macro crosses(since, thresholds) -%}
(
    {%- for days in thresholds %}
    {{ 'or ' if not loop.first }}(
        {{ add_days(since, days ~ ' + 1') }} > before.done_as_of_date
        and {{ add_days(since, days ~ ' + 1') }} <= {{ as_of_date() }}
    )
    {%- endfor %}
)
{%- endmacro %}

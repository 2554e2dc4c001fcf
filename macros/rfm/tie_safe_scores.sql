{#- A select of `value → score 1..5` (and of `partition`, where given): floor(5 × (rank − 1) / N) + 1, where rank − 1
    is the number of customers strictly worse and N that of all. Equal values get equal scores whatever the row order;
    NTILE would spread ten identical customers over all five.

    Computed from a histogram (one row per distinct value, running sum over it) and in whole numbers, so it costs no
    sort of the customers, no float decides a boundary, and every engine gives the same.

    relation: a CTE; value: its column, never null; worst: 'lowest' or 'highest' value; customers: an expression that
    counts the customers of a group of rows; partition: a column, never null, within which to rank. -#}
{% macro tie_safe_scores(relation, value, worst, customers='count(*)', partition=none) -%}
{%- if worst not in ('lowest', 'highest') -%}
    {{ exceptions.raise_compiler_error("tie_safe_scores: worst is 'lowest' or 'highest', not '" ~ worst ~ "'") }}
{%- endif -%}
{%- set direction = 'asc' if worst == 'lowest' else 'desc' %}
    select
        {{ partition ~ ',' if partition }}
        {{ value }},
        cast({{ integer_divide('5 * (up_to_here - here)', 'everyone') }} + 1 as integer) as score
    from (
        select
            {{ partition ~ ',' if partition }}
            {{ value }},
            here,
            sum(here) over (
                {{ 'partition by ' ~ partition if partition }}
                order by {{ value }} {{ direction }}
                rows between unbounded preceding and current row
            ) as up_to_here,
            sum(here) over ({{ 'partition by ' ~ partition if partition }}) as everyone
        from (
            select
                {{ partition ~ ',' if partition }}
                {{ value }},
                {{ customers }} as here
            from {{ relation }}
            group by {{ partition ~ ', ' if partition }}{{ value }}
        ) as histogram
    ) as ranked
{%- endmacro %}

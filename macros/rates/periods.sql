{#- Periods as whole numbers, so that neighbours differ by one: a month is year × 12 + month − 1, a quarter or year that
    divided by its months. `overall` has more months than history, so everything lies in its period 0. -#}
{% macro rate_periods() -%}
(
    select 'month' as period_type, 1 as months
    union all
    select 'quarter' as period_type, 3 as months
    union all
    select 'year' as period_type, 12 as months
    union all
    select 'overall' as period_type, 1000000 as months
)
{%- endmacro %}

{% macro month_index(day) -%}
cast(extract(year from {{ day }}) * 12 + extract(month from {{ day }}) - 1 as bigint)
{%- endmacro %}

{% macro month_of_index(index) -%}{{ add_months("cast('2000-01-01' as date)", index ~ " - 24000") }}{%- endmacro %}

{% macro rate_cuts() -%}{{ return(['business_line', 'country', 'acquisition_channel', 'first_category', 'cohort_month']) }}{%- endmacro %}

{#- What is counted per period and cell: each name once, in the order of the columns. All additive. -#}
{% macro rate_measures() -%}
{{ return([
    'became_buyers', 'new_customers', 'won_back', 'lost',
    'buying_customers', 'bought_again_next_period', 'repeat_customers', 'orders', 'order_days', 'net_revenue',
    'first_order_customers',
    'followed_30d', 'second_order_30d', 'followed_60d', 'second_order_60d',
    'followed_90d', 'second_order_90d', 'followed_180d', 'second_order_180d',
    'lapses', 'lapse_days', 'trailing_buyers', 'trailing_retained',
]) }}
{%- endmacro %}

{#- `cte` added up per period and peer group. Sums of counts are whole numbers of 64 bits: they are added up once more. -#}
{% macro select_measures(cte, has) -%}
select
    {{ cte }}.period_type,
    {{ cte }}.period_index,
    customers.peer_group,
    {%- for measure in has %}
    cast(
        sum({{ cte }}.{{ measure }}) as {{ type_money() if measure == 'net_revenue' else 'bigint' }}
    ) as {{ measure }}{{ ',' if not loop.last }}
    {%- endfor %}
from {{ cte }}
inner join customers on {{ cte }}.customer_key = customers.customer_key
group by
    {{ cte }}.period_type,
    {{ cte }}.period_index,
    customers.peer_group
{%- endmacro %}

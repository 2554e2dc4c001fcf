{#- Customers are counted here, once: each of them lies in exactly one cell, so whatever follows only adds cells up.
    Populations are kept as changes (who enters, who leaves); the mart's running sums make them populations. -#}
{%- set branches = {
    'beginnings': ['became_buyers'],
    'entries': ['new_customers', 'won_back'],
    'exits': ['lost'],
    'purchases': [
        'buying_customers', 'bought_again_next_period', 'repeat_customers', 'orders', 'order_days', 'net_revenue',
        'trailing_buyers',
    ],
    'second_orders': [
        'first_order_customers', 'followed_30d', 'second_order_30d', 'followed_60d', 'second_order_60d',
        'followed_90d', 'second_order_90d', 'followed_180d', 'second_order_180d',
    ],
    'month_lapses': ['lapses', 'lapse_days'],
    'trailing_buyer_ends': ['trailing_buyers'],
    'trailing_retained_changes': ['trailing_retained'],
} -%}
with customers as (

    select * from {{ ref('int_rates__customers') }}

),

spells as (

    select * from {{ ref('int_rates__spells') }}

),

memberships as (

    select * from {{ ref('int_rates__memberships') }}

),

customer_periods as (

    select * from {{ ref('int_rates__customer_periods') }}

),

order_days as (

    select * from {{ ref('int_customers__order_days') }}

),

periods as (

    select * from {{ rate_periods() }} as periods

),

-- also of those who had lapsed again before any close: a period with them has begun, and has its row
beginnings as (

    select
        spells.customer_key,
        periods.period_type,
        {{ integer_divide(month_index('spells.buyer_since'), 'periods.months') }} as period_index,
        1 as became_buyers
    from spells
    cross join periods
    where spells.spell_from = spells.buyer_since

),

entries as (

    select
        customer_key,
        period_type,
        first_close as period_index,
        case when first_period = first_close then 1 else 0 end as new_customers,
        case when first_period = first_close then 0 else 1 end as won_back
    from memberships

),

exits as (

    select
        customer_key,
        period_type,
        1 as lost,
        last_close + 1 as period_index
    from memberships
    where last_close is not null

),

purchases as (

    select
        customer_key,
        period_type,
        period_index,
        1 as buying_customers,
        orders,
        order_days,
        net_revenue,
        case when next_period_index = period_index + 1 then 1 else 0 end as bought_again_next_period,
        case when orders > 1 then 1 else 0 end as repeat_customers,
        case when period_type = 'month' then 1 else 0 end as trailing_buyers
    from customer_periods

),

-- two orders of the first day: the second order came after 0 days
first_and_second_orders as (

    select
        customer_key,
        min(order_date) as first_order_date,
        min(case when previous_order_date is not null or orders > 1 then order_date end) as second_order_date
    from order_days
    group by customer_key

),

follow_ups as (

    select
        *,
        {{ days_between('first_order_date', as_of_date()) }} as followed_days,
        {{ days_between('first_order_date', 'second_order_date') }} as second_order_days
    from first_and_second_orders

),

second_orders as (

    select
        follow_ups.customer_key,
        periods.period_type,
        {{ integer_divide(month_index('follow_ups.first_order_date'), 'periods.months') }} as period_index,
        1 as first_order_customers,
    {%- for days in [30, 60, 90, 180] %}
        case when follow_ups.followed_days >= {{ days }} then 1 else 0 end as followed_{{ days }}d,
        case
            when follow_ups.followed_days >= {{ days }} and follow_ups.second_order_days <= {{ days }} then 1 else 0
        end as second_order_{{ days }}d{{ ',' if not loop.last }} -- noqa: LT02

    {%- endfor %}
    from follow_ups
    cross join periods

),

-- the day of the lapse against the first day as a buyer: how long the customer was one
month_lapses as (

    select
        customer_key,
        'month' as period_type,
        {{ month_index('spell_to') }} as period_index,
        1 as lapses,
        {{ days_between('buyer_since', 'spell_to') }} as lapse_days
    from spells
    where spell_to is not null

),

-- bought within the twelve months up to this one: each month with an order counts for twelve, or until the next one
trailing_buyer_ends as (

    select
        customer_key,
        period_type,
        case
            when next_period_index < period_index + 12 then next_period_index
            else period_index + 12
        end as period_index,
        -1 as trailing_buyers
    from customer_periods
    where period_type = 'month'

),

month_memberships as (

    select
        customer_key,
        period_type,
        first_close,
        coalesce(last_close, {{ month_index(as_of_date()) }}) as last_close
    from memberships
    where period_type = 'month'

),

-- not lapsed at a close, and not lapsed twelve months before: the customer's ranges against themselves, moved by twelve
kept_for_a_year as (

    select
        earlier.customer_key,
        earlier.period_type,
        greatest(earlier.first_close + 12, later.first_close) as first_close,
        least(earlier.last_close + 12, later.last_close) as last_close
    from month_memberships as earlier
    inner join month_memberships as later
        on
            earlier.customer_key = later.customer_key
            and earlier.first_close + 12 <= later.last_close
            and earlier.last_close + 12 >= later.first_close

),

trailing_retained_changes as (

    select
        customer_key,
        period_type,
        first_close as period_index,
        1 as trailing_retained
    from kept_for_a_year

    union all

    select
        customer_key,
        period_type,
        last_close + 1 as period_index,
        -1 as trailing_retained
    from kept_for_a_year

),

{%- for cte, has in branches.items() %}
    {{ cte }}_cells as (

        {{ select_measures(cte, has) | indent(8) }}

    ),
{% endfor %}
-- each branch has its keys once: joined side by side they take half the time of adding up 23 columns, most of them 0
cells as (

    select
        period_type,
        period_index,
        peer_group,
    {%- for measure in rate_measures() %}
        {% for cte, has in branches.items() if measure in has -%}
            {{ '+ ' if not loop.first }}coalesce({{ cte }}_cells.{{ measure }}, 0)
        {%- endfor %} as {{ measure }}{{ ',' if not loop.last }} -- noqa: LT02

    {%- endfor %}
    from purchases_cells -- noqa: LT02
    {%- for cte in branches if cte != 'purchases' %}
    full outer join {{ cte }}_cells using (period_type, period_index, peer_group) -- noqa: ST07
    {%- endfor %}

),

peer_groups as (

    select distinct
        peer_group,
    {%- for cut in rate_cuts() %}
        {{ cut }}{{ ',' if not loop.last }} -- noqa: LT02

    {%- endfor %}
    from customers

),

final as (

    select
        cast(cells.period_type as {{ type_string() }}) as period_type,
        cast(cells.period_index as bigint) as period_index,
        {%- for cut in rate_cuts() %}
            cast(peer_groups.{{ cut }} as {{ type_string() }}) as {{ cut }},
        {%- endfor %}
    {%- for measure in rate_measures() %}
        cast(
            cells.{{ measure }} as {{ type_money() if measure == 'net_revenue' else 'bigint' }}
        ) as {{ measure }}{{ ',' if not loop.last }} -- noqa: LT02

    {%- endfor %}
    from cells
    inner join peer_groups on cells.peer_group = peer_groups.peer_group
    inner join periods on cells.period_type = periods.period_type
    -- what would end after as-of hasn't
    where cells.period_index <= {{ integer_divide(month_index(as_of_date()), 'periods.months') }}

)

select * from final

-- Customers are counted here, once; whatever follows only adds these rows up. `last_active_customers` counts every
-- member exactly once (in the last period with an order), so its sum over the periods is the number of members.
{%- set families = ['calendar_month', 'rolling_30d'] -%}
{%- set keys = [
    'cohort_type', 'cohort_month', 'last_begun_period', 'last_finished_period',
    'acquisition_channel', 'first_category', 'country', 'account_type',
] %}

with members as (

    select * from {{ ref('int_cohorts__members') }}

),

order_days as (

    select * from {{ ref('int_customers__order_days') }}

),

refunds as (

    select * from {{ ref('refunds') }}

),

entries as (

    select
        customer_key,
        order_date as entry_date,
        orders,
        net_revenue
    from order_days

    union all

    -- a refund that names only a customer stands at its refund date
    select
        customer_key,
        refund_date as entry_date,
        0 as orders,
        -amount as net_revenue
    from refunds
    where
        order_key is null
        and customer_key is not null

),

{%- for family in families %}

{{ family }}_members as (

    select * from members
    where cohort_type = '{{ family }}'

),

{{ family }}_entries as (

    select
        {{ family }}_members.customer_key,
        -- money that comes back before the first order (of one we don't know) belongs to the first period
        greatest(
            {{ cohort_period(family, family ~ '_members.first_order_date', 'entries.entry_date') }}, 0
        ) as period,
        entries.orders,
        entries.net_revenue
    from entries
    inner join {{ family }}_members on entries.customer_key = {{ family }}_members.customer_key

),

{{ family }}_customer_periods as (

    select
        customer_key,
        period,
        sum(orders) as orders,
        sum(net_revenue) as net_revenue
    from {{ family }}_entries
    group by customer_key, period

),
{%- endfor %}

counted as (
{%- for family in families %}

    select
        {% for key in keys %}{{ family }}_members.{{ key }},
        {% endfor -%}
        {{ family }}_customer_periods.period,
        case when {{ family }}_customer_periods.orders > 0 then 1 else 0 end as active_customers,
        case
            when {{ family }}_customer_periods.period = {{ family }}_members.last_active_period then 1
            else 0
        end as last_active_customers,
        {{ family }}_customer_periods.orders,
        {{ family }}_customer_periods.net_revenue
    from {{ family }}_customer_periods
    inner join {{ family }}_members on {{ family }}_customer_periods.customer_key = {{ family }}_members.customer_key
    {{ 'union all' if not loop.last }}
{%- endfor %}

),

final as (

    select
        cast(cohort_type as {{ type_string() }}) as cohort_type,
        cast(cohort_month as date) as cohort_month,
        cast(last_begun_period as integer) as last_begun_period,
        cast(last_finished_period as integer) as last_finished_period,
        cast(acquisition_channel as {{ type_string() }}) as acquisition_channel,
        cast(first_category as {{ type_string() }}) as first_category,
        cast(country as {{ type_string() }}) as country,
        cast(account_type as {{ type_string() }}) as account_type,
        cast(period as integer) as period,
        cast(sum(active_customers) as bigint) as active_customers,
        cast(sum(last_active_customers) as bigint) as last_active_customers,
        cast(sum(orders) as bigint) as orders,
        cast(sum(net_revenue) as {{ type_money() }}) as net_revenue
    from counted
    group by {{ keys | join(', ') }}, period

)

select * from final

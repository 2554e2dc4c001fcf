{{ config(materialized='touched', unique_key='customer_key') }}

with order_days as (

    select * from {{ ref('int_customers__order_days') }}
    {{ only_touched('customer_key') }}

),

periods as (

    select * from {{ rate_periods() }} as periods

),

-- months first: there are fewer of them than of order days, and every longer period is made of months
customer_months as (

    select
        customer_key,
        {{ month_index('order_date') }} as month_number,
        sum(orders) as orders,
        count(*) as order_days,
        sum(net_revenue) as net_revenue
    from order_days
    group by 1, 2

),

customer_periods as (

    select
        customer_months.customer_key,
        periods.period_type,
        {{ integer_divide('customer_months.month_number', 'periods.months') }} as period_index,
        sum(customer_months.orders) as orders,
        sum(customer_months.order_days) as order_days,
        sum(customer_months.net_revenue) as net_revenue
    from customer_months
    cross join periods
    group by 1, 2, 3

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(period_type as {{ type_string() }}) as period_type,
        cast(period_index as bigint) as period_index,
        cast(lead(period_index) over (
            partition by customer_key, period_type order by period_index asc
        ) as bigint) as next_period_index,
        cast(orders as bigint) as orders,
        cast(order_days as bigint) as order_days,
        cast(net_revenue as {{ type_money() }}) as net_revenue
    from customer_periods

)

select * from final

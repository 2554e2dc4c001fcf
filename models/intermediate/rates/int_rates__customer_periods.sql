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

followed_months as (

    select
        *,
        lead(month_number) over (partition by customer_key order by month_number asc) as next_month_number
    from customer_months

),

-- the month after a longer period's last one lies in the period that comes next; where one has none after it, the
-- longer period is the last
customer_periods as (

    select
        customer_key,
        'month' as period_type,
        month_number as period_index,
        next_month_number as next_period_index,
        orders,
        order_days,
        net_revenue
    from followed_months

    union all

    select
        followed_months.customer_key,
        periods.period_type,
        {{ integer_divide('followed_months.month_number', 'periods.months') }} as period_index,
        case
            when count(*) = count(followed_months.next_month_number)
                then {{ integer_divide('max(followed_months.next_month_number)', 'max(periods.months)') }}
        end as next_period_index,
        sum(followed_months.orders) as orders,
        sum(followed_months.order_days) as order_days,
        sum(followed_months.net_revenue) as net_revenue
    from followed_months
    cross join periods
    where periods.months > 1
    group by 1, 2, 3

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(period_type as {{ type_string() }}) as period_type,
        cast(period_index as bigint) as period_index,
        cast(next_period_index as bigint) as next_period_index,
        cast(orders as bigint) as orders,
        cast(order_days as bigint) as order_days,
        cast(net_revenue as {{ type_money() }}) as net_revenue
    from customer_periods

)

select * from final

with

order_days as (

    select * from {{ ref('int_value__order_days') }}

),

customers as (

    select * from {{ ref('int_identity__customers') }}

),

totals as (

    select
        customer_key,
        min(order_date) as first_order_date,
        max(order_date) as last_order_date,
        count(*) as order_days,
        sum(orders) as orders,
        sum(subscription_orders) as subscription_orders,
        sum(net_revenue) as net_revenue
    from order_days
    group by customer_key

),

-- the first order day says how a customer was won, the repeat order days what he spends
with_first_day as (

    select
        totals.*,
        order_days.net_revenue as first_day_net_revenue
    from totals
    inner join order_days
        on totals.customer_key = order_days.customer_key and totals.first_order_date = order_days.order_date

),

final as (

    select
        cast(with_first_day.customer_key as {{ type_string() }}) as customer_key,
        cast(coalesce(customers.account_type, 'unknown') as {{ type_string() }}) as business_line,
        cast(with_first_day.orders = with_first_day.subscription_orders as boolean) as is_contractual,
        cast(with_first_day.first_order_date as date) as first_order_date,
        cast(with_first_day.last_order_date as date) as last_order_date,
        cast(with_first_day.orders as bigint) as orders,
        cast(with_first_day.order_days as bigint) as order_days,
        cast(with_first_day.order_days - 1 as bigint) as repeat_order_days,
        {{ ratio(
            days_between('with_first_day.first_order_date', 'with_first_day.last_order_date'), '7'
        ) }} as recency_weeks,
        {{ ratio(days_between('with_first_day.first_order_date', as_of_date()), '7') }} as age_weeks,
        {{ ratio(
            'with_first_day.net_revenue - with_first_day.first_day_net_revenue', 'with_first_day.order_days - 1'
        ) }} as mean_spend,
        cast(with_first_day.net_revenue as {{ type_money() }}) as net_revenue,
        {{ as_of_date() }} as as_of_date
    from with_first_day
    left join customers
        on with_first_day.customer_key = customers.customer_key

)

select * from final

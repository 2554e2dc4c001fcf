{{ config(materialized='view') }}
-- A customer's standing is (last order date, orders so far). It changes only in months with an order, so months of
-- silence need no row. A view: rfm_transitions reads it once, and needs no customer_key (10 M orders: 7 M rows that
-- would be written for nothing).
with order_days as (

    select * from {{ ref('int_customers__order_days') }}

),

customer_months as (

    select
        customer_key,
        {{ month_start('order_date') }} as order_month,
        max(order_date) as last_order_date,
        sum(orders) as orders
    from order_days
    group by customer_key, {{ month_start('order_date') }}

),

standings as (

    select
        customer_key,
        order_month,
        last_order_date,
        orders,
        sum(orders) over (
            partition by customer_key
            order by order_month asc
            rows between unbounded preceding and current row
        ) as frequency,
        lag(last_order_date) over (
            partition by customer_key
            order by order_month asc
        ) as previous_last_order_date,
        lead(order_month) over (
            partition by customer_key
            order by order_month asc
        ) as next_order_month
    from customer_months

),

final as (

    select
        customer_key,
        cast(order_month as date) as order_month,
        cast(last_order_date as date) as last_order_date,
        cast(frequency as bigint) as frequency,
        cast(next_order_month as date) as next_order_month,
        cast(previous_last_order_date as date) as previous_last_order_date,
        -- null for the first orders, like previous_last_order_date
        cast(nullif(frequency - orders, 0) as bigint) as previous_frequency
    from standings

)

select * from final

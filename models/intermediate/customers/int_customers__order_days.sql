{{ config(materialized='touched', unique_key='customer_key') }}

with orders as (

    select * from {{ ref('orders') }}
    {{ only_touched('customer_key') }}

),

order_days as (

    select
        customer_key,
        order_date,
        count(*) as orders,
        sum(net_revenue) as net_revenue
    from orders
    -- an anonymous order is revenue, but nobody's
    where customer_key is not null
    group by customer_key, order_date

),

-- the day before is found once here: gaps, cohorts, thresholds and survival all ask for it
final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(order_date as date) as order_date,
        cast(lag(order_date) over (partition by customer_key order by order_date asc) as date) as previous_order_date,
        cast(orders as bigint) as orders,
        cast(net_revenue as {{ type_money() }}) as net_revenue
    from order_days

)

select * from final

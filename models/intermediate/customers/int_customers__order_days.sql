{{ config(materialized='touched', unique_key='customer_key') }}

with orders as (

    select * from {{ ref('orders') }}
    {{ only_touched('customer_key') }}

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(order_date as date) as order_date,
        cast(count(*) as bigint) as orders,
        cast(sum(net_revenue) as {{ type_money() }}) as net_revenue
    from orders
    -- an anonymous order is revenue, but nobody's
    where customer_key is not null
    group by customer_key, order_date

)

select * from final

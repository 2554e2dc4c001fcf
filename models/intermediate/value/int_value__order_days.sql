{{ config(materialized='touched', unique_key='customer_key') }}

with

orders as (

    select * from {{ ref('orders') }}
    where customer_key is not null
    {{ only_touched('customer_key', 'and') }}

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(order_date as date) as order_date,
        cast(count(*) as bigint) as orders,
        cast(sum(case when subscription_key is not null then 1 else 0 end) as bigint) as subscription_orders,
        cast(sum(net_revenue) as {{ type_money() }}) as net_revenue
    from orders
    group by customer_key, order_date

)

select * from final

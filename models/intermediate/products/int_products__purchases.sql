{{ config(materialized='touched', unique_key='customer_key') }}

with order_products as (

    select * from {{ ref('int_products__order_products') }}
    {{ only_touched('order_key') }}

),

orders as (

    select * from {{ ref('orders') }}
    {{ only_touched('customer_key') }}

),

-- several orders of a day are one purchase, as in every interval between orders
purchase_days as (

    select
        orders.customer_key,
        order_products.product_key,
        orders.order_date,
        sum(order_products.quantity) as quantity,
        sum(order_products.net_revenue) as net_revenue
    from order_products
    inner join orders
        on order_products.order_key = orders.order_key
    where orders.customer_key is not null
    group by orders.customer_key, order_products.product_key, orders.order_date

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(product_key as {{ type_string() }}) as product_key,
        cast(order_date as date) as order_date,
        cast(quantity as {{ type_price() }}) as quantity,
        cast(net_revenue as {{ type_money() }}) as net_revenue,
        cast(
            lag(order_date) over (partition by customer_key, product_key order by order_date asc) as date
        ) as previous_order_date,
        cast(
            row_number() over (partition by customer_key, product_key order by order_date asc) as bigint
        ) as purchase_number
    from purchase_days

)

select * from final

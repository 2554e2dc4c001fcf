{{ config(materialized='touched', unique_key='customer_key') }}

with order_products as (

    select * from {{ ref('int_products__order_products') }}
    {{ only_touched('order_key') }}

),

orders as (

    select * from {{ ref('orders') }}
    {{ only_touched('customer_key') }}

),

-- several orders of a day are one purchase, as in every interval between orders; they are few, and only their lines
-- are added up: grouping every line takes longer than the joins
shared_days as (

    select
        customer_key,
        order_date
    from orders
    where customer_key is not null
    group by customer_key, order_date
    having count(*) > 1

),

placed_orders as (

    select
        orders.order_key,
        orders.customer_key,
        orders.order_date,
        shared_days.customer_key is not null as is_shared_day
    from orders
    left join shared_days
        on
            orders.customer_key = shared_days.customer_key
            and orders.order_date = shared_days.order_date
    where orders.customer_key is not null

),

purchase_days as (

    select
        placed_orders.customer_key,
        order_products.product_key,
        placed_orders.order_date,
        order_products.quantity,
        order_products.net_revenue
    from order_products
    inner join placed_orders
        on order_products.order_key = placed_orders.order_key
    where not placed_orders.is_shared_day

    union all

    select
        placed_orders.customer_key,
        order_products.product_key,
        placed_orders.order_date,
        cast(sum(order_products.quantity) as {{ type_price() }}) as quantity,
        cast(sum(order_products.net_revenue) as {{ type_money() }}) as net_revenue
    from order_products
    inner join placed_orders
        on order_products.order_key = placed_orders.order_key
    where placed_orders.is_shared_day
    group by placed_orders.customer_key, order_products.product_key, placed_orders.order_date

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
            lead(order_date) over (partition by customer_key, product_key order by order_date asc) as date
        ) as next_order_date,
        cast(
            row_number() over (partition by customer_key, product_key order by order_date asc) as bigint
        ) as purchase_number
    from purchase_days

)

select * from final

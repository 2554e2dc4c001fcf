{{ config(materialized='touched', unique_key='order_key') }}

-- A line of negative quantity goes back within its order and is no purchase; two lines of a product are one.
with order_items as (

    select * from {{ ref('order_items') }}
    {{ only_touched('order_key') }}

),

final as (

    select
        cast(order_key as {{ type_string() }}) as order_key,
        cast(product_key as {{ type_string() }}) as product_key,
        cast(sum(quantity) as {{ type_price() }}) as quantity,
        cast(sum(net_revenue) as {{ type_money() }}) as net_revenue
    from order_items
    where quantity > 0
    group by order_key, product_key

)

select * from final

{{ config(materialized='touched', unique_key='order_key') }}

-- A basket of 500 products has 124,750 pairs and says little about any of them: such baskets count nowhere in
-- affinity, neither in a pair nor in a product nor in the total, so that the shares keep one denominator.
with order_products as (

    select * from {{ ref('int_products__order_products') }}
    {{ only_touched('order_key') }}

),

orders as (

    select * from {{ ref('orders') }}
    {{ only_touched('order_key') }}

),

basket_sizes as (

    select
        order_key,
        count(*) as products
    from order_products
    group by order_key

),

final as (

    select
        cast(basket_sizes.order_key as {{ type_string() }}) as order_key,
        cast(orders.system as {{ type_string() }}) as system,
        cast(basket_sizes.products as bigint) as products,
        basket_sizes.products <= {{ var('affinity_max_basket_products') }} as is_counted
    from basket_sizes
    inner join orders
        on basket_sizes.order_key = orders.order_key

)

select * from final

-- Numbers instead of keys: pairs of them are counted in a fraction of the memory.
with order_products as (

    select * from {{ ref('int_products__order_products') }}

),

large_baskets as (

    select * from {{ ref('int_products__baskets') }}
    where not is_counted

),

counted as (

    select
        order_products.product_key,
        count(*) as orders
    from order_products
    left join large_baskets
        on order_products.order_key = large_baskets.order_key
    where large_baskets.order_key is null
    group by order_products.product_key
    having count(*) >= {{ [var('affinity_min_product_orders'), var('affinity_min_pair_orders')] | max }}

),

final as (

    select
        cast(product_key as {{ type_string() }}) as product_key,
        cast(orders as bigint) as orders,
        cast(row_number() over (order by product_key asc) as integer) as product_number
    from counted

)

select * from final

-- What keeps it small, in this order: large baskets are out, rare products are out, baskets left with one product are
-- out, each pair is made once (a before b) of two integers, and rare pairs go before anything is joined to them.
with order_products as (

    select * from {{ ref('int_products__order_products') }}

),

-- what is left out is asked for, since it is less than what stays
other_baskets as (

    select * from {{ ref('int_products__baskets') }}
    where not is_counted or products = 1

),

product_orders as (

    select * from {{ ref('int_products__product_orders') }}

),

frequent_lines as (

    select
        order_products.order_key,
        product_orders.product_number
    from order_products
    inner join product_orders
        on order_products.product_key = product_orders.product_key
    left join other_baskets
        on order_products.order_key = other_baskets.order_key
    where other_baskets.order_key is null

),

final as (

    select
        cast(a.product_number as integer) as product_number,
        cast(b.product_number as integer) as other_product_number,
        cast(count(*) as bigint) as orders
    from frequent_lines as a
    inner join frequent_lines as b
        on
            a.order_key = b.order_key
            and a.product_number < b.product_number
    group by a.product_number, b.product_number
    having count(*) >= {{ var('affinity_min_pair_orders') }}

)

select * from final

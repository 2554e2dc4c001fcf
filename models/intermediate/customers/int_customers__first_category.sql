with orders as (

    select * from {{ ref('orders') }}

),

order_items as (

    select * from {{ ref('order_items') }}

),

products as (

    select * from {{ ref('products') }}

),

first_orders as (

    select
        customer_key,
        order_key
    from orders
    where
        is_first_order
        and customer_key is not null

),

category_revenue as (

    select
        first_orders.customer_key,
        products.category,
        cast(sum(order_items.net_revenue) as {{ type_money() }}) as net_revenue
    from first_orders
    inner join order_items on first_orders.order_key = order_items.order_key
    inner join products on order_items.product_key = products.product_key
    -- lines without a category don't compete: half an answer is better than 'unknown'
    where products.category is not null
    group by first_orders.customer_key, products.category

),

ranked as (

    select
        customer_key,
        category,
        row_number() over (
            partition by customer_key
            order by net_revenue desc, category asc
        ) as place
    from category_revenue

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(category as {{ type_string() }}) as first_category
    from ranked
    where place = 1

)

select * from final

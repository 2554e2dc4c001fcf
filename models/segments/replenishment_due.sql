-- Customers who are about to run out of what they buy again and again; one product each, the one bought most.
with people as (

    select * from {{ ref('int_segments__people') }}

),

customer_products as (

    select * from {{ ref('int_products__customer_products') }}

),

products as (

    select * from {{ ref('products') }}
    where is_consumable and is_listed and coalesce(in_stock, true)

),

product_repurchase as (

    select * from {{ ref('product_repurchase') }}
    where typical_interval_days is not null

),

subscriptions as (

    select * from {{ ref('subscriptions') }}
    where is_live and customer_key is not null

),

due as (

    select
        customer_products.customer_key,
        customer_products.product_key,
        customer_products.purchase_days,
        customer_products.last_order_date,
        products.name as product_name,
        {{ add_days('customer_products.last_order_date', 'product_repurchase.typical_interval_days') }} as due_date
    from customer_products
    inner join products on customer_products.product_key = products.product_key
    inner join product_repurchase on customer_products.product_key = product_repurchase.product_key
    -- somebody who subscribes is supplied
    left join subscriptions on customer_products.customer_key = subscriptions.customer_key
    where subscriptions.customer_key is null

),

ranked as (

    select
        *,
        row_number() over (
            partition by customer_key order by purchase_days desc, due_date asc, product_key asc
        ) as place
    from due
    where
        due_date between {{ add_days(as_of_date(), '-' ~ var('segment_replenish_after_days')) }}
        and {{ add_days(as_of_date(), var('segment_replenish_before_days')) }}

),

members as (

    select
        ranked.customer_key,
        ranked.product_key,
        ranked.product_name,
        ranked.last_order_date as last_bought_date,
        ranked.due_date,
        coalesce(ranked.product_name, 'A consumable') || ', last bought on ' || ranked.last_order_date
        || case
            when ranked.due_date > {{ as_of_date() }} then ', is usually bought again by '
            else ', was usually to be bought again by '
        end || ranked.due_date || '.' as reason
    from ranked
    inner join people on ranked.customer_key = people.customer_key
    where ranked.place = 1

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(reason as {{ type_string() }}) as reason,
        cast(product_key as {{ type_string() }}) as product_key,
        cast(product_name as {{ type_string() }}) as product_name,
        cast(last_bought_date as date) as last_bought_date,
        cast(due_date as date) as due_date
    from members

)

select * from final

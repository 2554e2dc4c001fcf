-- Who should be offered a subscription to what: customers who keep buying a product that suits one, without one to it.
with order_items as (

    select * from {{ ref('order_items') }}
    where quantity > 0

),

orders as (

    select * from {{ ref('orders') }}
    where customer_key is not null

),

products as (

    select * from {{ ref('product_repurchase') }}
    where is_subscription_candidate

),

subscriptions as (

    select * from {{ ref('subscriptions') }}
    where is_live and customer_key is not null

),

plans as (

    select * from {{ ref('int_canonical__plans') }}
    where row_status = 'current' and product_id is not null

),

customers as (

    select * from {{ ref('int_identity__customers') }}
    where not is_tombstone

),

-- days on which the product was bought one by one, not as a subscription's delivery
purchase_days as (

    select
        orders.customer_key,
        order_items.product_key,
        orders.order_date,
        sum(order_items.quantity) as quantity
    from order_items
    inner join orders on order_items.order_key = orders.order_key
    inner join products on order_items.product_key = products.product_key
    -- whose account was deleted is offered nothing
    inner join customers on orders.customer_key = customers.customer_key
    where orders.subscription_key is null
    group by orders.customer_key, order_items.product_key, orders.order_date

),

habits as (

    select
        customer_key,
        product_key,
        count(*) as purchase_days,
        sum(quantity) as quantity,
        min(order_date) as first_purchase_date,
        max(order_date) as last_purchase_date
    from purchase_days
    group by customer_key, product_key
    having count(*) > 1

),

-- what a live subscription is to: its plan's product, and what it delivers, since not every shop has plans
subscribed as (

    select
        subscriptions.customer_key,
        plans.system || ':' || plans.product_id as product_key
    from subscriptions
    inner join plans
        on subscriptions.system = plans.system and subscriptions.plan = plans.plan_id
    union distinct
    select
        subscriptions.customer_key,
        order_items.product_key
    from subscriptions
    inner join orders on subscriptions.subscription_key = orders.subscription_key
    inner join order_items on orders.order_key = order_items.order_key
    where order_items.product_key is not null

),

offered as (

    select
        habits.*,
        products.name as product_name,
        products.typical_interval_days,
        products.subscription_score,
        -- the customer's own rhythm in whole days
        {{ integer_divide(
            days_between('habits.first_purchase_date', 'habits.last_purchase_date'), 'habits.purchase_days - 1'
        ) }} as own_interval_days
    from habits
    inner join products on habits.product_key = products.product_key
    left join subscribed
        on habits.customer_key = subscribed.customer_key and habits.product_key = subscribed.product_key
    where subscribed.customer_key is null

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(product_key as {{ type_string() }}) as product_key,
        cast(product_name as {{ type_string() }}) as product_name,
        cast(purchase_days as bigint) as purchase_days,
        cast(quantity as bigint) as quantity,
        cast(last_purchase_date as date) as last_purchase_date,
        cast(own_interval_days as integer) as own_interval_days,
        cast(typical_interval_days as integer) as typical_interval_days,
        cast({{ add_days('last_purchase_date', 'own_interval_days') }} as date) as expected_next_date,
        cast(subscription_score as {{ type_double() }}) as subscription_score,
        cast(row_number() over (
            partition by customer_key order by purchase_days desc, subscription_score desc nulls last, product_key asc
        ) as integer) as offer_rank
    from offered

)

select * from final

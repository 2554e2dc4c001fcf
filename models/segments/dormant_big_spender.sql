-- RFM crossed, recency with money: consumers of the best fifth by money who bought longer ago than three fifths did.
with people as (

    select * from {{ ref('int_segments__people') }}

),

customers as (

    select * from {{ ref('customers') }}

),

members as (

    select
        customers.customer_key,
        customers.last_order_date,
        customers.orders,
        customers.net_revenue,
        customers.first_category,
        'Among the best fifth by net revenue, but the last order was on ' || customers.last_order_date
        || ': at least three customers in five bought more recently.' as reason
    from customers
    inner join people on customers.customer_key = people.customer_key
    where
        customers.m_score = 5
        and customers.r_score <= 2
        -- a live subscription is no silence
        and not customers.has_active_subscription
        and not customers.is_paused
        and people.account_type != 'b2b'

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(reason as {{ type_string() }}) as reason,
        cast(last_order_date as date) as last_order_date,
        cast(orders as bigint) as orders,
        cast(net_revenue as {{ type_money() }}) as net_revenue,
        cast(first_category as {{ type_string() }}) as first_category
    from members

)

select * from final

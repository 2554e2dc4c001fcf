-- A customer's orders are numbered 1, 2, 3 …; orders of nobody have no number.
with orders as (

    select * from {{ ref('orders') }}

),

final as (

    select
        customer_key,
        count(*) as orders,
        max(order_number) as last_number,
        count(distinct order_number) as numbers
    from orders
    where customer_key is not null
    group by customer_key
    having count(*) != max(order_number) or count(*) != count(distinct order_number)
    union all
    select
        customer_key,
        count(*) as orders,
        max(order_number) as last_number,
        count(distinct order_number) as numbers
    from orders
    where customer_key is null
    group by customer_key
    having count(order_number) > 0

)

select * from final

-- One order day so far, long enough ago to have used the goods, and still within the rhythm of a new customer.
with people as (

    select * from {{ ref('int_segments__people') }}

),

customers as (

    select * from {{ ref('customers') }}

),

members as (

    select
        customers.customer_key,
        customers.first_order_date,
        customers.first_category,
        customers.net_revenue,
        'New: the only order was on ' || customers.first_order_date
        || ', at least {{ var('segment_second_order_after_days') }} days ago.' as reason
    from customers
    inner join people on customers.customer_key = people.customer_key
    where
        customers.lifecycle_state = 'new'
        and customers.order_days = 1
        and customers.first_order_date
        <= {{ add_days(as_of_date(), '-' ~ var('segment_second_order_after_days')) }}

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(reason as {{ type_string() }}) as reason,
        cast(first_order_date as date) as first_order_date,
        cast(first_category as {{ type_string() }}) as first_category,
        cast(net_revenue as {{ type_money() }}) as net_revenue
    from members

)

select * from final

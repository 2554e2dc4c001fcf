-- Lapsed, but not so long ago that they have forgotten the shop.
with people as (

    select * from {{ ref('int_segments__people') }}

),

customers as (

    select * from {{ ref('customers') }}

),

members as (

    select
        customers.customer_key,
        customers.lifecycle_since as lapsed_since,
        customers.last_order_date,
        customers.first_category,
        customers.orders,
        customers.net_revenue,
        case
            when customers.last_order_date is not null
                then
                    'Lapsed since ' || customers.lifecycle_since || ': the last order was on '
                    || customers.last_order_date || '.'
            else 'Lapsed since ' || customers.lifecycle_since || ': a subscription ended and no order followed.'
        end as reason
    from customers
    inner join people on customers.customer_key = people.customer_key
    where
        customers.is_churned
        and customers.lifecycle_since
        > {{ add_days(as_of_date(), '-' ~ var('segment_win_back_within_days')) }}

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(reason as {{ type_string() }}) as reason,
        cast(lapsed_since as date) as lapsed_since,
        cast(last_order_date as date) as last_order_date,
        cast(first_category as {{ type_string() }}) as first_category,
        cast(orders as bigint) as orders,
        cast(net_revenue as {{ type_money() }}) as net_revenue
    from members

)

select * from final

-- Consumers among the best fifth by money and the best two fifths by orders, as long as they are not lost.
with people as (

    select * from {{ ref('int_segments__people') }}

),

customers as (

    select * from {{ ref('customers') }}

),

members as (

    select
        customers.customer_key,
        customers.orders,
        customers.net_revenue,
        customers.last_order_date,
        customers.first_category,
        customers.predicted_value_365d,
        'Among the best fifth by net revenue and the best '
        || case when customers.f_score = 5 then 'fifth' else 'two fifths' end
        || ' by number of orders: ' || customers.orders || ' orders.' as reason
    from customers
    inner join people on customers.customer_key = people.customer_key
    where
        customers.m_score = 5
        and customers.f_score >= 4
        and not customers.is_churned
        -- companies have a segment of their own: b2b_key_accounts
        and people.account_type != 'b2b'

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(reason as {{ type_string() }}) as reason,
        cast(orders as bigint) as orders,
        cast(net_revenue as {{ type_money() }}) as net_revenue,
        cast(last_order_date as date) as last_order_date,
        cast(first_category as {{ type_string() }}) as first_category,
        cast(predicted_value_365d as {{ type_money() }}) as predicted_value_365d
    from members

)

select * from final

-- Customers who are about to be lost: silent for longer than usual, or paused for too long.
with people as (

    select * from {{ ref('int_segments__people') }}

),

customers as (

    select * from {{ ref('customers') }}

),

members as (

    select
        customers.customer_key,
        customers.at_risk_since,
        customers.last_order_date,
        customers.first_category,
        customers.orders,
        customers.net_revenue,
        customers.predicted_value_365d,
        case when customers.lifecycle_state = 'at_risk' then 'silent' else 'paused' end as risk,
        case
            when customers.lifecycle_state = 'at_risk' and customers.last_order_date is not null
                then
                    'At risk since ' || customers.at_risk_since || ': the last order was on '
                    || customers.last_order_date || ', longer ago than usual.'
            when customers.lifecycle_state = 'at_risk'
                then 'At risk since ' || customers.at_risk_since || ': a subscription ended and no order followed.'
            else
                'At risk since ' || customers.at_risk_since || ': the subscription is paused since '
                || customers.paused_since || ', longer than {{ var('pause_at_risk_after_days') }} days.'
        end as reason
    from customers
    inner join people on customers.customer_key = people.customer_key
    where customers.is_at_risk

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(reason as {{ type_string() }}) as reason,
        cast(risk as {{ type_string() }}) as risk,
        cast(at_risk_since as date) as at_risk_since,
        cast(last_order_date as date) as last_order_date,
        cast(first_category as {{ type_string() }}) as first_category,
        cast(orders as bigint) as orders,
        cast(net_revenue as {{ type_money() }}) as net_revenue,
        cast(predicted_value_365d as {{ type_money() }}) as predicted_value_365d
    from members

)

select * from final

-- Registered, never ordered, and silent for longer than a new registration may be.
with people as (

    select * from {{ ref('int_segments__people') }}

),

customers as (

    select * from {{ ref('customers') }}

),

members as (

    select
        customers.customer_key,
        customers.acquisition_channel,
        customers.lifecycle_since as at_risk_since,
        {{ business_date('customers.first_seen_at') }} as registered_on,
        'At risk since ' || customers.lifecycle_since
        || ': registered, no order yet, and nothing heard for more than '
        || '{{ var('registered_at_risk_after_days') }} days.' as reason
    from customers
    inner join people on customers.customer_key = people.customer_key
    where customers.is_registered_at_risk

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(reason as {{ type_string() }}) as reason,
        cast(at_risk_since as date) as at_risk_since,
        cast(registered_on as date) as registered_on,
        cast(acquisition_channel as {{ type_string() }}) as acquisition_channel
    from members

)

select * from final

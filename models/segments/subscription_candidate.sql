-- Customers who keep buying, one by one, what suits a subscription, and have no live subscription.
with people as (

    select * from {{ ref('int_segments__people') }}

),

customers as (

    select * from {{ ref('customers') }}

),

subscription_candidates as (

    select * from {{ ref('subscription_candidates') }}
    where offer_rank = 1

),

members as (

    select
        subscription_candidates.customer_key,
        subscription_candidates.product_key,
        subscription_candidates.product_name,
        subscription_candidates.purchase_days,
        subscription_candidates.own_interval_days,
        subscription_candidates.expected_next_date,
        'Bought ' || coalesce(subscription_candidates.product_name, 'the same product') || ' on '
        || subscription_candidates.purchase_days || ' days, about every '
        || subscription_candidates.own_interval_days || ' days, without a subscription.' as reason
    from subscription_candidates
    inner join people on subscription_candidates.customer_key = people.customer_key
    inner join customers on subscription_candidates.customer_key = customers.customer_key
    where
        not customers.has_active_subscription
        and not customers.is_paused
        and not customers.is_churned

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(reason as {{ type_string() }}) as reason,
        cast(product_key as {{ type_string() }}) as product_key,
        cast(product_name as {{ type_string() }}) as product_name,
        cast(purchase_days as bigint) as purchase_days,
        cast(own_interval_days as integer) as own_interval_days,
        cast(expected_next_date as date) as expected_next_date
    from members

)

select * from final

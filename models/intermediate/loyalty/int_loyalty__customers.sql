-- What the wide view of customers says of their loyalty account.
with customer_loyalty as (

    select * from {{ ref('customer_loyalty') }}

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(tier as {{ type_string() }}) as loyalty_tier,
        cast(tier_since as date) as loyalty_tier_since,
        cast(balance as bigint) as loyalty_points,
        cast(expiring_30d as bigint) as loyalty_points_expiring_30d,
        cast(next_tier as {{ type_string() }}) as loyalty_next_tier,
        cast(points_to_next_tier as bigint) as points_to_next_tier,
        cast(spend_to_next_tier as {{ type_money() }}) as spend_to_next_tier
    from customer_loyalty

)

select * from final

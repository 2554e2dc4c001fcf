-- Members of the loyalty programme to whom little is missing for the next tier, in points or in spend.
with people as (

    select * from {{ ref('int_segments__people') }}

),

customer_loyalty as (

    select * from {{ ref('customer_loyalty') }}
    where next_tier is not null

),

members as (

    select
        customer_loyalty.customer_key,
        customer_loyalty.tier,
        customer_loyalty.next_tier,
        customer_loyalty.points_to_next_tier,
        customer_loyalty.spend_to_next_tier,
        customer_loyalty.balance,
        case
            when customer_loyalty.points_to_next_tier is not null
                then customer_loyalty.points_to_next_tier || ' points are missing for the tier '
            else customer_loyalty.spend_to_next_tier || ' {{ var('reporting_currency') }} are missing for the tier '
        end || customer_loyalty.next_tier || '.' as reason
    from customer_loyalty
    inner join people on customer_loyalty.customer_key = people.customer_key
    where customer_loyalty.next_tier_progress >= 1 - {{ var('segment_next_tier_share') }}

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(reason as {{ type_string() }}) as reason,
        cast(tier as {{ type_string() }}) as tier,
        cast(next_tier as {{ type_string() }}) as next_tier,
        cast(points_to_next_tier as bigint) as points_to_next_tier,
        cast(spend_to_next_tier as {{ type_money() }}) as spend_to_next_tier,
        cast(balance as bigint) as balance
    from members

)

select * from final

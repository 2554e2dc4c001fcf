with tier_stays as (

    select * from {{ source('loyalty', 'tier_stays') }}

),

members as (

    select * from {{ source('loyalty', 'members') }}

),

final as (

    select
        cast(tier_stays.customer_key as {{ type_string() }}) as customer_key,
        cast(tier_stays.stay_number as bigint) as stay_number,
        cast(members.audience as {{ type_string() }}) as audience,
        cast(tier_stays.tier as {{ type_string() }}) as tier,
        cast(tier_stays.tier_rank as integer) as tier_rank,
        cast(lag(tier_stays.tier) over (
            partition by tier_stays.customer_key order by tier_stays.stay_number asc
        ) as {{ type_string() }}) as previous_tier,
        cast(tier_stays.valid_from as date) as valid_from,
        cast(tier_stays.valid_to as date) as valid_to,
        cast(tier_stays.cause as {{ type_string() }}) as cause,
        cast(tier_stays.review_on as date) as review_on,
        cast(tier_stays.grace_until as date) as grace_until
    from tier_stays
    inner join members on tier_stays.customer_key = members.customer_key

)

select * from final

{#- What each event meant, added up by member: kinds apart, since a sum of all is only the balance. -#}
with ledger as (

    select * from {{ ref('loyalty_ledger') }}

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(sum(points) as bigint) as balance,
        cast(sum(case when event_type = 'earn' then points else 0 end) as bigint) as points_earned,
        cast(sum(case when event_type = 'redeem' then -points else 0 end) as bigint) as points_redeemed,
        cast(sum(case when event_type = 'expire' then -points else 0 end) as bigint) as points_expired,
        cast(sum(case when event_type = 'adjust' then points else 0 end) as bigint) as points_adjusted,
        cast(sum(case when event_type = 'reverse' then points else 0 end) as bigint) as points_reversed,
        cast(max(case when event_type = 'earn' then entered_date end) as date) as last_earned_date,
        cast(max(case when event_type = 'redeem' then entered_date end) as date) as last_redeemed_date
    from ledger
    group by customer_key

)

select * from final

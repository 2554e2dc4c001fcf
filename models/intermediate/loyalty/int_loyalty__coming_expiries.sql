{#- What will end by itself after as-of if nobody redeems it. -#}
with entries as (

    select
        *,
        {{ business_date('entered_at') }} as expires_date
    from {{ source('loyalty', 'entries') }}
    where event_key is null

),

days as (

    select
        customer_key,
        expires_date,
        sum(-points) as points
    from entries
    where expires_date > {{ as_of_date() }}
    group by customer_key, expires_date

),

ranked as (

    select
        *,
        row_number() over (partition by customer_key order by expires_date asc) as place
    from days

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(max(case when place = 1 then expires_date end) as date) as next_expiry_date,
        cast(max(case when place = 1 then points end) as bigint) as next_expiry_points,
        cast(sum(
            case when expires_date <= {{ add_days(as_of_date(), 30) }} then points else 0 end
        ) as bigint) as expiring_30d,
        cast(sum(points) as bigint) as expiring_ever
    from ranked
    group by customer_key

)

select * from final

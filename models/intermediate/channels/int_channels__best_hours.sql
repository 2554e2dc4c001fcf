with events as (

    select * from {{ ref('int_channels__events') }}
    where is_engagement

),

hours as (

    select
        customer_key,
        channel,
        {{ business_hour('occurred_at') }} as hour,
        count(*) as events
    from events
    group by customer_key, channel, {{ business_hour('occurred_at') }}

),

ranked as (

    select
        *,
        sum(events) over (partition by customer_key, channel) as all_events,
        row_number() over (partition by customer_key, channel order by events desc, hour asc) as place
    from hours

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(channel as {{ type_string() }}) as channel,
        cast(hour as integer) as best_hour,
        cast(events as bigint) as best_hour_events
    from ranked
    where
        place = 1
        -- one click is no habit
        and all_events >= {{ var('best_hour_min_events') }}

)

select * from final

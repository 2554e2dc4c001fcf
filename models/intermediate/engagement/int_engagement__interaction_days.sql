with interactions as (

    select * from {{ ref('int_canonical__interactions') }} where row_status = 'current' and not is_after_as_of

),

counted as (

    select
        system,
        customer_id,
        email,
        event_date
    from interactions
    where
        lower("type") in ('visited', 'session', 'push_opened')
        or (lower("type") in ('opened', 'clicked') and not coalesce(is_bot, false))

),

{{ customer_key_of('counted', into='resolved') }},

final as (

    select distinct
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(event_date as date) as interaction_date
    from resolved
    where customer_key is not null

)

select * from final

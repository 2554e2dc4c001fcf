with entries as (

    select * from {{ source('loyalty', 'entries') }}

),

events as (

    select * from {{ ref('int_loyalty__events') }}

),

entered as (

    select
        *,
        {{ business_date('entered_at') }} as entered_date
    from entries

),

final as (

    select
        cast(entered.customer_key as {{ type_string() }}) as customer_key,
        cast(entered.entry_number as bigint) as entry_number,
        cast(entered.entered_at as timestamp) as entered_at,
        cast(entered.entered_date as date) as entered_date,
        cast(entered.event_type as {{ type_string() }}) as event_type,
        cast(entered.event_key as {{ type_string() }}) as event_key,
        cast(events.order_key as {{ type_string() }}) as order_key,
        cast(entered.lot_key as {{ type_string() }}) as lot_key,
        cast(lots.occurred_date as date) as lot_opened_date,
        cast(lots.expires_at as timestamp) as expires_at,
        cast(entered.points as bigint) as points,
        cast(entered.lot_balance as bigint) as lot_balance,
        cast(entered.balance as bigint) as balance
    from entered
    inner join events as lots on entered.lot_key = lots.event_key
    left join events on entered.event_key = events.event_key
    -- the step knows of every lot when it will end; what ends after as-of hasn't
    where entered.entered_date <= {{ as_of_date() }}

)

select * from final

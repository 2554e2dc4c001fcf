-- An address is dead after a bounce until something reaches it again. Where the event names no address (a push token,
-- an account's mail), the bounce is that of all the customer's addresses on the channel: address_key is ''.
with events as (

    select * from {{ ref('int_channels__events') }}

),

bounced_customers as (

    select distinct
        customer_key,
        channel
    from events
    where event_type = 'bounced'

),

arrivals as (

    select
        events.customer_key,
        events.channel,
        coalesce(events.address_key, '') as address_key,
        max(case when events.event_type = 'bounced' then events.occurred_at end) as bounced_at,
        max(
            case when events.event_type = 'delivered' or events.is_engagement then events.occurred_at end
        ) as reached_at
    from events
    inner join bounced_customers
        on
            events.customer_key = bounced_customers.customer_key
            and events.channel = bounced_customers.channel
    group by events.customer_key, events.channel, coalesce(events.address_key, '')

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(channel as {{ type_string() }}) as channel,
        cast(address_key as {{ type_string() }}) as address_key,
        cast(bounced_at as timestamp) as bounced_at
    from arrivals
    where
        bounced_at is not null
        -- of the same instant, the bounce is what came after
        and (reached_at is null or reached_at <= bounced_at)

)

select * from final

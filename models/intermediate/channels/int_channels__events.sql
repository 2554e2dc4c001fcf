{#- Every interaction of a known customer. Events of one message have no id in common: they are told apart by the
    campaign and by the sends before them. A machine is who says so (is_bot), and who reacts within
    `machine_reaction_seconds` of the delivery: mail scanners and privacy proxies fetch everything at once. -#}
{%- set message_types = {
    'sent': 0, 'delivered': 1, 'bounced': 2, 'opened': 3, 'push_opened': 3, 'clicked': 4, 'unsubscribed': 5,
} -%}
-- sqlfluff:indentation:template_blocks_indent:false
with interactions as (

    select * from {{ ref('int_canonical__interactions') }}
    where row_status = 'current' and not is_after_as_of

),

addresses as (

    select
        raw_value,
        value
    from {{ source('identity', 'addresses') }}
    where kind = 'email' and value is not null

),

identified as (

    select
        interactions.system || ':' || interactions.event_id as event_key,
        {{ customer_key_of() }} as customer_key,
        lower(trim(interactions.channel)) as channel,
        lower(trim(interactions.{{ adapter.quote('type') }})) as event_type,
        coalesce(interactions.system || ':' || interactions.campaign_id, '') as campaign_key,
        interactions.occurred_at,
        interactions.event_date,
        coalesce(interactions.is_bot, false) as is_bot,
        case
            when addresses.value is not null and lower(trim(interactions.channel)) = 'email'
                then {{ hash_key(["'email'", 'addresses.value']) }}
        end as address_key
    from interactions
    {{ join_customers('interactions') }}
    left join addresses on interactions.email = addresses.raw_value
    where {{ customer_key_of() }} is not null

),

-- of one instant: sent before delivered before opened before clicked
message_events as (

    select
        *,
        case event_type
            {%- for type, place in message_types.items() %}
            when '{{ type }}' then {{ place }}
            {%- endfor %}
        end as type_place
    from identified
    where event_type in ({{ text_list(message_types) }})

),

followed as (

    select
        *,
        sum(case when event_type = 'sent' then 1 else 0 end) over (
            partition by customer_key, channel, campaign_key
        ) as sends,
        sum(case when event_type = 'sent' then 1 else 0 end) over (
            partition by customer_key, channel, campaign_key
            order by occurred_at asc, type_place asc, event_key asc
            rows between unbounded preceding and current row
        ) as sends_so_far,
        sum(case when event_type = 'delivered' then 1 else 0 end) over (
            partition by customer_key, channel, campaign_key
            order by occurred_at asc, type_place asc, event_key asc
            rows between unbounded preceding and current row
        ) as deliveries_so_far,
        max(case when event_type in ('sent', 'delivered') then occurred_at end) over (
            partition by customer_key, channel, campaign_key
            order by occurred_at asc, type_place asc, event_key asc
            rows between unbounded preceding and current row
        ) as last_delivered_at
    from message_events

),

every_event as (

    select
        event_key,
        customer_key,
        channel,
        event_type,
        campaign_key,
        occurred_at,
        event_date,
        address_key,
        -- a tool that logs no sends logs deliveries
        case when sends > 0 then sends_so_far else deliveries_so_far end as message_number,
        is_bot or (
            event_type in ('opened', 'clicked')
            and coalesce(
                {{ seconds_between('last_delivered_at', 'occurred_at') }} <= {{ var('machine_reaction_seconds') }},
                false
            )
        ) as is_machine
    from followed
    union all
    select
        event_key,
        customer_key,
        channel,
        event_type,
        campaign_key,
        occurred_at,
        event_date,
        address_key,
        null as message_number,
        is_bot as is_machine
    from identified
    where event_type not in ({{ text_list(message_types) }})

),

final as (

    select
        cast(event_key as {{ type_string() }}) as event_key,
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(channel as {{ type_string() }}) as channel,
        cast(event_type as {{ type_string() }}) as event_type,
        cast(campaign_key as {{ type_string() }}) as campaign_key,
        cast(message_number as bigint) as message_number,
        cast(occurred_at as timestamp) as occurred_at,
        cast(event_date as date) as event_date,
        cast(address_key as {{ type_string() }}) as address_key,
        cast(is_machine as boolean) as is_machine,
        -- what a person did: it says by which channel, and when, somebody can be reached
        cast(
            not is_machine
            and event_type in ('opened', 'clicked', 'push_opened', 'visited', 'session') as boolean
        ) as is_engagement
    from every_event

)

select * from final

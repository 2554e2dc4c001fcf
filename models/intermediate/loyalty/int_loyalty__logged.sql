{#- Every current event and whose it is. A member may be no account of the shop: then the loyalty system's own number,
    which identity knows as a node, finds the customer. Events of nobody are no member's, and are listed. -#}
with events as (

    select * from {{ ref('int_canonical__loyalty_events') }}
    where row_status = 'current' and not is_after_as_of

),

member_nodes as (

    select
        system,
        source_id,
        min(customer_key) as customer_key
    from {{ source('identity', 'nodes') }}
    where entity = 'member'
    group by system, source_id

),

final as (

    select
        cast(events.system || ':' || events.event_id as {{ type_string() }}) as event_key,
        cast(coalesce({{ customer_key_of() }}, member_nodes.customer_key) as {{ type_string() }}) as customer_key,
        cast(events.system as {{ type_string() }}) as system,
        cast(lower(trim(events.{{ adapter.quote('type') }})) as {{ type_string() }}) as event_type,
        cast(events.points as bigint) as points,
        cast(events.occurred_at as timestamp) as occurred_at,
        cast(events.event_date as date) as occurred_date,
        {{ add_months('events.event_date', 12) }} as counts_until,
        cast(events.expires_at as timestamp) as expires_at,
        cast(events.system || ':' || events.order_id as {{ type_string() }}) as order_key
    from events
    {{ join_customers('events') }}
    left join member_nodes
        on events.system = member_nodes.system and events.customer_id = member_nodes.source_id

)

select * from final

{#- A corrected row may leave a node behind that nothing names any more: the guest of a mistyped e-mail, say. Its key
    was issued, so it must go on resolving: here is what the row said before, and what it says now. -#}
with

order_corrections as (

    {{ corrections('orders', 'order_id', 'ordered_at', 'guest', 'phone') }}

),

member_corrections as (

    {{ corrections('loyalty_events', 'event_id', 'occurred_at', 'member') }}

),

subscriber_corrections as (

    {{ corrections('subscriptions', 'subscription_id', 'started_at', 'subscriber') }}

),

corrections as (

    select * from order_corrections
    union all
    select * from member_corrections
    union all
    select * from subscriber_corrections

),

final as (

    select
        cast(system as {{ type_string() }}) as system,
        cast(entity as {{ type_string() }}) as entity,
        cast(source_id as {{ type_string() }}) as source_id,
        cast(email as {{ type_string() }}) as email,
        cast(phone as {{ type_string() }}) as phone,
        cast(new_entity as {{ type_string() }}) as new_entity,
        cast(new_source_id as {{ type_string() }}) as new_source_id,
        cast(new_email as {{ type_string() }}) as new_email,
        cast(new_phone as {{ type_string() }}) as new_phone,
        cast(min(seen_at) as timestamp) as first_seen_at
    from corrections
    where
        entity != new_entity
        or coalesce(source_id, '') != coalesce(new_source_id, '')
        or coalesce(email, '') != coalesce(new_email, '')
        or coalesce(phone, '') != coalesce(new_phone, '')
    group by system, entity, source_id, email, phone, new_entity, new_source_id, new_email, new_phone

)

select * from final

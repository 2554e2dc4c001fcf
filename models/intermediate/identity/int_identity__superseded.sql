{#- A corrected row may leave a node behind that nothing names any more: the guest of a mistyped e-mail, say. Its key
    was issued, so it must go on resolving: here is what the row said before, and what it says now. -#}
{%- set sources = [
    ('orders', 'order_id', 'guest', 'phone'),
    ('loyalty_events', 'event_id', 'member', 'cast(null as ' ~ type_string() ~ ')'),
    ('subscriptions', 'subscription_id', 'subscriber', 'cast(null as ' ~ type_string() ~ ')'),
] -%}
with
{%- for entity, key, kind, phone in sources %}

{{ entity }} as (

    select
        system,
        {{ key }} as row_id,
        {%- if kind == 'guest' %}
        case when customer_id is null then 'guest' else 'account' end as entity,
        {%- else %}
        '{{ kind }}' as entity,
        {%- endif %}
        customer_id as source_id,
        email,
        {{ phone }} as phone,
        {{ 'ordered_at' if kind == 'guest' else 'occurred_at' if kind == 'member' else 'started_at' }} as seen_at,
        row_status
    from {{ ref('int_canonical__' ~ entity) }}
    where
        row_status in ('current', 'deleted', 'erased', 'superseded')
        and not is_after_as_of
        and (row_status != 'superseded' or updated_at is null or {{ business_date('updated_at') }} <= {{ as_of_date() }})

),
{%- endfor %}

versions as (
    {% for entity, key, kind, phone in sources %}
    select
        '{{ entity }}' as source_entity,
        {{ entity }}.*
    from {{ entity }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}

),

earlier as (

    select * from versions where row_status = 'superseded'

),

standing as (

    select * from versions where row_status != 'superseded'

),

final as (

    select
        cast(earlier.system as {{ type_string() }}) as system,
        cast(earlier.entity as {{ type_string() }}) as entity,
        cast(earlier.source_id as {{ type_string() }}) as source_id,
        cast(earlier.email as {{ type_string() }}) as email,
        cast(earlier.phone as {{ type_string() }}) as phone,
        cast(standing.entity as {{ type_string() }}) as new_entity,
        cast(standing.source_id as {{ type_string() }}) as new_source_id,
        cast(standing.email as {{ type_string() }}) as new_email,
        cast(standing.phone as {{ type_string() }}) as new_phone,
        cast(min(earlier.seen_at) as timestamp) as first_seen_at
    from earlier
    inner join standing
        on
            earlier.system = standing.system
            and earlier.source_entity = standing.source_entity
            and earlier.row_id = standing.row_id
    where
        earlier.entity != standing.entity
        or coalesce(earlier.source_id, '') != coalesce(standing.source_id, '')
        or coalesce(earlier.email, '') != coalesce(standing.email, '')
        or coalesce(earlier.phone, '') != coalesce(standing.phone, '')
    group by
        earlier.system, earlier.entity, earlier.source_id, earlier.email, earlier.phone,
        standing.entity, standing.source_id, standing.email, standing.phone

)

select * from final

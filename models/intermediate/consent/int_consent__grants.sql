{#- The consent rule of METRICS.md, as of (sending reads the log anew). A grant holds for the address it names, or for
    those that the account it names had at that instant; on channels without an address of ours (push, social, post) for
    the customer. A withdrawal stops every address of the customer, and the address it names whosesoever it is. The
    latest rules, at one instant the withdrawal. -#}
{%- set address_kinds = {'email': 'email', 'sms': 'phone'} -%}
-- sqlfluff:indentation:template_blocks_indent:false
with events as (

    select * from {{ ref('int_consent__events') }}

),

account_addresses as (

    select * from {{ ref('int_consent__account_addresses') }}

),

channel_events as (

    select * from {{ ref('int_channels__events') }}
    where event_type = 'unsubscribed'

),

node_addresses as (

    select distinct
        customer_key,
        {{ hash_key(['kind', 'value']) }} as address_key
    from {{ source('identity', 'node_addresses') }}
    where kind in ('email', 'phone')

),

grants as (

    select
        case channel when 'email' then email_key when 'sms' then phone_key else customer_key end as address_key,
        channel,
        purpose,
        occurred_at,
        expires_at
    from events
    where
        status = 'given'
        and (names_address or channel not in ({{ text_list(address_kinds) }}))
    union all
    select
        account_addresses.address_key,
        events.channel,
        events.purpose,
        events.occurred_at,
        events.expires_at
    from events
    inner join account_addresses
        on
            events.system = account_addresses.system
            and events.customer_id = account_addresses.customer_id
            and account_addresses.kind = case events.channel
                {%- for channel, kind in address_kinds.items() %}
                when '{{ channel }}' then '{{ kind }}'
                {%- endfor %}
            end
            and (account_addresses.valid_from is null or events.occurred_at >= account_addresses.valid_from)
            and (account_addresses.valid_to is null or events.occurred_at < account_addresses.valid_to)
    where
        events.status = 'given'
        and not events.names_address

),

-- of two grants of one instant the one that ends sooner
ranked_grants as (

    select
        *,
        row_number() over (
            partition by address_key, channel, purpose
            order by occurred_at desc, expires_at asc nulls last
        ) as place
    from grants
    where address_key is not null

),

stops as (

    select
        customer_key as stopped_key,
        channel,
        purpose,
        occurred_at
    from events
    where status = 'withdrawn' and customer_key is not null
    union all
    select
        email_key as stopped_key,
        channel,
        purpose,
        occurred_at
    from events
    where status = 'withdrawn' and email_key is not null
    union all
    select
        phone_key as stopped_key,
        channel,
        purpose,
        occurred_at
    from events
    where status = 'withdrawn' and phone_key is not null
    -- who unsubscribes from a mail has said so, whether or not the log heard of it
    {%- for purpose in var('marketing_purposes') %}
    union all
    select
        customer_key as stopped_key,
        channel,
        '{{ purpose }}' as purpose,
        occurred_at
    from channel_events
    {%- endfor %}

),

last_stops as (

    select
        stopped_key,
        channel,
        purpose,
        max(occurred_at) as stopped_at
    from stops
    group by stopped_key, channel, purpose

),

customer_addresses as (

    select
        customer_key,
        address_key
    from node_addresses
    union
    select
        customer_key,
        customer_key as address_key
    from events
    where customer_key is not null

),

standing as (

    select
        customer_addresses.customer_key,
        ranked_grants.channel,
        ranked_grants.purpose,
        ranked_grants.address_key,
        ranked_grants.occurred_at as granted_at,
        ranked_grants.expires_at,
        customer_stops.stopped_at as customer_stopped_at,
        address_stops.stopped_at as address_stopped_at
    from ranked_grants
    inner join customer_addresses on ranked_grants.address_key = customer_addresses.address_key
    left join last_stops as customer_stops
        on
            customer_addresses.customer_key = customer_stops.stopped_key
            and ranked_grants.channel = customer_stops.channel
            and ranked_grants.purpose = customer_stops.purpose
    left join last_stops as address_stops
        on
            ranked_grants.address_key = address_stops.stopped_key
            and ranked_grants.channel = address_stops.channel
            and ranked_grants.purpose = address_stops.purpose
    where ranked_grants.place = 1

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(channel as {{ type_string() }}) as channel,
        cast(purpose as {{ type_string() }}) as purpose,
        cast(address_key as {{ type_string() }}) as address_key,
        cast(granted_at as timestamp) as granted_at,
        cast(expires_at as timestamp) as expires_at,
        cast(greatest(
            coalesce(customer_stopped_at, address_stopped_at), coalesce(address_stopped_at, customer_stopped_at)
        ) as timestamp) as withdrawn_at,
        cast(
            (customer_stopped_at is null or customer_stopped_at < granted_at)
            and (address_stopped_at is null or address_stopped_at < granted_at)
            and (expires_at is null or expires_at >= {{ business_instant(add_days(as_of_date(), 1)) }}) as boolean
        ) as is_granted
    from standing

)

select * from final

{#- Per attribute the latest non-null value wins (updated_at, then created_at, then the smallest node key); what the
    sources deleted speaks only where nobody else does. acquisition_channel is the that of the oldest node that states one. -#}
with

nodes as (

    select * from {{ source('identity', 'nodes') }}

),

customers as (

    select *
    from {{ ref('int_canonical__customers') }}
    where row_status in ('current', 'deleted', 'erased') and not is_after_as_of

),

crm_contacts as (

    select *
    from {{ ref('int_canonical__crm_contacts') }}
    where row_status in ('current', 'deleted', 'erased') and not is_after_as_of

),

described as (

    select
        system,
        'account' as entity,
        customer_id as source_id,
        updated_at,
        created_at,
        country,
        company,
        cast(cast(extract(year from birth_date) as integer) as {{ type_string() }}) as birth_year,
        cast(null as {{ type_string() }}) as preferred_channel,
        acquisition_channel
    from customers
    union all
    select
        system,
        'contact' as entity,
        contact_id as source_id,
        updated_at,
        created_at,
        country,
        company,
        cast(null as {{ type_string() }}) as birth_year,
        preferred_channel,
        cast(null as {{ type_string() }}) as acquisition_channel
    from crm_contacts

),

described_nodes as (

    select
        described.*,
        nodes.customer_key,
        nodes.node_key,
        nodes.first_seen_at,
        nodes.is_tombstone
    from described
    inner join nodes
        on
            described.system = nodes.system
            and described.entity = nodes.entity
            and described.source_id = nodes.source_id

),

stated as (

    select
        customer_key,
        'country' as attribute,
        country as value,
        is_tombstone,
        updated_at,
        created_at,
        node_key
    from described_nodes
    where country is not null
    union all
    select
        customer_key,
        'company' as attribute,
        company as value,
        is_tombstone,
        updated_at,
        created_at,
        node_key
    from described_nodes
    where company is not null
    union all
    select
        customer_key,
        'birth_year' as attribute,
        birth_year as value,
        is_tombstone,
        updated_at,
        created_at,
        node_key
    from described_nodes
    where birth_year is not null
    union all
    select
        customer_key,
        'preferred_channel' as attribute,
        preferred_channel as value,
        is_tombstone,
        updated_at,
        created_at,
        node_key
    from described_nodes
    where preferred_channel is not null
    union all
    select
        customer_key,
        'account_type' as attribute,
        account_type as value,
        is_tombstone,
        last_updated_at as updated_at,
        first_seen_at as created_at,
        node_key
    from nodes
    where is_account_type_stated

),

ranked as (

    select
        customer_key,
        attribute,
        value,
        row_number() over (
            partition by customer_key, attribute
            order by
                case when is_tombstone then 1 else 0 end asc,
                updated_at desc nulls last,
                created_at desc nulls last,
                node_key asc
        ) as place
    from stated

),

latest as (

    select
        customer_key,
        max(case when attribute = 'country' then value end) as country,
        max(case when attribute = 'company' then value end) as company,
        max(case when attribute = 'birth_year' then value end) as birth_year,
        max(case when attribute = 'preferred_channel' then value end) as preferred_channel,
        max(case when attribute = 'account_type' then value end) as account_type
    from ranked
    where place = 1
    group by customer_key

),

ranked_channels as (

    select
        customer_key,
        acquisition_channel,
        row_number() over (
            partition by customer_key
            order by first_seen_at asc nulls last, system asc, entity asc, source_id asc
        ) as place
    from described_nodes
    where acquisition_channel is not null

),

channels as (

    select *
    from ranked_channels
    where place = 1

),

oldest_nodes as (

    select *
    from nodes
    where node_key = customer_key

),

node_counts as (

    select
        customer_key,
        count(*) as nodes,
        sum(case when is_tombstone then 0 else 1 end) as live_nodes,
        max(case when entity = 'account' and not is_tombstone then 1 else 0 end) as has_account
    from nodes
    group by customer_key

),

final as (

    select
        cast(oldest_nodes.customer_key as {{ type_string() }}) as customer_key,
        cast(coalesce(latest.account_type, oldest_nodes.account_type) as {{ type_string() }}) as account_type,
        cast(latest.country as {{ type_string() }}) as country,
        cast(latest.company as {{ type_string() }}) as company,
        cast(latest.birth_year as integer) as birth_year,
        cast(latest.preferred_channel as {{ type_string() }}) as preferred_channel,
        cast(channels.acquisition_channel as {{ type_string() }}) as acquisition_channel,
        cast(oldest_nodes.first_seen_at as timestamp) as first_seen_at,
        cast(oldest_nodes.system as {{ type_string() }}) as first_system,
        cast(oldest_nodes.entity as {{ type_string() }}) as first_entity,
        cast(node_counts.nodes as bigint) as nodes,
        node_counts.has_account = 1 as has_account,
        node_counts.live_nodes = 0 as is_tombstone
    from oldest_nodes
    inner join node_counts on oldest_nodes.customer_key = node_counts.customer_key
    left join latest on oldest_nodes.customer_key = latest.customer_key
    left join channels on oldest_nodes.customer_key = channels.customer_key

)

select * from final

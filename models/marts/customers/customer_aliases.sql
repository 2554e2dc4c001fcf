{#- Every key ever issued, and every id of a source, by the customer it is today. No address: an id that is or
    contains one stays away, its node key is there. -#}
with

nodes as (

    select * from {{ source('identity', 'nodes') }}

),

node_keys as (

    select
        customer_key,
        node_key as alias,
        'node_key' as alias_kind,
        system,
        entity,
        is_tombstone
    from nodes

),

source_ids as (

    select
        customer_key,
        source_id as alias,
        'source_id' as alias_kind,
        system,
        entity,
        is_tombstone
    from nodes
    where not is_personal_id

),

aliases as (

    select * from node_keys
    union all
    select * from source_ids

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(alias as {{ type_string() }}) as alias,
        cast(alias_kind as {{ type_string() }}) as alias_kind,
        cast(system as {{ type_string() }}) as system,
        cast(entity as {{ type_string() }}) as entity,
        cast(alias = customer_key as boolean) as is_current_key,
        cast(is_tombstone as boolean) as is_tombstone
    from aliases

)

select * from final

{{ config(materialized='view') }}

with

nodes as (

    select * from {{ source('identity', 'nodes') }}

),

final as (

    select
        cast(system as {{ type_string() }}) as system,
        cast(source_id as {{ type_string() }}) as customer_id,
        cast(node_key as {{ type_string() }}) as node_key,
        cast(customer_key as {{ type_string() }}) as customer_key
    from nodes
    where entity = 'account'

)

select * from final

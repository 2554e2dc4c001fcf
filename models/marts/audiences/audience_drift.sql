-- What destinations showed, held against what they had acknowledged.
with runs as (

    select * from {{ source('audience_history', 'runs') }}

),

drift as (

    select * from {{ source('audience_history', 'drift') }}

),

shown as (

    select
        drift.run_id,
        drift.audience,
        runs.segment,
        runs.as_of,
        drift.kind,
        drift.members,
        drift.read_at,
        drift.fields
    from drift
    inner join runs on drift.run_id = runs.run_id

),

final as (

    select
        cast(run_id as {{ type_string() }}) as run_id,
        cast(audience as {{ type_string() }}) as audience,
        cast(segment as {{ type_string() }}) as segment,
        cast(as_of as date) as sent_as_of,
        cast(kind as {{ type_string() }}) as kind,
        cast(members as bigint) as members,
        cast(read_at as timestamp) as read_at,
        cast(fields as {{ type_string() }}) as fields,
        {{ as_of_date() }} as as_of_date
    from shown

)

select * from final

-- What each send of an audience came to, up to the day before.
with runs as (

    select * from {{ source('audience_history', 'runs') }}

),

final as (

    select
        cast(run_id as {{ type_string() }}) as run_id,
        cast(audience as {{ type_string() }}) as audience,
        cast(segment as {{ type_string() }}) as segment,
        cast(status as {{ type_string() }}) as status,
        cast(as_of as date) as sent_as_of,
        cast(build_run_id as {{ type_string() }}) as build_run_id,
        cast(definition_hash as {{ type_string() }}) as definition_hash,
        cast(coalesce(approved, false) as boolean) as is_approved,
        cast(coalesce(only_forced, false) as boolean) as is_only_forced,
        cast(started_at as timestamp) as started_at,
        cast(finished_at as timestamp) as finished_at,
        cast(acknowledged_at as timestamp) as acknowledged_at,
        cast(reason as {{ type_string() }}) as reason,
        cast(members as bigint) as members,
        cast(wanted as bigint) as wanted,
        cast(members - wanted as bigint) as excluded,
        cast(baseline as bigint) as baseline,
        cast(to_erase as bigint) as to_erase,
        cast(to_remove as bigint) as to_remove,
        cast(to_update as bigint) as to_update,
        cast(to_add as bigint) as to_add,
        cast(coalesce(acknowledged, 0) as bigint) as acknowledged,
        cast(coalesce(refused, 0) as bigint) as refused,
        cast(coalesce(unknown, 0) as bigint) as unknown,
        cast(coalesce(not_sent, 0) as bigint) as not_sent,
        {{ ratio('wanted', 'members') }} as reach,
        {{ as_of_date() }} as as_of_date
    from runs

)

select * from final

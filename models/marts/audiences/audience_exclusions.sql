-- Who was left out of each send, by first reason, as a waterfall.
with runs as (

    select * from {{ source('audience_history', 'runs') }}

),

exclusions as (

    select * from {{ source('audience_history', 'exclusions') }}

),

placed as (

    select
        exclusions.run_id,
        exclusions.audience,
        runs.segment,
        runs.as_of,
        runs.members,
        exclusions.position,
        exclusions.reason,
        exclusions.detail,
        exclusions.customers,
        sum(exclusions.customers) over (
            partition by exclusions.run_id
            order by exclusions.position asc
            rows between unbounded preceding and current row
        ) as customers_so_far
    from exclusions
    inner join runs on exclusions.run_id = runs.run_id

),

final as (

    select
        cast(run_id as {{ type_string() }}) as run_id,
        cast(audience as {{ type_string() }}) as audience,
        cast(segment as {{ type_string() }}) as segment,
        cast(as_of as date) as sent_as_of,
        cast(position as integer) as position,
        cast(reason as {{ type_string() }}) as reason,
        cast(detail as {{ type_string() }}) as detail,
        cast(customers as bigint) as customers,
        cast(members as bigint) as members,
        cast(members - customers_so_far as bigint) as remaining,
        {{ ratio('customers', 'members') }} as share,
        {{ as_of_date() }} as as_of_date
    from placed

)

select * from final

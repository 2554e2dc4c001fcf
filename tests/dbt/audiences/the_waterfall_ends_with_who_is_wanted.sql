-- The customers of the segment, less everyone left out, are those who are wanted.
{{ config(meta={'dagster': {'ref': {'name': 'audience_runs'}}}) }}
with exclusions as (

    select
        run_id,
        sum(customers) as customers
    from {{ ref('audience_exclusions') }}
    group by run_id

)

select
    runs.run_id,
    runs.members,
    exclusions.customers as excluded,
    runs.wanted
from {{ ref('audience_runs') }} as runs
left join exclusions on runs.run_id = exclusions.run_id
where runs.members - coalesce(exclusions.customers, 0) != runs.wanted

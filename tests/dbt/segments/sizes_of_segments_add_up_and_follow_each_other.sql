-- opening + entered − left − merged = size, a day begins with what the day before ended with, and the last day's sizes
-- are the members of now.
{{ config(meta={'dagster': {'ref': {'name': 'segment_sizes'}}}) }}
with days as (

    select
        *,
        lag(size) over (partition by segment order by {{ adapter.quote('date') }} asc) as size_before,
        max({{ adapter.quote('date') }}) over () as last_date
    from {{ ref('segment_sizes') }}

),

members as (

    select
        segment,
        count(*) as members,
        sum(case when in_grace then 1 else 0 end) as in_grace
    from {{ ref('segment_membership') }}
    group by segment

),

today as (

    select
        segment,
        size,
        in_grace
    from days
    where {{ adapter.quote('date') }} = last_date

)

select
    segment,
    'a day' as wrong
from days
where
    opening + entered - left_members - merged != size
    or opening != coalesce(size_before, 0)
    or in_grace > size
    or size - in_grace > eligible
    or size > people
union all
select
    coalesce(today.segment, members.segment) as segment,
    'today' as wrong
from today
full outer join members on today.segment = members.segment
where
    coalesce(today.size, 0) != coalesce(members.members, 0)
    or coalesce(today.in_grace, 0) != coalesce(members.in_grace, 0)

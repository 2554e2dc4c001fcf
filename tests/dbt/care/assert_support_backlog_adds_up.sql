-- A day's backlog is the next day's opening; priorities add up to all; nothing is decided twice.
with sla as (

    select * from {{ ref('support_sla') }}

),

followed as (

    select
        *,
        lag(backlog) over (partition by period_type, cut, cut_value order by period_start) as backlog_before
    from sla

),

by_cut as (

    select
        period_type,
        period_start,
        sum(case when cut = 'all' then backlog else -backlog end) as backlog_difference,
        sum(case when cut = 'all' then opened else -opened end) as opened_difference,
        sum(case when cut = 'all' then goodwill else -goodwill end) as goodwill_difference
    from sla
    group by period_type, period_start

)

select
    period_type,
    period_start,
    'backlog' as fault
from followed
where
    backlog_opening != coalesce(backlog_before, 0)
    or backlog != backlog_opening + opened - resolved
    or backlog < 0
    or first_response_decided + first_response_pending > opened
    or resolution_decided + resolution_pending > opened
union all
select
    period_type,
    period_start,
    'cut' as fault
from by_cut
where backlog_difference != 0 or opened_difference != 0 or goodwill_difference != 0

{#- Counted by the day a ticket was opened, but for `resolved` and the backlog, which are counted by the day itself. -#}
{%- set measures = [
    'opened', 'resolved', 'first_response_met', 'first_response_breached', 'first_response_pending',
    'resolution_met', 'resolution_breached', 'resolution_pending', 'answered', 'closed', 'reopened', 'could_reopen',
    'csat_n', 'csat_sum', 'csat_satisfied',
] -%}
{%- set cuts = {'all': "'all'", 'priority': 'priority'} -%}
{%- set periods = {'day': '{0}', 'month': month_start('{0}')} -%}
-- sqlfluff:indentation:template_blocks_indent:false
with tickets as (

    select * from {{ ref('support_tickets') }}

),

flows as (

    select
        opened_date as flow_date,
        priority,
        1 as opened,
        0 as resolved,
        case when not is_first_response_breached then 1 else 0 end as first_response_met,
        case when is_first_response_breached then 1 else 0 end as first_response_breached,
        case
            when first_response_target_minutes is not null and is_first_response_breached is null then 1 else 0
        end as first_response_pending,
        case when not is_resolution_breached then 1 else 0 end as resolution_met,
        case when is_resolution_breached then 1 else 0 end as resolution_breached,
        case
            when resolution_target_minutes is not null and is_resolution_breached is null then 1 else 0
        end as resolution_pending,
        case when first_response_at is not null then 1 else 0 end as answered,
        case when not is_open then 1 else 0 end as closed,
        case when is_reopened then 1 else 0 end as reopened,
        -- what was reopened has been closed, even if it is open now
        case when is_reopened or not is_open then 1 else 0 end as could_reopen,
        case when csat is not null then 1 else 0 end as csat_n,
        coalesce(csat, 0) as csat_sum,
        case when csat >= {{ var('csat_satisfied_from') }} then 1 else 0 end as csat_satisfied,
        goodwill,
        case when first_response_at is not null then first_response_minutes end as first_response_minutes,
        case when not is_open then resolution_minutes end as resolution_minutes
    from tickets
    union all
    select
        resolved_date as flow_date,
        priority,
        0 as opened,
        1 as resolved,
        {%- for measure in measures[2:] %}
        0 as {{ measure }},
        {%- endfor %}
        0 as goodwill,
        null as first_response_minutes,
        null as resolution_minutes
    from tickets
    where resolved_date is not null

),

counted as (
    {% for cut, cut_value in cuts.items() -%}
    {%- set outer = loop -%}
    {%- for period_type, period_start in periods.items() %}
    select
        '{{ cut }}' as cut,
        {{ cut_value }} as cut_value,
        '{{ period_type }}' as period_type,
        {{ period_start.format('flow_date') }} as period_start,
        {%- for measure in measures %}
        sum({{ measure }}) as {{ measure }},
        {%- endfor %}
        sum(goodwill) as goodwill,
        percentile_cont(0.5) within group (order by first_response_minutes) as median_first_response_minutes,
        percentile_cont(0.5) within group (order by resolution_minutes) as median_resolution_minutes
    from flows
    group by {{ 'priority, ' if cut == 'priority' }}{{ period_start.format('flow_date') }}
    {%- if not (outer.last and loop.last) %}
    union all
    {%- endif %}
    {%- endfor %}
    {%- endfor %}

),

-- each value of a cut from its first ticket to as-of: a period without tickets is a row of zeros, and not missing
spans as (

    select
        cut,
        cut_value,
        period_type,
        min(period_start) as first_period
    from counted
    group by cut, cut_value, period_type

),

first_days as (

    select min(first_period) as first_day
    from spans

),

days as (

    select series.series_date
    from {{ date_series("(select first_day from first_days)", as_of_date()) }} as series

),

grid as (

    select
        spans.cut,
        spans.cut_value,
        spans.period_type,
        days.series_date as period_start,
        case
            when spans.period_type = 'day' then days.series_date
            else {{ month_end('days.series_date') }}
        end as period_end
    from spans
    inner join days
        on
            spans.first_period <= days.series_date
            and (spans.period_type = 'day' or days.series_date = {{ month_start('days.series_date') }})

),

filled as (

    select
        grid.*,
        {%- for measure in measures %}
        coalesce(counted.{{ measure }}, 0) as {{ measure }},
        {%- endfor %}
        coalesce(counted.goodwill, 0) as goodwill,
        counted.median_first_response_minutes,
        counted.median_resolution_minutes,
        grid.period_end <= {{ as_of_date() }} as is_complete
    from grid
    left join counted
        on
            grid.cut = counted.cut
            and grid.cut_value = counted.cut_value
            and grid.period_type = counted.period_type
            and grid.period_start = counted.period_start

),

accounted as (

    select
        *,
        sum(opened - resolved) over (
            partition by cut, cut_value, period_type
            order by period_start
            rows between unbounded preceding and current row
        ) as backlog,
        is_complete and first_response_pending = 0 as is_first_response_decided,
        is_complete and resolution_pending = 0 as is_resolution_decided
    from filled

),

final as (

    select
        cast(period_type as {{ type_string() }}) as period_type,
        cast(period_start as date) as period_start,
        cast(cut as {{ type_string() }}) as cut,
        cast(cut_value as {{ type_string() }}) as cut_value,
        -- backlog_opening + opened - resolved = backlog
        cast(backlog - opened + resolved as bigint) as backlog_opening,
        cast(opened as bigint) as opened,
        cast(resolved as bigint) as resolved,
        cast(backlog as bigint) as backlog,
        -- first response
        cast(first_response_met + first_response_breached as bigint) as first_response_decided,
        cast(first_response_breached as bigint) as first_response_breached,
        cast(first_response_pending as bigint) as first_response_pending,
        case
            when is_first_response_decided
                then {{ ratio('first_response_breached', 'first_response_met + first_response_breached') }}
        end as first_response_breach_rate,
        cast(answered as bigint) as answered,
        cast(case when is_complete then median_first_response_minutes end as {{ type_double() }})
            as median_first_response_minutes,
        -- resolution
        cast(resolution_met + resolution_breached as bigint) as resolution_decided,
        cast(resolution_breached as bigint) as resolution_breached,
        cast(resolution_pending as bigint) as resolution_pending,
        case
            when is_resolution_decided
                then {{ ratio('resolution_breached', 'resolution_met + resolution_breached') }}
        end as resolution_breach_rate,
        cast(closed as bigint) as closed,
        cast(case when is_complete then median_resolution_minutes end as {{ type_double() }})
            as median_resolution_minutes,
        -- how it went
        cast(could_reopen as bigint) as could_reopen,
        cast(reopened as bigint) as reopened,
        case when is_complete then {{ ratio('reopened', 'could_reopen') }} end as reopen_rate,
        cast(csat_n as bigint) as csat_n,
        cast(csat_sum as bigint) as csat_sum,
        case when is_complete then {{ ratio('csat_sum', 'csat_n') }} end as csat_mean,
        cast(csat_satisfied as bigint) as csat_satisfied,
        case when is_complete then {{ ratio('csat_satisfied', 'csat_n') }} end as csat_satisfied_share,
        cast(goodwill as {{ type_money() }}) as goodwill,
        cast(is_complete as boolean) as is_complete
    from accounted

)

select * from final

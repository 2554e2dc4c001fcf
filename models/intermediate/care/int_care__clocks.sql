{#- Both clocks of each ticket in business hours: how long it took, or has been taking at the close of as-of, and when
    the target is up. A look-up by date each, since days × tickets would be billions of pairs. -#}
{%- set reading = "case
            when {0}.opens_at is null or {1} <= {0}.opens_at then {0}.seconds_before
            when {1} >= {0}.closes_at then {0}.seconds_before + {0}.open_seconds
            else {0}.seconds_before + " ~ seconds_between('{0}.opens_at', '{1}') ~ "
        end" -%}
with tickets as (

    select * from {{ ref('int_care__tickets') }}

),

business_days as (

    select * from {{ ref('int_care__business_days') }}

),

clocks as (

    select
        ticket_key,
        'first_response' as clock,
        calendar,
        opened_at,
        first_response_at as stopped_at,
        coalesce(first_response_at, as_of_closes_at) as read_at,
        cast(first_response_target_minutes as bigint) * 60 as target_seconds
    from tickets
    union all
    select
        ticket_key,
        'resolution' as clock,
        calendar,
        opened_at,
        resolved_at as stopped_at,
        coalesce(resolved_at, as_of_closes_at) as read_at,
        cast(resolution_target_minutes as bigint) * 60 as target_seconds
    from tickets

),

readings as (

    select
        clocks.*,
        {{ reading.format('opened', 'clocks.opened_at') }} as opened_reading,
        {{ reading.format('stopped', 'clocks.read_at') }} as stopped_reading
    from clocks
    inner join business_days as opened
        on
            clocks.calendar = opened.calendar
            and {{ business_date('clocks.opened_at') }} = opened.business_date
    inner join business_days as stopped
        on
            clocks.calendar = stopped.calendar
            and {{ business_date('clocks.read_at') }} = stopped.business_date

),

-- Days and deadlines on one axis of open seconds: a deadline falls on the last open day that begins before it. One that
-- is just the day's last second comes before the next day's beginning.
axis as (

    select
        calendar,
        opened_reading + target_seconds as reading,
        0 as is_day,
        ticket_key,
        clock,
        cast(null as date) as business_date
    from readings
    where target_seconds is not null
    union all
    select
        calendar,
        seconds_before as reading,
        1 as is_day,
        cast(null as {{ type_string() }}) as ticket_key,
        cast(null as {{ type_string() }}) as clock,
        business_date
    from business_days
    where open_seconds > 0

),

placed as (

    select
        *,
        max(business_date) over (
            partition by calendar
            order by reading asc, is_day asc, ticket_key asc nulls last, clock asc nulls last
            rows between unbounded preceding and current row
        ) as due_date
    from axis

),

deadlines as (

    select
        placed.ticket_key,
        placed.clock,
        {{ add_seconds('business_days.opens_at', 'placed.reading - business_days.seconds_before') }} as due_at
    from placed
    inner join business_days
        on
            placed.calendar = business_days.calendar
            and placed.due_date = business_days.business_date
    where
        placed.is_day = 0
        -- beyond the calendar's last day nothing is known
        and placed.reading <= business_days.seconds_before + business_days.open_seconds

),

final as (

    select
        cast(readings.ticket_key as {{ type_string() }}) as ticket_key,
        cast(readings.clock as {{ type_string() }}) as clock,
        cast(readings.stopped_at as timestamp) as stopped_at,
        cast(deadlines.due_at as timestamp) as due_at,
        cast(readings.stopped_reading - readings.opened_reading as bigint) as elapsed_seconds,
        cast(readings.target_seconds as bigint) as target_seconds,
        -- past the target it is breached, answered or not; within it nothing is decided until somebody answers
        case
            when readings.stopped_reading - readings.opened_reading > readings.target_seconds then true
            when readings.stopped_at is not null and readings.target_seconds is not null then false
        end as is_breached
    from readings
    left join deadlines
        on
            readings.ticket_key = deadlines.ticket_key
            and readings.clock = deadlines.clock

)

select * from final

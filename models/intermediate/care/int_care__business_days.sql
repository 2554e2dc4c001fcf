{#- The clock that business hours tick by: how many open seconds lie before each day. The open seconds between two
    instants are then a subtraction of two look-ups, however far apart, and the hours of a day on which the clocks change
    are as long as they were. Runs past as-of, so that deadlines can lie ahead. -#}
{%- set minutes_of = "cast(substr({0}, 1, 2) as integer) * 60 + cast(substr({0}, 4, 2) as integer)" -%}
with tickets as (

    select * from {{ ref('int_care__tickets') }}

),

hours as (

    select * from {{ ref('support_hours') }}

),

closed_days as (

    select * from {{ ref('support_closed_days') }}

),

calendars as (

    select distinct calendar
    from hours

),

first_days as (

    select min(opened_date) as first_day
    from tickets

),

days as (

    select series.series_date
    from
        {{ date_series(
            "(select first_day from first_days)", add_days(as_of_date(), var('support_deadline_days'))
        ) }} as series

),

open_days as (

    select
        calendars.calendar,
        days.series_date as business_date,
        case
            when closed_days.closed_on is null
                then {{ business_instant('days.series_date', minutes_of.format('hours.opens_at')) }}
        end as opens_at,
        case
            when closed_days.closed_on is null
                then {{ business_instant('days.series_date', minutes_of.format('hours.closes_at')) }}
        end as closes_at
    from calendars
    cross join days
    left join hours
        on calendars.calendar = hours.calendar and {{ iso_weekday('days.series_date') }} = hours.weekday
    left join closed_days
        on calendars.calendar = closed_days.calendar and days.series_date = closed_days.closed_on

),

measured as (

    select
        *,
        coalesce({{ seconds_between('opens_at', 'closes_at') }}, 0) as open_seconds
    from open_days

),

final as (

    select
        cast(calendar as {{ type_string() }}) as calendar,
        cast(business_date as date) as business_date,
        cast(opens_at as timestamp) as opens_at,
        cast(closes_at as timestamp) as closes_at,
        cast(open_seconds as bigint) as open_seconds,
        cast(
            sum(open_seconds) over (
                partition by calendar order by business_date rows between unbounded preceding and current row
            ) - open_seconds as bigint
        ) as seconds_before
    from measured

)

select * from final

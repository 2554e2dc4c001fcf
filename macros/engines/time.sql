{#- Dates and times. dbt's own cross-database macros differ between engines (FACTS.md), so we write the few we
    need. Instants are TIMESTAMP in UTC, calendar dates DATE. -#}

{#- whole days from `start` to `end`, both DATE -#}
{% macro days_between(start, end) -%}{{ return(adapter.dispatch('days_between', 'ritorno')(start, end)) }}{%- endmacro %}
{% macro default__days_between(start, end) -%}(cast({{ end }} as date) - cast({{ start }} as date)){%- endmacro %}

{#- DATE plus an integer number of days (negative goes back) -#}
{% macro add_days(day, days) -%}{{ return(adapter.dispatch('add_days', 'ritorno')(day, days)) }}{%- endmacro %}
{% macro default__add_days(day, days) -%}cast(cast({{ day }} as date) + cast({{ days }} as integer) as date){%- endmacro %}

{#- TIMESTAMP plus an integer number of hours -#}
{% macro add_hours(instant, hours) -%}{{ return(adapter.dispatch('add_hours', 'ritorno')(instant, hours)) }}{%- endmacro %}
{% macro default__add_hours(instant, hours) -%}({{ instant }} + cast({{ hours }} as integer) * interval '1 hour'){%- endmacro %}

{#- first day of the date's month, DATE -#}
{% macro month_start(day) -%}cast(date_trunc('month', {{ day }}) as date){%- endmacro %}

{#- last day of the date's month, DATE -#}
{% macro month_end(day) -%}{{ return(adapter.dispatch('month_end', 'ritorno')(day)) }}{%- endmacro %}
{% macro default__month_end(day) -%}cast(date_trunc('month', {{ day }}) + interval '1 month' - interval '1 day' as date){%- endmacro %}

{#- DATE plus whole months; the day of month is clipped to the month's length -#}
{% macro add_months(day, months) -%}{{ return(adapter.dispatch('add_months', 'ritorno')(day, months)) }}{%- endmacro %}
{% macro default__add_months(day, months) -%}cast({{ day }} + cast({{ months }} as integer) * interval '1 month' as date){%- endmacro %}

{#- calendar months from the month of `start` to the month of `end`: year and month arithmetic, no calendar table,
    so a first order before any calendar's start has the right number -#}
{% macro months_between(start, end) -%}
cast((extract(year from {{ end }}) - extract(year from {{ start }})) * 12 + (extract(month from {{ end }}) - extract(month from {{ start }})) as integer)
{%- endmacro %}

{#- the calendar date, in time zone `zone` (an expression), of a UTC TIMESTAMP -#}
{% macro local_date(instant, zone) -%}{{ return(adapter.dispatch('local_date', 'ritorno')(instant, zone)) }}{%- endmacro %}
{% macro default__local_date(instant, zone) -%}cast(timezone({{ zone }}, timezone('UTC', {{ instant }})) as date){%- endmacro %}

{#- the business time zone's calendar date of a UTC TIMESTAMP -#}
{% macro business_date(instant) -%}{{ local_date(instant, "'" ~ var('business_timezone') ~ "'") }}{%- endmacro %}

{#- one row per day / month, column `column_name` DATE, from `first` to `last` inclusive (expressions) -#}
{% macro date_series(first, last, unit='day') -%}{{ return(adapter.dispatch('date_series', 'ritorno')(first, last, unit)) }}{%- endmacro %}
{% macro duckdb__date_series(first, last, unit) -%}
(select cast(unnest(generate_series(cast({{ first }} as timestamp), cast({{ last }} as timestamp), interval '1 {{ unit }}')) as date) as series_date)
{%- endmacro %}

{#- the UTC TIMESTAMP of the wall clock's time, `minutes` after midnight of `day`, in the business time zone. A time that
    the clocks skip is as much later; of one that occurs twice, the later. -#}
{% macro business_instant(day, minutes=0) -%}{{ return(adapter.dispatch('business_instant', 'ritorno')(day, minutes)) }}{%- endmacro %}
{% macro default__business_instant(day, minutes) -%}
timezone('UTC', timezone('{{ var('business_timezone') }}', cast({{ day }} as timestamp) + cast({{ minutes }} as integer) * interval '1 minute'))
{%- endmacro %}

{#- hour 0 to 23 of a UTC TIMESTAMP in the business time zone -#}
{% macro business_hour(instant) -%}{{ return(adapter.dispatch('business_hour', 'ritorno')(instant)) }}{%- endmacro %}
{% macro default__business_hour(instant) -%}
cast(extract(hour from timezone('{{ var('business_timezone') }}', timezone('UTC', {{ instant }}))) as integer)
{%- endmacro %}

{#- whole seconds from `start` to `end`, both TIMESTAMP, fractions of a second cut off each -#}
{% macro seconds_between(start, end) -%}{{ return(adapter.dispatch('seconds_between', 'ritorno')(start, end)) }}{%- endmacro %}
{% macro duckdb__seconds_between(start, end) -%}date_diff('second', {{ start }}, {{ end }}){%- endmacro %}

{#- TIMESTAMP plus whole seconds -#}
{% macro add_seconds(instant, seconds) -%}{{ return(adapter.dispatch('add_seconds', 'ritorno')(instant, seconds)) }}{%- endmacro %}
{% macro default__add_seconds(instant, seconds) -%}({{ instant }} + ({{ seconds }}) * interval '1 second'){%- endmacro %}

{#- day of the week, 1 Monday to 7 Sunday -#}
{% macro iso_weekday(day) -%}{{ return(adapter.dispatch('iso_weekday', 'ritorno')(day)) }}{%- endmacro %}
{% macro default__iso_weekday(day) -%}cast(extract(isodow from {{ day }}) as integer){%- endmacro %}
{% macro postgres__date_series(first, last, unit) -%}
(
    select cast(series.value as date) as series_date
    from generate_series(cast({{ first }} as timestamp), cast({{ last }} as timestamp), interval '1 {{ unit }}') as series (value)
)
{%- endmacro %}
{% macro postgres__seconds_between(start, end) -%}
cast(extract(epoch from date_trunc('second', {{ end }}) - date_trunc('second', {{ start }})) as bigint)
{%- endmacro %}

{% macro spark__days_between(start, end) -%}datediff(cast({{ end }} as date), cast({{ start }} as date)){%- endmacro %}
{% macro spark__add_days(day, days) -%}date_add(cast({{ day }} as date), cast({{ days }} as integer)){%- endmacro %}
{% macro spark__month_end(day) -%}last_day({{ day }}){%- endmacro %}
{% macro spark__add_months(day, months) -%}add_months({{ day }}, cast({{ months }} as integer)){%- endmacro %}
{% macro spark__local_date(instant, zone) -%}cast(from_utc_timestamp({{ instant }}, {{ zone }}) as date){%- endmacro %}
{% macro spark__business_hour(instant) -%}
hour(from_utc_timestamp({{ instant }}, '{{ var('business_timezone') }}'))
{%- endmacro %}
{% macro spark__iso_weekday(day) -%}(weekday({{ day }}) + 1){%- endmacro %}
{% macro spark__seconds_between(start, end) -%}(unix_seconds({{ end }}) - unix_seconds({{ start }})){%- endmacro %}
{% macro spark__date_series(first, last, unit) -%}
(
    select explode(
        case
            when bounds.first_date <= bounds.last_date then sequence(bounds.first_date, bounds.last_date, interval 1 {{ unit }})
        end
    ) as series_date
    from (select cast({{ first }} as date) as first_date, cast({{ last }} as date) as last_date) as bounds
)
{%- endmacro %}

{#- Of a time that occurs twice Spark takes the earlier: an hour later is the same wall clock's time then. -#}
{% macro spark__business_instant(day, minutes) -%}{{ return(ritorno.spark__instant_of(
    "(cast(" ~ day ~ " as timestamp) + make_dt_interval(0, 0, cast(" ~ minutes ~ " as integer)))", var('business_timezone')
)) }}{%- endmacro %}
{% macro spark__instant_of(wall_clock, zone) -%}
case
    when from_utc_timestamp(to_utc_timestamp({{ wall_clock }}, '{{ zone }}') + interval '1' hour, '{{ zone }}') = {{ wall_clock }}
        then to_utc_timestamp({{ wall_clock }}, '{{ zone }}') + interval '1' hour
    else to_utc_timestamp({{ wall_clock }}, '{{ zone }}')
end
{%- endmacro %}

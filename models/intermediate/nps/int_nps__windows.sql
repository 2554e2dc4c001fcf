{#- The periods that have begun since the first answer: calendar months, quarters and years, and 90 days up to each
    month's end and up to as-of. -#}
{%- set first_month = month_start("(select min(responded_date) from " ~ ref('int_nps__responses') ~ ")") -%}
-- sqlfluff:indentation:template_blocks_indent:false
with responses as (

    select * from {{ ref('int_nps__responses') }}

),

bounds as (

    select min(responded_date) as first_date
    from responses

),

months as (

    select months.series_date as month_start
    from bounds
    cross join {{ date_series(first_month, as_of_date(), 'month') }} as months
    where bounds.first_date is not null

),

calendar_starts as (
    {%- for period_type, months in nps_calendar_periods().items() %}
    select distinct
        '{{ period_type }}' as period_type,
        {{ months }} as months,
        {{ month_of_index(integer_divide(month_index('month_start'), months) ~ " * " ~ months) }} as period_start
    from months
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}

),

calendar_periods as (

    select
        period_type,
        period_start,
        {{ add_days(add_months('period_start', 'months'), -1) }} as period_end
    from calendar_starts

),

window_ends as (

    select {{ month_end('month_start') }} as period_end
    from months
    where {{ month_end('month_start') }} < {{ as_of_date() }}
    union all
    select {{ as_of_date() }} as period_end
    from bounds
    where first_date is not null

),

gathered as (

    select * from calendar_periods
    union all
    select
        'trailing_90d' as period_type,
        {{ add_days('period_end', -89) }} as period_start,
        period_end
    from window_ends

),

final as (

    select
        cast(period_type as {{ type_string() }}) as period_type,
        cast(period_start as date) as period_start,
        cast(period_end as date) as period_end,
        period_end <= {{ as_of_date() }} as is_complete
    from gathered

)

select * from final

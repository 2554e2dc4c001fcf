{#- Gaps between order days as histograms, by the period of the later day: percentiles of a cut are those of the added
    histograms, which no list of medians would give. -#}
with customers as (

    select * from {{ ref('int_rates__customers') }}

),

order_days as (

    select * from {{ ref('int_customers__order_days') }}

),

periods as (

    select * from {{ rate_periods() }} as periods

),

gaps as (

    select
        customer_key,
        {{ month_index('order_date') }} as month_number,
        {{ days_between('previous_order_date', 'order_date') }} as gap_days
    from order_days
    where previous_order_date is not null

),

cells as (

    select
        gaps.month_number,
        gaps.gap_days,
        {%- for cut in rate_cuts() %}
            customers.{{ cut }},
        {%- endfor %}
        count(*) as gaps
    from gaps
    inner join customers on gaps.customer_key = customers.customer_key
    group by
        gaps.month_number,
        gaps.gap_days,
    {%- for cut in rate_cuts() %}
        customers.{{ cut }}{{ ',' if not loop.last }} -- noqa: LT02

{%- endfor %}

),

cut_months as (

    select
        'all' as cut,
        'all' as cut_value,
        month_number,
        gap_days,
        sum(gaps) as gaps
    from cells
    group by month_number, gap_days
    {%- for cut in rate_cuts() %}

        union all

        select
            '{{ cut }}' as cut,
            {{ cut }} as cut_value,
            month_number,
            gap_days,
            sum(gaps) as gaps
        from cells
        group by {{ cut }}, month_number, gap_days
    {%- endfor %}

),

-- months are grouped already; what is longer is made of them
cut_periods as (

    select
        cut,
        cut_value,
        'month' as period_type,
        month_number as period_index,
        gap_days,
        gaps
    from cut_months

    union all

    select
        cut_months.cut,
        cut_months.cut_value,
        periods.period_type,
        {{ integer_divide('cut_months.month_number', 'periods.months') }} as period_index,
        cut_months.gap_days,
        sum(cut_months.gaps) as gaps
    from cut_months
    cross join periods
    where periods.months > 1
    group by
        cut_months.cut,
        cut_months.cut_value,
        periods.period_type,
        {{ integer_divide('cut_months.month_number', 'periods.months') }},
        cut_months.gap_days

),

final as (

    select
        cast(cut as {{ type_string() }}) as cut,
        cast(cut_value as {{ type_string() }}) as cut_value,
        cast(period_type as {{ type_string() }}) as period_type,
        cast(period_index as bigint) as period_index,
        cast(gap_days as integer) as gap_days,
        cast(gaps as bigint) as gaps
    from cut_periods

)

select * from final

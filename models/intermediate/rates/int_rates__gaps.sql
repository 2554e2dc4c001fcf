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
        {{ days_between('lag(order_date) over (partition by customer_key order by order_date asc)', 'order_date') }}
            as gap_days
    from order_days

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
    where gaps.gap_days is not null
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

final as (

    select
        cast(cut_months.cut as {{ type_string() }}) as cut,
        cast(cut_months.cut_value as {{ type_string() }}) as cut_value,
        cast(periods.period_type as {{ type_string() }}) as period_type,
        {{ integer_divide('cut_months.month_number', 'periods.months') }} as period_index,
        cast(cut_months.gap_days as integer) as gap_days,
        cast(sum(cut_months.gaps) as bigint) as gaps
    from cut_months
    cross join periods
    group by
        cut_months.cut,
        cut_months.cut_value,
        periods.period_type,
        {{ integer_divide('cut_months.month_number', 'periods.months') }},
        cut_months.gap_days

)

select * from final

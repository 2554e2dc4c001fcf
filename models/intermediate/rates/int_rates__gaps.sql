{#- Gaps between order days by the period of the later day. They are added up as histograms, since percentiles of a cut
    are those of the added histograms and follow from no list of medians. Numbers stand for values of cuts and for their
    periods until the end: groups, joins and windows by four texts take twice as long, and histograms are some hundred
    times as many rows as what is asked of them. -#}
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

peer_group_months as (

    select
        customers.peer_group,
        gaps.month_number,
        gaps.gap_days,
        count(*) as gaps
    from gaps
    inner join customers on gaps.customer_key = customers.customer_key
    group by customers.peer_group, gaps.month_number, gaps.gap_days

),

cut_values as (

    select distinct
        'all' as cut,
        'all' as cut_value,
        peer_group
    from customers
    {%- for cut in rate_cuts() %}

        union all

        select distinct
            '{{ cut }}' as cut,
            {{ cut }} as cut_value,
            peer_group
        from customers
    {%- endfor %}

),

cut_numbers as (

    select
        *,
        dense_rank() over (order by cut asc, cut_value asc) as cut_number
    from cut_values

),

cut_months as (

    select
        cut_numbers.cut_number,
        peer_group_months.month_number,
        peer_group_months.gap_days,
        cast(sum(peer_group_months.gaps) as bigint) as gaps
    from peer_group_months
    inner join cut_numbers on peer_group_months.peer_group = cut_numbers.peer_group
    group by cut_numbers.cut_number, peer_group_months.month_number, peer_group_months.gap_days

),

-- months are grouped already; what is longer is made of them
cut_periods as (

    select
        cut_number,
        1 as months,
        month_number as period_index,
        gap_days,
        gaps
    from cut_months

    union all

    select
        cut_months.cut_number,
        periods.months,
        {{ integer_divide('cut_months.month_number', 'periods.months') }} as period_index,
        cut_months.gap_days,
        cast(sum(cut_months.gaps) as bigint) as gaps
    from cut_months
    cross join periods
    where periods.months > 1
    group by
        cut_months.cut_number,
        periods.months,
        {{ integer_divide('cut_months.month_number', 'periods.months') }},
        cut_months.gap_days

),

totals as (

    select
        cut_number,
        months,
        period_index,
        cast(sum(gaps) as bigint) as all_gaps,
        cast(sum(gaps * gap_days) as bigint) as all_gap_days,
        row_number() over (order by cut_number asc, months asc, period_index asc) as cell_number
    from cut_periods
    group by cut_number, months, period_index

),

running as (

    select
        totals.cell_number,
        totals.all_gaps,
        cut_periods.gap_days,
        sum(cut_periods.gaps) over (
            partition by totals.cell_number
            order by cut_periods.gap_days asc rows between unbounded preceding and current row
        ) as gaps_up_to
    from cut_periods
    inner join totals
        on
            cut_periods.cut_number = totals.cut_number
            and cut_periods.months = totals.months
            and cut_periods.period_index = totals.period_index

),

percentiles as (

    select
        cell_number,
        {{ histogram_percentile('gap_days', 'gaps_up_to', 'all_gaps', 500) }} as median_gap,
        {{ histogram_percentile('gap_days', 'gaps_up_to', 'all_gaps', 750) }} as p75_gap,
        {{ histogram_percentile('gap_days', 'gaps_up_to', 'all_gaps', 900) }} as p90_gap
    from running
    group by cell_number

),

cuts as (

    select distinct
        cut,
        cut_value,
        cut_number
    from cut_numbers

),

final as (

    select
        cast(cuts.cut as {{ type_string() }}) as cut,
        cast(cuts.cut_value as {{ type_string() }}) as cut_value,
        cast(periods.period_type as {{ type_string() }}) as period_type,
        cast(totals.period_index as bigint) as period_index,
        cast(totals.all_gaps as bigint) as gaps,
        cast(totals.all_gap_days as bigint) as gap_days,
        cast(percentiles.median_gap as {{ type_double() }}) as median_gap,
        cast(percentiles.p75_gap as {{ type_double() }}) as p75_gap,
        cast(percentiles.p90_gap as {{ type_double() }}) as p90_gap
    from totals
    inner join percentiles on totals.cell_number = percentiles.cell_number
    inner join periods on totals.months = periods.months
    inner join cuts on totals.cut_number = cuts.cut_number

)

select * from final

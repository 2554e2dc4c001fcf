{#- Percentiles come from a histogram of gaps (line × month of completion × days), so a month costs its distinct gaps
    and not its orders. Only gaps completed before a month enter its row: nothing later decides a day. -#}
with order_days as (

    select * from {{ ref('int_customers__order_days') }}

),

lines as (

    select * from {{ ref('int_lifecycle__lines') }}

),

gap_counts as (

    select * from {{ ref('int_lifecycle__gap_counts') }}

),

months as (

    select
        months.series_date as month,
        {{ add_days(add_months('months.series_date', 1), -1) }} as last_day
    from {{ date_series(
        "(select date_trunc('month', coalesce(min(order_date), " ~ as_of_date() ~ ")) from " ~ ref('int_customers__order_days') ~ ")",
        as_of_date(), 'month'
    ) }} as months

),

line_starts as (

    select
        lines.business_line,
        min(order_days.order_date) as first_order_date
    from lines
    inner join order_days on lines.customer_key = order_days.customer_key
    group by lines.business_line

),

line_months as (

    select
        line_starts.business_line,
        line_starts.first_order_date,
        months.month
    from line_starts
    inner join months on line_starts.first_order_date <= months.last_day

),

known_gaps as (

    select
        line_months.business_line,
        line_months.month,
        gap_counts.gap_days,
        sum(gap_counts.gaps) as gaps
    from line_months
    inner join gap_counts
        on line_months.business_line = gap_counts.business_line and line_months.month > gap_counts.completed_month
    group by line_months.business_line, line_months.month, gap_counts.gap_days

),

running as (

    select
        business_line,
        month,
        gap_days,
        sum(gaps) over (
            partition by business_line, month order by gap_days rows between unbounded preceding and current row
        ) as gaps_up_to,
        sum(gaps) over (partition by business_line, month) as all_gaps
    from known_gaps

),

-- percentile_disc: the smallest gap whose share of gaps up to it reaches the percentile
percentiles as (

    select
        business_line,
        month,
        max(all_gaps) as gaps,
        min({{ gap_reaching(0.5) }}) as p50_gap,
        min({{ gap_reaching(var('at_risk_percentile')) }}) as at_risk_gap,
        min({{ gap_reaching(var('lapsed_percentile')) }}) as lapsed_gap
    from running
    group by business_line, month

),

judged as (

    select
        line_months.business_line,
        line_months.month,
        coalesce(percentiles.gaps, 0) as gaps,
        percentiles.p50_gap,
        percentiles.at_risk_gap,
        percentiles.lapsed_gap,
        case
            when '{{ var('lifecycle_method') }}' = 'fixed' then 'policy'
            when line_months.month < {{ add_days('line_months.first_order_date', var('percentile_min_history_days')) }}
                then 'too little history'
            when coalesce(percentiles.gaps, 0) < {{ var('percentile_min_gaps') }} then 'too few gaps'
            else 'enough history'
        end as verdict
    from line_months
    left join percentiles
        on line_months.business_line = percentiles.business_line and line_months.month = percentiles.month

),

final as (

    select
        cast(business_line as {{ type_string() }}) as business_line,
        cast(month as date) as month,
        cast(
            case when verdict = 'enough history' then '{{ var('lifecycle_method') }}' else 'fixed' end
            as {{ type_string() }}
        ) as policy,
        cast(verdict as {{ type_string() }}) as verdict,
        cast(
            case when verdict = 'enough history' then at_risk_gap else {{ var('at_risk_after_days') }} end as integer
        ) as at_risk_days,
        cast(
            case
                when verdict = 'enough history' then greatest(lapsed_gap, at_risk_gap + 1)
                else {{ var('lapsed_after_days') }}
            end as integer
        ) as lapsed_days,
        cast(gaps as bigint) as gaps,
        cast(p50_gap as integer) as median_gap_days,
        cast(at_risk_gap as integer) as at_risk_percentile_days,
        cast(lapsed_gap as integer) as lapsed_percentile_days
    from judged

)

select * from final

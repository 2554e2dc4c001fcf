{#- Two histograms, completed gaps and silences open at as-of; everything else is running sums over them. -#}
with order_days as (

    select * from {{ ref('int_customers__order_days') }}

),

lines as (

    select * from {{ ref('int_lifecycle__lines') }}

),

gap_counts as (

    select * from {{ ref('int_lifecycle__gap_counts') }}

),

last_days as (

    select
        customer_key,
        max(order_date) as last_order_date
    from order_days
    group by customer_key

),

line_lengths as (

    select
        business_line,
        gap_days as days,
        gaps,
        0 as open_silences
    from gap_counts

    union all

    select
        lines.business_line,
        {{ days_between('last_days.last_order_date', as_of_date()) }} as days,
        0 as gaps,
        1 as open_silences
    from last_days
    inner join lines on last_days.customer_key = lines.customer_key

),

lengths as (

    select
        'all' as cut,
        'all' as cut_value,
        days,
        sum(gaps) as gaps,
        sum(open_silences) as open_silences
    from line_lengths
    group by days

    union all

    select
        'business_line' as cut,
        business_line as cut_value,
        days,
        sum(gaps) as gaps,
        sum(open_silences) as open_silences
    from line_lengths
    group by business_line, days

),

totals as (

    select
        cut,
        cut_value,
        max(days) as longest,
        sum(gaps) as all_gaps,
        sum(open_silences) as all_open_silences
    from lengths
    group by cut, cut_value

),

series as (

    select series.number as days
    from {{ number_series("(select max(longest) from totals)") }} as series

),

-- a row for every day, so that any threshold one thinks of can be looked up
grid as (

    select
        totals.cut,
        totals.cut_value,
        totals.all_gaps,
        totals.all_open_silences,
        series.days,
        coalesce(lengths.gaps, 0) as gaps,
        coalesce(lengths.open_silences, 0) as open_silences
    from totals
    inner join series on totals.longest >= series.days
    left join lengths
        on totals.cut = lengths.cut and totals.cut_value = lengths.cut_value and series.days = lengths.days

),

running as (

    select
        *,
        sum(gaps) over (
            partition by cut, cut_value order by days asc rows between unbounded preceding and current row
        ) as gaps_up_to,
        sum(open_silences) over (
            partition by cut, cut_value order by days asc rows between unbounded preceding and current row
        ) as open_up_to
    from grid

),

percentiles as (

    select
        cut,
        cut_value,
        {{ histogram_percentile('days', 'gaps_up_to', 'all_gaps', 500) }} as median_days,
        {{ histogram_percentile('days', 'gaps_up_to', 'all_gaps', 750) }} as p75_days,
        {{ histogram_percentile('days', 'gaps_up_to', 'all_gaps', 900) }} as p90_days
    from running
    where gaps > 0
    group by cut, cut_value

),

-- silent for d days at the close of day d: the gap is longer than d, or open and at least d old
measured as (

    select
        running.cut,
        running.cut_value,
        running.days,
        running.gaps,
        running.gaps_up_to,
        running.all_gaps,
        percentiles.median_days,
        percentiles.p75_days,
        percentiles.p90_days,
        running.all_gaps - running.gaps_up_to as returned_later,
        running.all_open_silences - running.open_up_to + running.open_silences as open_silences
    from running
    left join percentiles on running.cut = percentiles.cut and running.cut_value = percentiles.cut_value

),

final as (

    select
        cast(cut as {{ type_string() }}) as cut,
        cast(cut_value as {{ type_string() }}) as cut_value,
        cast(days as integer) as days,
        cast(gaps as bigint) as gaps,
        cast(gaps_up_to as bigint) as gaps_up_to,
        cast(all_gaps as bigint) as all_gaps,
        {{ ratio('gaps_up_to', 'all_gaps') }} as cumulative_share,
        cast(returned_later + open_silences as bigint) as silences,
        cast(returned_later as bigint) as returned_later,
        cast(open_silences as bigint) as open_silences,
        {{ ratio('returned_later', 'returned_later + open_silences') }} as share_returned_later,
        cast(median_days as {{ type_double() }}) as median_days,
        cast(p75_days as {{ type_double() }}) as p75_days,
        cast(p90_days as {{ type_double() }}) as p90_days
    from measured

)

select * from final

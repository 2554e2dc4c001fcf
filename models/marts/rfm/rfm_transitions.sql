-- Only recency and frequency name a segment, and neither moves with a later refund: rescoring a month end from order
-- dates up to it uses nothing that happened after it. Customers of the same standing (last order date, orders so far)
-- move together and are rescored together: some hundred thousand standings instead of customers × months.
with standing_changes as (

    select * from {{ ref('int_rfm__standing_changes') }}

),

segments_25 as (

    select * from {{ ref('rfm_segments_25') }}

),

month_numbers as (

    select series.number
    from
        {{ number_series(
            "(select max(" ~ months_between('order_month', as_of_date()) ~ ") from standing_changes)"
        ) }} as series

),

-- finished months only: a month end after as-of hasn't come
months as (

    select {{ add_months(month_start(as_of_date()), '-number') }} as order_month
    from month_numbers
    where {{ month_end(add_months(month_start(as_of_date()), '-number')) }} <= {{ as_of_date() }}

),

standings as (

    select
        last_order_date,
        frequency,
        order_month,
        next_order_month,
        count(*) as customers
    from standing_changes
    group by last_order_date, frequency, order_month, next_order_month

),

-- who stood where at each month end
standings_by_month as (

    select
        months.order_month,
        standings.last_order_date,
        standings.frequency,
        standings.order_month as since_month,
        sum(standings.customers) as customers
    from standings
    inner join months
        on
            standings.order_month <= months.order_month
            and coalesce(standings.next_order_month, {{ as_of_date() }}) > months.order_month
    group by months.order_month, standings.last_order_date, standings.frequency, standings.order_month

),

recency_scores as (
    {{ tie_safe_scores(
        'standings_by_month', 'last_order_date',
        worst='lowest', customers='sum(customers)', partition='order_month'
    ) }}
),

frequency_scores as (
    {{ tie_safe_scores(
        'standings_by_month', 'frequency',
        worst='lowest', customers='sum(customers)', partition='order_month'
    ) }}
),

segments_by_month as (

    select
        standings_by_month.order_month,
        standings_by_month.last_order_date,
        standings_by_month.frequency,
        standings_by_month.since_month,
        standings_by_month.customers,
        segments_25.rfm_segment
    from standings_by_month
    inner join recency_scores
        on
            standings_by_month.order_month = recency_scores.order_month
            and standings_by_month.last_order_date = recency_scores.last_order_date
    inner join frequency_scores
        on
            standings_by_month.order_month = frequency_scores.order_month
            and standings_by_month.frequency = frequency_scores.frequency
    left join segments_25
        on
            recency_scores.score = segments_25.r_score
            and frequency_scores.score = segments_25.f_score

),

-- no order in the month: the same standing, judged again among the others
stayed as (

    select
        standing_now.order_month,
        standing_before.rfm_segment as from_segment,
        standing_now.rfm_segment as to_segment,
        standing_now.customers
    from segments_by_month as standing_now
    inner join segments_by_month as standing_before
        on
            standing_now.last_order_date = standing_before.last_order_date
            and standing_now.frequency = standing_before.frequency
            and standing_before.order_month = {{ add_months('standing_now.order_month', '-1') }}
    where standing_now.since_month < standing_now.order_month

),

-- an order in the month: from the standing before, or from none
moved as (

    select
        standing_changes.order_month,
        coalesce(standing_before.rfm_segment, 'prospect') as from_segment,
        standing_now.rfm_segment as to_segment,
        count(*) as customers
    from standing_changes
    inner join segments_by_month as standing_now
        on
            standing_changes.order_month = standing_now.order_month
            and standing_changes.last_order_date = standing_now.last_order_date
            and standing_changes.frequency = standing_now.frequency
    left join segments_by_month as standing_before
        on
            standing_changes.previous_last_order_date = standing_before.last_order_date
            and standing_changes.previous_frequency = standing_before.frequency
            and standing_before.order_month = {{ add_months('standing_changes.order_month', '-1') }}
    group by standing_changes.order_month, standing_before.rfm_segment, standing_now.rfm_segment

),

counted as (

    select * from stayed
    union all
    select * from moved

),

final as (

    select
        cast(order_month as date) as month, -- noqa: RF04
        cast(from_segment as {{ type_string() }}) as from_segment,
        cast(to_segment as {{ type_string() }}) as to_segment,
        cast(sum(customers) as bigint) as customers
    from counted
    group by order_month, from_segment, to_segment

)

select * from final

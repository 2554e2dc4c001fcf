{#- From the state at the close of one month to that at the close of the next, without a row per customer and month:
    a stay that spans the closes of months a … b is a change in month a and b − a times "stayed". The last month closes
    at as-of. -#}
with history as (

    select * from {{ ref('lifecycle_history') }}

),

months as (

    select
        series_date as month,
        least({{ add_days(add_months('series_date', 1), -1) }}, {{ as_of_date() }}) as closes_on
    from {{ date_series(
        "(select date_trunc('month', min(valid_from)) from " ~ ref('lifecycle_history') ~ ")", as_of_date(), 'month'
    ) }} as months

),

-- the month closes a stay covers: from its first day's month, if it is still the state at that close,
-- to the month before the one it ends in
spans as (

    select
        customer_key,
        state,
        valid_from,
        least(
            {{ add_days(add_months(month_start('valid_from'), 1), -1) }},
            {{ as_of_date() }}
        ) as first_close,
        coalesce(valid_to, {{ add_days(as_of_date(), 1) }}) as ended_on,
        {{ month_start('valid_from') }} as first_month,
        case
            when valid_to is null then {{ month_start(as_of_date()) }}
            else {{ add_months(month_start('valid_to'), -1) }}
        end as last_month
    from history

),

closes as (

    select
        customer_key,
        state,
        first_month,
        last_month,
        lag(state) over (partition by customer_key order by valid_from) as previous_state
    from spans
    where ended_on > first_close

),

changes as (

    select
        first_month as month,
        coalesce(previous_state, 'none') as from_state,
        state as to_state,
        count(*) as customers
    from closes
    group by first_month, coalesce(previous_state, 'none'), state

),

stay_edges as (

    select
        state,
        1 as customers,
        {{ add_months('first_month', 1) }} as month
    from closes
    where last_month > first_month
    union all
    select
        state,
        -1 as customers,
        {{ add_months('last_month', 1) }} as month
    from closes
    where last_month > first_month

),

stays_by_month as (

    select
        month,
        state,
        sum(customers) as customers
    from stay_edges
    group by month, state

),

stay_states as (

    select distinct state from stays_by_month

),

stay_grid as (

    select
        months.month,
        stay_states.state,
        coalesce(stays_by_month.customers, 0) as customers
    from months
    cross join stay_states
    left join stays_by_month on months.month = stays_by_month.month and stay_states.state = stays_by_month.state

),

stays as (

    select
        month,
        state as from_state,
        state as to_state,
        sum(customers) over (
            partition by state order by month rows between unbounded preceding and current row
        ) as customers
    from stay_grid

),

moves as (

    select * from changes
    union all
    select * from stays
    where customers > 0

),

totals as (

    select
        month,
        from_state,
        to_state,
        sum(customers) as customers
    from moves
    group by month, from_state, to_state

),

from_totals as (

    select
        month,
        from_state,
        sum(customers) as customers
    from totals
    group by month, from_state

),

final as (

    select
        cast(totals.month as date) as month,
        cast(totals.from_state as {{ type_string() }}) as from_state,
        cast(totals.to_state as {{ type_string() }}) as to_state,
        cast(totals.customers as bigint) as customers,
        cast(from_totals.customers as bigint) as from_customers,
        {{ ratio('totals.customers', 'from_totals.customers') }} as share,
        {{ add_days(add_months('totals.month', 1), -1) }} <= {{ as_of_date() }} as is_complete
    from totals
    inner join from_totals on totals.month = from_totals.month and totals.from_state = from_totals.from_state

)

select * from final

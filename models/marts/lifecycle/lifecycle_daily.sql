{#- Population by running sums over entries and exits: a day costs its changes, not its customers. -#}
with history as (

    select * from {{ ref('lifecycle_history') }}

),

states as (

    select 'registered' as state
    union all
    select 'registered_at_risk' as state
    union all
    select 'registered_lapsed' as state
    union all
    select 'new' as state
    union all
    select 'active' as state
    union all
    select 'reactivated' as state
    union all
    select 'at_risk' as state
    union all
    select 'lapsed' as state

),

days as (

    select series_date as day
    from {{ date_series("(select min(valid_from) from " ~ ref('lifecycle_history') ~ ")", as_of_date()) }} as days

),

changes as (

    select
        valid_from as day,
        state,
        count(*) as entered,
        0 as left_state,
        sum(case when previous_state = 'lapsed' then 1 else 0 end) as entered_from_lapsed
    from history
    group by valid_from, state
    union all
    select
        valid_to as day,
        state,
        0 as entered,
        count(*) as left_state,
        0 as entered_from_lapsed
    from history
    where valid_to is not null
    group by valid_to, state

),

daily_changes as (

    select
        day,
        state,
        sum(entered) as entered,
        sum(left_state) as left_state,
        sum(entered_from_lapsed) as entered_from_lapsed
    from changes
    group by day, state

),

grid as (

    select
        days.day,
        states.state,
        coalesce(daily_changes.entered, 0) as entered,
        coalesce(daily_changes.left_state, 0) as left_state,
        coalesce(daily_changes.entered_from_lapsed, 0) as entered_from_lapsed
    from days
    cross join states
    left join daily_changes on days.day = daily_changes.day and states.state = daily_changes.state

),

final as (

    select
        cast(day as date) as {{ adapter.quote('date') }},
        cast(state as {{ type_string() }}) as state,
        cast(sum(entered - left_state) over (
            partition by state order by day rows between unbounded preceding and current row
        ) as bigint) as customers,
        cast(entered as bigint) as entered,
        cast(left_state as bigint) as {{ adapter.quote('left') }},
        cast(entered_from_lapsed as bigint) as entered_from_lapsed
    from grid

)

select * from final

{%- set cuts = cohort_cut_columns() -%}

with cells as (

    select * from {{ ref('int_cohorts__cells') }}

),

-- `cohort` is never null, unlike cohort_month: windows and joins go by it
cohort_cells as (

    select
        *,
        substring(cast(cohort_month as {{ type_string() }}), 1, 7) as cohort
    from cells

    union all

    -- windows count from each customer's own first day, so cohorts of all months can be pooled; calendar months can't
    select
        *,
        'pooled' as cohort
    from cells
    where cohort_type = 'rolling_30d'

),

cut_cells as (

    select
        cohort_type,
        cohort,
        last_begun_period,
        last_finished_period,
        'all' as cut,
        'all' as cut_value,
        period,
        sum(active_customers) as active_customers,
        sum(last_active_customers) as last_active_customers,
        sum(orders) as orders,
        sum(net_revenue) as net_revenue
    from cohort_cells
    group by cohort_type, cohort, last_begun_period, last_finished_period, period
    {%- for cut in cuts %}

        union all

        select
            cohort_type,
            cohort,
            last_begun_period,
            last_finished_period,
            '{{ cut }}' as cut,
            {{ cut }} as cut_value,
            period,
            sum(active_customers) as active_customers,
            sum(last_active_customers) as last_active_customers,
            sum(orders) as orders,
            sum(net_revenue) as net_revenue
        from cohort_cells
        group by cohort_type, cohort, last_begun_period, last_finished_period, {{ cut }}, period
    {%- endfor %}

),

-- customers of a cohort whose periods begin and finish together: one group in calendar months, a few in windows
peers as (

    select
        cohort_type,
        cohort,
        cut,
        cut_value,
        last_begun_period,
        last_finished_period,
        sum(last_active_customers) as customers
    from cut_cells
    group by cohort_type, cohort, cut, cut_value, last_begun_period, last_finished_period

),

-- What follows goes by the numbers of groups and cohorts: windows and joins by four texts cost twice as much.
peer_groups as (

    select
        *,
        row_number() over (
            order by
                cohort_type asc, cohort asc, cut asc, cut_value asc, last_begun_period asc, last_finished_period asc
        ) as peer_number,
        dense_rank() over (order by cohort_type asc, cohort asc, cut asc, cut_value asc) as cohort_number
    from peers

),

cohorts as (

    select
        cohort_number,
        cohort_type,
        cohort,
        cut,
        cut_value,
        sum(customers) as cohort_size
    from peer_groups
    group by cohort_number, cohort_type, cohort, cut, cut_value

),

peer_cells as (

    select
        peer_groups.peer_number,
        cut_cells.period,
        cut_cells.active_customers,
        cut_cells.last_active_customers,
        cut_cells.orders,
        cut_cells.net_revenue
    from cut_cells
    inner join peer_groups
        on
            cut_cells.cohort_type = peer_groups.cohort_type
            and cut_cells.cohort = peer_groups.cohort
            and cut_cells.cut = peer_groups.cut
            and cut_cells.cut_value = peer_groups.cut_value
            and cut_cells.last_begun_period = peer_groups.last_begun_period
            and cut_cells.last_finished_period = peer_groups.last_finished_period

),

periods as (

    select series.number as period
    from {{ number_series("(select max(last_begun_period) from cells)") }} as series

),

-- every period that has begun has a row, so that a month without activity is 0 and not missing
peer_group_periods as (

    select
        peer_groups.cohort_number,
        peer_groups.peer_number,
        peer_groups.last_finished_period,
        peer_groups.customers,
        periods.period,
        coalesce(peer_cells.active_customers, 0) as active_customers,
        coalesce(peer_cells.last_active_customers, 0) as last_active_customers,
        coalesce(peer_cells.orders, 0) as orders,
        coalesce(peer_cells.net_revenue, 0) as net_revenue
    from peer_groups
    inner join periods on peer_groups.last_begun_period >= periods.period
    left join peer_cells
        on
            peer_groups.peer_number = peer_cells.peer_number
            and periods.period = peer_cells.period

),

running as (

    select
        *,
        sum(net_revenue) over (
            partition by peer_number
            order by period asc
            rows between unbounded preceding and current row
        ) as cumulative_net_revenue,
        sum(last_active_customers) over (
            partition by peer_number
            order by period asc
            rows between current row and unbounded following
        ) as active_or_later_customers,
        sum(case when period = 0 then net_revenue else 0 end) over (
            partition by peer_number
        ) as first_net_revenue,
        last_finished_period >= period as is_finished
    from peer_group_periods

),

cohort_periods as (

    select
        cohort_number,
        period,
        sum(active_customers) as active_to_date,
        sum(active_or_later_customers) as active_or_later_to_date,
        sum(orders) as orders,
        sum(net_revenue) as net_revenue,
        sum(case when is_finished then customers else 0 end) as eligible_customers,
        sum(case when is_finished then active_customers else 0 end) as eligible_active,
        sum(case when is_finished then active_or_later_customers else 0 end) as eligible_active_or_later,
        sum(case when is_finished then net_revenue else 0 end) as eligible_net_revenue,
        sum(case when is_finished then first_net_revenue else 0 end) as eligible_first_net_revenue,
        sum(case when is_finished then cumulative_net_revenue else 0 end) as eligible_cumulative_net_revenue
    from running
    group by cohort_number, period

),

measured as (

    select
        cohort_periods.*,
        cohorts.cohort_type,
        cohorts.cohort,
        cohorts.cut,
        cohorts.cut_value,
        cohorts.cohort_size,
        sum(cohort_periods.net_revenue) over (
            partition by cohort_periods.cohort_number
            order by cohort_periods.period asc
            rows between unbounded preceding and current row
        ) as cumulative_net_revenue,
        case
            when cohorts.cohort <> 'pooled' then cast(cohorts.cohort || '-01' as date)
        end as cohort_month
    from cohort_periods
    inner join cohorts on cohort_periods.cohort_number = cohorts.cohort_number

),

final as (

    select
        cast(cohort_type as {{ type_string() }}) as cohort_type,
        cast(cohort_month as date) as cohort_month,
        cast(cohort as {{ type_string() }}) as cohort,
        cast(period as integer) as period,
        cast(
            case
                when cohort_type = 'calendar_month' then {{ add_months('cohort_month', 'period') }}
            end as date
        ) as period_month,
        cast(cut as {{ type_string() }}) as cut,
        cast(cut_value as {{ type_string() }}) as cut_value,
        cast(cohort_size as bigint) as cohort_size,
        cast(eligible_customers as bigint) as eligible_customers,
        -- windows of a cohort finish on different days: the active among those whose window is over. Months finish
        -- together: the active so far
        cast(
            case when cohort_type = 'rolling_30d' then eligible_active else active_to_date end as bigint
        ) as active_customers,
        cast(active_to_date as bigint) as active_customers_to_date,
        cast(
            case when cohort_type = 'rolling_30d' then eligible_active_or_later else active_or_later_to_date end
            as bigint
        ) as active_or_later_customers,
        cast(orders as bigint) as orders,
        cast(net_revenue as {{ type_money() }}) as net_revenue,
        cast(cumulative_net_revenue as {{ type_money() }}) as cumulative_net_revenue,
        cast(eligible_net_revenue as {{ type_money() }}) as eligible_net_revenue,
        cast(eligible_first_net_revenue as {{ type_money() }}) as eligible_first_net_revenue,
        cast(eligible_cumulative_net_revenue as {{ type_money() }}) as eligible_cumulative_net_revenue,
        {{ ratio('eligible_active', 'eligible_customers') }} as retention,
        {{ ratio('eligible_active_or_later', 'eligible_customers') }} as unbounded_retention,
        -- of nothing, or of a loss, there is no share
        case
            when eligible_first_net_revenue > 0
                then {{ ratio('eligible_net_revenue', 'eligible_first_net_revenue') }}
        end as revenue_retention,
        {{ ratio('eligible_cumulative_net_revenue', 'eligible_customers') }} as cumulative_revenue_per_customer,
        cast(eligible_customers = cohort_size as boolean) as is_complete
    from measured

)

select * from final

-- Customers are counted here, once; whatever follows only adds these rows up. `last_active_customers` counts every
-- member exactly once (in the period of the last order day), so its sum over the periods is the number of members.
-- An order day opens its period when the order day before lies in another: a flag instead of grouping ten million order
-- days by customer and period.
with members as (

    select * from {{ ref('int_cohorts__members') }}

),

order_days as (

    select * from {{ ref('int_customers__order_days') }}

),

refunds as (

    select * from {{ ref('refunds') }}

),

-- what the members of a cell have in common, under one number
peer_groups as (

    select
        *,
        row_number() over (
            order by
                cohort_type asc,
                cohort_month asc,
                last_begun_period asc,
                last_finished_period asc,
                acquisition_channel asc,
                first_category asc,
                country asc,
                account_type asc
        ) as peer_group
    from (
        select distinct
            cohort_type,
            cohort_month,
            last_begun_period,
            last_finished_period,
            acquisition_channel,
            first_category,
            country,
            account_type
        from members
    ) as combinations

),

grouped_members as (

    select
        members.cohort_type,
        members.customer_key,
        members.customer_number,
        members.first_order_date,
        members.last_order_date,
        peer_groups.peer_group
    from members
    inner join peer_groups
        on
            members.cohort_type = peer_groups.cohort_type
            and members.cohort_month = peer_groups.cohort_month
            and members.last_begun_period = peer_groups.last_begun_period
            and members.last_finished_period = peer_groups.last_finished_period
            and members.acquisition_channel = peer_groups.acquisition_channel
            and members.first_category = peer_groups.first_category
            and members.country = peer_groups.country
            and members.account_type = peer_groups.account_type

),

-- one row per customer with the group in either family
buyers as (

    select
        calendar.customer_key,
        calendar.customer_number,
        calendar.first_order_date,
        calendar.last_order_date,
        calendar.peer_group as calendar_group,
        rolling.peer_group as rolling_group
    from grouped_members as calendar
    inner join grouped_members as rolling on calendar.customer_number = rolling.customer_number
    where
        calendar.cohort_type = 'calendar_month'
        and rolling.cohort_type = 'rolling_30d'

),

entries as (

    select
        buyers.calendar_group,
        buyers.rolling_group,
        buyers.first_order_date,
        buyers.last_order_date,
        order_days.order_date as entry_date,
        order_days.orders,
        order_days.net_revenue,
        order_days.previous_order_date
    from order_days
    inner join buyers on order_days.customer_key = buyers.customer_key

    union all

    -- a refund that names only a customer stands at its refund date; money that comes back before the first order (of
    -- one we don't know) belongs to the first period
    select
        buyers.calendar_group,
        buyers.rolling_group,
        buyers.first_order_date,
        buyers.last_order_date,
        greatest(refunds.refund_date, buyers.first_order_date) as entry_date,
        0 as orders,
        -refunds.amount as net_revenue,
        cast(null as date) as previous_order_date
    from refunds
    inner join buyers on refunds.customer_key = buyers.customer_key
    where refunds.order_key is null

),

placed as (

    select
        calendar_group,
        rolling_group,
        orders,
        net_revenue,
        {{ cohort_period('calendar_month', 'first_order_date', 'entry_date') }} as calendar_period,
        {{ cohort_period('rolling_30d', 'first_order_date', 'entry_date') }} as rolling_period,
        {{ cohort_period('calendar_month', 'first_order_date', 'previous_order_date') }} as previous_calendar_period,
        {{ cohort_period('rolling_30d', 'first_order_date', 'previous_order_date') }} as previous_rolling_period,
        case when orders > 0 then 1 else 0 end as is_order_day,
        case when orders > 0 and entry_date = last_order_date then 1 else 0 end as is_last_order_day
    from entries

),

-- a customer is active in a period once, however many order days: on the first of them
counted as (

    select
        calendar_group as peer_group,
        calendar_period as period,
        sum(case when calendar_period = previous_calendar_period then 0 else is_order_day end) as active_customers,
        sum(is_last_order_day) as last_active_customers,
        sum(orders) as orders,
        sum(net_revenue) as net_revenue
    from placed
    group by calendar_group, calendar_period

    union all

    select
        rolling_group as peer_group,
        rolling_period as period,
        sum(case when rolling_period = previous_rolling_period then 0 else is_order_day end) as active_customers,
        sum(is_last_order_day) as last_active_customers,
        sum(orders) as orders,
        sum(net_revenue) as net_revenue
    from placed
    group by rolling_group, rolling_period

),

final as (

    select
        cast(peer_groups.cohort_type as {{ type_string() }}) as cohort_type,
        cast(peer_groups.cohort_month as date) as cohort_month,
        cast(peer_groups.last_begun_period as integer) as last_begun_period,
        cast(peer_groups.last_finished_period as integer) as last_finished_period,
        cast(peer_groups.acquisition_channel as {{ type_string() }}) as acquisition_channel,
        cast(peer_groups.first_category as {{ type_string() }}) as first_category,
        cast(peer_groups.country as {{ type_string() }}) as country,
        cast(peer_groups.account_type as {{ type_string() }}) as account_type,
        cast(counted.period as integer) as period,
        cast(counted.active_customers as bigint) as active_customers,
        cast(counted.last_active_customers as bigint) as last_active_customers,
        cast(counted.orders as bigint) as orders,
        cast(counted.net_revenue as {{ type_money() }}) as net_revenue
    from counted
    inner join peer_groups on counted.peer_group = peer_groups.peer_group

)

select * from final

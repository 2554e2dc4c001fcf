-- Customers are counted here, once; whatever follows only adds these rows up. `last_active_customers` counts every
-- member exactly once (in the last period with an order), so its sum over the periods is the number of members.
with members as (

    select * from {{ ref('int_cohorts__members') }}

),

order_days as (

    select * from {{ ref('int_customers__order_days') }}

),

refunds as (

    select * from {{ ref('refunds') }}

),

entries as (

    select
        customer_key,
        order_date as entry_date,
        orders,
        net_revenue
    from order_days

    union all

    -- a refund that names only a customer stands at its refund date
    select
        customer_key,
        refund_date as entry_date,
        0 as orders,
        -amount as net_revenue
    from refunds
    where
        order_key is null
        and customer_key is not null

),

placed as (

    select
        members.cohort_type,
        members.customer_key,
        entries.orders,
        entries.net_revenue,
        -- money that comes back before the first order (of one we don't know) belongs to the first period
        greatest(
            case
                when members.cohort_type = 'calendar_month'
                    then {{ cohort_period('calendar_month', 'members.first_order_date', 'entries.entry_date') }}
                else {{ cohort_period('rolling_30d', 'members.first_order_date', 'entries.entry_date') }}
            end, 0
        ) as period
    from entries
    inner join members on entries.customer_key = members.customer_key

),

-- a customer is active in a period once, however many orders
customer_periods as (

    select
        cohort_type,
        customer_key,
        period,
        sum(orders) as orders,
        sum(net_revenue) as net_revenue
    from placed
    group by cohort_type, customer_key, period

),

counted as (

    select
        members.cohort_type,
        members.cohort_month,
        members.last_begun_period,
        members.last_finished_period,
        members.acquisition_channel,
        members.first_category,
        members.country,
        members.account_type,
        customer_periods.period,
        customer_periods.orders,
        customer_periods.net_revenue,
        case when customer_periods.orders > 0 then 1 else 0 end as active_customers,
        case when customer_periods.period = members.last_active_period then 1 else 0 end as last_active_customers
    from customer_periods
    inner join members
        on
            customer_periods.cohort_type = members.cohort_type
            and customer_periods.customer_key = members.customer_key

),

final as (

    select
        cast(cohort_type as {{ type_string() }}) as cohort_type,
        cast(cohort_month as date) as cohort_month,
        cast(last_begun_period as integer) as last_begun_period,
        cast(last_finished_period as integer) as last_finished_period,
        cast(acquisition_channel as {{ type_string() }}) as acquisition_channel,
        cast(first_category as {{ type_string() }}) as first_category,
        cast(country as {{ type_string() }}) as country,
        cast(account_type as {{ type_string() }}) as account_type,
        cast(period as integer) as period,
        cast(sum(active_customers) as bigint) as active_customers,
        cast(sum(last_active_customers) as bigint) as last_active_customers,
        cast(sum(orders) as bigint) as orders,
        cast(sum(net_revenue) as {{ type_money() }}) as net_revenue
    from counted
    group by
        cohort_type,
        cohort_month,
        last_begun_period,
        last_finished_period,
        acquisition_channel,
        first_category,
        country,
        account_type,
        period

)

select * from final

with

customers as (

    select * from {{ ref('int_identity__customers') }}

),

summaries as (

    select * from {{ ref('int_value__summary') }}

),

refunds as (

    select * from {{ ref('refunds') }}
    where order_key is null and customer_key is not null

),

predictions as (

    select * from {{ source('value', 'predictions') }}

),

fits as (

    select * from {{ source('value', 'fits') }}
    where role = 'orders'

),

refunds_without_order as (

    select
        customer_key,
        sum(amount) as amount
    from refunds
    group by customer_key

),

-- a deleted customer without orders is no customer; one with orders still is
counted_customers as (

    select
        customers.customer_key,
        customers.account_type,
        summaries.customer_key is not null as has_orders,
        coalesce(summaries.is_contractual, false) as is_contractual,
        coalesce(summaries.net_revenue, 0) as net_revenue
    from customers
    left join summaries
        on customers.customer_key = summaries.customer_key
    where not customers.is_tombstone or summaries.customer_key is not null

),

valued as (

    select
        counted_customers.customer_key,
        counted_customers.account_type,
        counted_customers.net_revenue - coalesce(refunds_without_order.amount, 0) as historic_value,
        -- each reason by itself; a status nobody thought of stays visible as what it is
        case
            when not counted_customers.has_orders then 'no_orders'
            when counted_customers.is_contractual then 'contractual'
            when predictions.orders_status != 'converged' then predictions.orders_status
            when predictions.spend_status != 'converged' then predictions.spend_status
            when predictions.spend_status = 'converged' then 'ok'
        end as value_status,
        predictions.p_alive,
        predictions.expected_orders_90d,
        predictions.expected_orders_365d,
        predictions.expected_order_value,
        cast(predictions.predicted_value_365d as {{ type_money() }}) as predicted_value_365d,
        predictions.next_order_days_p10,
        predictions.next_order_days_p50,
        predictions.next_order_days_p90,
        predictions.orders_fitted_on,
        fits.is_recency_better
    from counted_customers
    left join predictions
        on counted_customers.customer_key = predictions.customer_key
    left join refunds_without_order
        on counted_customers.customer_key = refunds_without_order.customer_key
    left join fits
        on predictions.orders_fitted_on = fits.business_line

),

-- equal values get equal deciles: the share of customers strictly below
deciles as (

    select
        customer_key,
        cast(floor(
            10.0 * (rank() over (order by predicted_value_365d asc) - 1) / count(*) over ()
        ) + 1 as integer) as value_decile
    from valued
    where predicted_value_365d is not null

),

final as (

    select
        cast(valued.customer_key as {{ type_string() }}) as customer_key,
        cast(valued.account_type as {{ type_string() }}) as account_type,
        cast(valued.value_status as {{ type_string() }}) as value_status,
        cast(valued.historic_value as {{ type_money() }}) as historic_value,
        cast(valued.p_alive as {{ type_double() }}) as p_alive,
        cast(valued.expected_orders_90d as {{ type_double() }}) as expected_orders_90d,
        cast(valued.expected_orders_365d as {{ type_double() }}) as expected_orders_365d,
        cast(valued.expected_order_value as {{ type_money() }}) as expected_order_value,
        cast(valued.predicted_value_365d as {{ type_money() }}) as predicted_value_365d,
        {{ add_days(as_of_date(), 'valued.next_order_days_p10') }} as next_order_date_p10,
        {{ add_days(as_of_date(), 'valued.next_order_days_p50') }} as next_order_date_p50,
        {{ add_days(as_of_date(), 'valued.next_order_days_p90') }} as next_order_date_p90,
        cast(deciles.value_decile as integer) as value_decile,
        cast(valued.orders_fitted_on as {{ type_string() }}) as fitted_on,
        cast(valued.is_recency_better as boolean) as is_recency_better,
        {{ as_of_date() }} as as_of_date
    from valued
    left join deciles
        on valued.customer_key = deciles.customer_key

)

select * from final

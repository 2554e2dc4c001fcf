with

fits as (

    select * from {{ source('value', 'fits') }}

),

final as (

    select
        {{ as_of_date() }} as as_of_date,
        cast(business_line as {{ type_string() }}) as business_line,
        cast(model as {{ type_string() }}) as model,  -- noqa: RF04
        cast(role as {{ type_string() }}) as role,  -- noqa: RF04
        cast(parameters as {{ type_string() }}) as parameters,  -- noqa: RF04
        cast(log_likelihood as {{ type_double() }}) as log_likelihood,
        cast(n as bigint) as n,
        cast(converged as boolean) as converged,
        cast(status as {{ type_string() }}) as status,
        cast(detail as {{ type_string() }}) as detail,
        cast(backtest_status as {{ type_string() }}) as backtest_status,
        cast(backtest_from as date) as backtest_from,
        cast(backtest_days as bigint) as backtest_days,
        cast(backtest_customers as bigint) as backtest_customers,
        cast(expected_orders as {{ type_double() }}) as expected_orders,
        cast(actual_orders as bigint) as actual_orders,
        cast(orders_error as {{ type_double() }}) as orders_error,
        cast(expected_revenue as {{ type_money() }}) as expected_revenue,
        cast(actual_revenue as {{ type_money() }}) as actual_revenue,
        cast(revenue_error as {{ type_double() }}) as revenue_error,
        cast(calibration_error as {{ type_double() }}) as calibration_error,
        cast(calibration as {{ type_string() }}) as calibration,
        cast(rank_correlation as {{ type_double() }}) as rank_correlation,
        cast(auc_model as {{ type_double() }}) as auc_model,
        cast(auc_recency as {{ type_double() }}) as auc_recency,
        cast(is_recency_better as boolean) as is_recency_better,
        cast(ordered_again as bigint) as ordered_again,
        cast(interval_coverage as {{ type_double() }}) as interval_coverage,
        cast(interval_coverage_expected as {{ type_double() }}) as interval_coverage_expected
    from fits

)

select * from final

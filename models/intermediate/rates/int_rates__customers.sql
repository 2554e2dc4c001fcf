with lines as (

    select * from {{ ref('int_lifecycle__lines') }}

),

customers as (

    select * from {{ ref('int_identity__customers') }}

),

first_categories as (

    select * from {{ ref('int_customers__first_category') }}

),

order_days as (

    select * from {{ ref('int_customers__order_days') }}

),

first_orders as (

    select
        customer_key,
        min(order_date) as first_order_date
    from order_days
    group by customer_key

),

final as (

    select
        cast(lines.customer_key as {{ type_string() }}) as customer_key,
        cast(coalesce(lines.business_line, 'unknown') as {{ type_string() }}) as business_line,
        cast(coalesce(customers.country, 'unknown') as {{ type_string() }}) as country,
        cast(coalesce(customers.acquisition_channel, 'unknown') as {{ type_string() }}) as acquisition_channel,
        cast(coalesce(first_categories.first_category, 'unknown') as {{ type_string() }}) as first_category,
        -- whoever only subscribed belongs to no order cohort
        cast(
            coalesce(substring(cast(first_orders.first_order_date as {{ type_string() }}), 1, 7), 'unknown')
            as {{ type_string() }}
        ) as cohort_month
    from lines
    left join customers on lines.customer_key = customers.customer_key
    left join first_categories on lines.customer_key = first_categories.customer_key
    left join first_orders on lines.customer_key = first_orders.customer_key

)

select * from final

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

cut_values as (

    select
        lines.customer_key,
        coalesce(lines.business_line, 'unknown') as business_line,
        coalesce(customers.country, 'unknown') as country,
        coalesce(customers.acquisition_channel, 'unknown') as acquisition_channel,
        coalesce(first_categories.first_category, 'unknown') as first_category,
        -- whoever only subscribed belongs to no order cohort
        coalesce(substring(cast(first_orders.first_order_date as {{ type_string() }}), 1, 7), 'unknown') as cohort_month
    from lines
    left join customers on lines.customer_key = customers.customer_key
    left join first_categories on lines.customer_key = first_categories.customer_key
    left join first_orders on lines.customer_key = first_orders.customer_key

),

-- one number for the five texts by which a customer's figures are grouped
peer_groups as (

    select
        *,
        row_number() over (
            order by
                business_line asc,
                country asc,
                acquisition_channel asc,
                first_category asc,
                cohort_month asc
        ) as peer_group
    from (
        select distinct
            business_line,
            country,
            acquisition_channel,
            first_category,
            cohort_month
        from cut_values
    ) as combinations

),

final as (

    select
        cast(cut_values.customer_key as {{ type_string() }}) as customer_key,
        cast(peer_groups.peer_group as integer) as peer_group,
        cast(cut_values.business_line as {{ type_string() }}) as business_line,
        cast(cut_values.country as {{ type_string() }}) as country,
        cast(cut_values.acquisition_channel as {{ type_string() }}) as acquisition_channel,
        cast(cut_values.first_category as {{ type_string() }}) as first_category,
        cast(cut_values.cohort_month as {{ type_string() }}) as cohort_month
    from cut_values
    inner join peer_groups
        on
            cut_values.business_line = peer_groups.business_line
            and cut_values.country = peer_groups.country
            and cut_values.acquisition_channel = peer_groups.acquisition_channel
            and cut_values.first_category = peer_groups.first_category
            and cut_values.cohort_month = peer_groups.cohort_month

)

select * from final

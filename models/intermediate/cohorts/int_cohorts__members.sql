-- Both families in one shape, so that everything after this counts them the same way: the cohort a customer belongs
-- to, which of the customer's periods have begun and which are over as of the day, and what the cohort can be cut by.
with order_totals as (

    select * from {{ ref('int_customers__order_totals') }}

),

customers as (

    select * from {{ ref('int_identity__customers') }}

),

first_categories as (

    select * from {{ ref('int_customers__first_category') }}

),

buyers as (

    select
        order_totals.customer_key,
        order_totals.first_order_date,
        order_totals.last_order_date,
        {{ month_start('order_totals.first_order_date') }} as cohort_month,
        -- a window over ten million order days is cheaper by a number than by the 32 characters of the key
        row_number() over (order by order_totals.customer_key asc) as customer_number,
        coalesce(customers.acquisition_channel, 'unknown') as acquisition_channel,
        coalesce(first_categories.first_category, 'unknown') as first_category,
        coalesce(customers.country, 'unknown') as country,
        coalesce(customers.account_type, 'unknown') as account_type
    from order_totals
    left join customers on order_totals.customer_key = customers.customer_key
    left join first_categories on order_totals.customer_key = first_categories.customer_key
    where order_totals.orders > 0

),

memberships as (

    select
        'calendar_month' as cohort_type,
        customer_key,
        customer_number,
        first_order_date,
        last_order_date,
        cohort_month,
        {{ cohort_period('calendar_month', 'first_order_date', as_of_date()) }} as last_begun_period,
        -- the month of as-of is over only on its last day
        {{ cohort_period('calendar_month', 'first_order_date', as_of_date()) }}
        - case when {{ month_end(as_of_date()) }} > {{ as_of_date() }} then 1 else 0 end as last_finished_period,
        acquisition_channel,
        first_category,
        country,
        account_type
    from buyers

    union all

    select
        'rolling_30d' as cohort_type,
        customer_key,
        customer_number,
        first_order_date,
        last_order_date,
        cohort_month,
        {{ cohort_period('rolling_30d', 'first_order_date', as_of_date()) }} as last_begun_period,
        {{ integer_divide(days_between('first_order_date', as_of_date()), 30) }} as last_finished_period,
        acquisition_channel,
        first_category,
        country,
        account_type
    from buyers

),

final as (

    select
        cast(cohort_type as {{ type_string() }}) as cohort_type,
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(customer_number as bigint) as customer_number,
        cast(first_order_date as date) as first_order_date,
        cast(last_order_date as date) as last_order_date,
        cast(cohort_month as date) as cohort_month,
        cast(last_begun_period as integer) as last_begun_period,
        cast(last_finished_period as integer) as last_finished_period,
        cast(acquisition_channel as {{ type_string() }}) as acquisition_channel,
        cast(first_category as {{ type_string() }}) as first_category,
        cast(country as {{ type_string() }}) as country,
        cast(account_type as {{ type_string() }}) as account_type
    from memberships

)

select * from final

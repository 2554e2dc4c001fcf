-- How this run builds the heavy tier, and why. Written before any of its tables is touched.
with fingerprints as (

    select * from {{ ref('int_changes__fingerprints') }}

),

touched as (

    select * from {{ ref('int_changes__customers') }}

),

owned_orders as ( -- noqa: ST03

    select * from {{ ref('int_changes__owned_orders') }}

),

front as ( -- noqa: ST03

    select * from {{ ref('int_changes__front') }}

),

before as (

    select * from {{ ref('int_changes__before') }}

),

-- those of the last run, but for the orders whose fingerprints were taken again
standing as (

    select
        order_key,
        customer_key
    from fingerprints
    {{ and_previous(
        'int_changes__kept',
        "select kept.order_key, kept.customer_key from {previous} as kept"
        ~ " left join owned_orders on kept.order_id = owned_orders.order_id"
        ~ " where owned_orders.order_id is null and (select front.mode from front) = 'incremental'"
    ) }}

),

sizes as (

    select
        count(distinct customer_key) as customers,
        count(*) as orders
    from standing

),

touched_sizes as (

    select count(*) as touched_customers
    from touched

),

judged as (

    select
        before.*,
        sizes.customers,
        sizes.orders,
        touched_sizes.touched_customers,
        case
            {{ reasons_for_full('before.is_full_interrupted') }}
            when touched_sizes.touched_customers > sizes.customers * {{ var('incremental_max_share') }}
                then 'more customers changed than incremental_max_share'
        end as reason
    from before
    cross join sizes
    cross join touched_sizes

),

final as (

    select
        {{ decision_columns() }},
        cast(customers as bigint) as customers,
        cast(orders as bigint) as orders,
        cast(touched_customers as bigint) as touched_customers,
        {{ versions_of_run() }}
    from judged

)

select * from final

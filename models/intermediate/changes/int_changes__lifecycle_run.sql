-- How this run builds the lifecycle, and why.
with run as (

    select * from {{ ref('int_changes__run') }}

),

heavy_before as (

    select * from {{ ref('int_changes__before') }}

),

before as (

    select * from {{ ref('int_changes__lifecycle_before') }}

),

touched as (

    select * from {{ ref('int_changes__lifecycle_customers') }}

),

lifecycle_rows as (

    select * from {{ ref('int_changes__lifecycle_rows') }}

),

touched_sizes as (

    select count(*) as touched_customers
    from touched

),

sizes as (

    select count(*) as customers
    from lifecycle_rows

),

judged as (

    select
        before.is_interrupted,
        sizes.customers,
        touched_sizes.touched_customers,
        case
            when run.mode = 'full' then run.reason
            when coalesce(before.done_run_id != heavy_before.done_run_id, true)
                then 'the last finished run of the heavy tier left the lifecycle unfinished'
            when before.is_full_interrupted then 'the last full build was interrupted'
            when {{ not lifecycle_stands() }} then 'a table of the lifecycle is missing'
            when touched_sizes.touched_customers > sizes.customers * {{ var('incremental_max_share') }}
                then 'more lifecycles changed than incremental_max_share'
        end as reason
    from run
    cross join heavy_before
    cross join before
    cross join sizes
    cross join touched_sizes

),

final as (

    select
        {{ decision_columns() }},
        cast(customers as bigint) as customers,
        cast(touched_customers as bigint) as touched_customers,
        {{ versions_of_run() }}
    from judged

)

select * from final

-- How this run builds what comes after canonical subscriptions, and why.
with touched as (

    select * from {{ ref('int_changes__subscriptions') }}

),

subscription_rows as (

    select * from {{ ref('int_changes__subscription_rows') }}

),

front as (

    select * from {{ ref('int_changes__subscription_front') }}

),

touched_sizes as (

    select count(*) as touched_subscriptions
    from touched

),

sizes as (

    select count(*) as subscriptions
    from subscription_rows

),

judged as (

    select
        front.is_interrupted,
        sizes.subscriptions,
        touched_sizes.touched_subscriptions,
        case
            when front.mode = 'full' then front.reason
            when front.is_full_interrupted then 'the last full build was interrupted'
            when touched_sizes.touched_subscriptions > sizes.subscriptions * {{ var('incremental_max_share') }}
                then 'more subscriptions changed than incremental_max_share'
        end as reason
    from front
    cross join sizes
    cross join touched_sizes

),

final as (

    select
        {{ decision_columns() }},
        cast(subscriptions as bigint) as subscriptions,
        cast(touched_subscriptions as bigint) as touched_subscriptions,
        {{ versions_of_run('subscriptions') }}
    from judged

)

select * from final

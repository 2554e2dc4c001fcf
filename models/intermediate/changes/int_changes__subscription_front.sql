-- How this run builds canonical subscriptions and their events, and why (macros/incremental/subscriptions.sql). Written
-- before any table of the subscription tier is touched.
with chunks as (

    select * from {{ ref('int_changes__subscription_chunks') }}

),

before as (

    {{ what_runs_left(
        'int_changes__subscription_front', 'int_changes__subscription_run', 'int_changes__subscription_done'
    ) }}

),

{{ sizes_of_chunks() }},

judged as (

    select
        before.*,
        sums.row_count,
        sums.changed_rows,
        case
            {{ reasons_for_full('before.is_full_front_interrupted', 'subscriptions') }}
            when {{ not follows_landed() }} then 'at this engine the subscription tier is always built in full'
            when {{ not subscriptions_stand() }} then 'a table of the subscription tier is missing'
            {{ reasons_of_landed() }}
        end as reason
    from before
    cross join sums

),

final as (

    select
        {{ decision_columns() }},
        is_full_interrupted,
        {{ window_columns() }}
    from judged

)

select * from final

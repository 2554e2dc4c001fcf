-- How this run builds canonical subscriptions and their events, and why (macros/incremental/subscriptions.sql). Written
-- before any table of the subscription tier is touched.
{%- set run_id = env_var('RITORNO_RUN_ID', '') -%}
{%- set policy_hash = env_var('RITORNO_POLICY_HASH', '') -%}
{%- set code_hash = env_var('RITORNO_CODE_HASH', '') %}
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
            {{ reasons_for_full(
                run_id, policy_hash, code_hash, 'before.is_full_front_interrupted', 'subscriptions'
            ) }}
            when {{ not follows_landed() }} then 'at this engine the subscription tier is always built in full'
            when {{ not subscriptions_stand() }} then 'a table of the subscription tier is missing'
            {{ reasons_of_landed() }}
        end as reason
    from before
    cross join sums

),

final as (

    select
        {{ decision_columns(run_id) }},
        is_full_interrupted,
        {{ window_columns() }}
    from judged

)

select * from final

-- How this run builds what comes after canonical subscriptions, and why.
{%- set run_id = env_var('RITORNO_RUN_ID', '') -%}
{%- set policy_hash = env_var('RITORNO_POLICY_HASH', '') -%}
{%- set code_hash = env_var('RITORNO_CODE_HASH', '') %}
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
        {{ decision_columns(run_id) }},
        cast(subscriptions as bigint) as subscriptions,
        cast(touched_subscriptions as bigint) as touched_subscriptions,
        cast({{ takes_fingerprints('subscriptions') | string | lower }} as boolean) as has_fingerprints,
        cast('{{ policy_hash }}' as {{ type_string() }}) as policy_hash,
        cast('{{ code_hash }}' as {{ type_string() }}) as code_hash
    from judged

)

select * from final

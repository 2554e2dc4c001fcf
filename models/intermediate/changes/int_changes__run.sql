-- How this run builds the heavy tier, and why. Written before any of its tables is touched.
{%- set run_id = env_var('RITORNO_RUN_ID', '') -%}
{%- set policy_hash = env_var('RITORNO_POLICY_HASH', '') -%}
{%- set code_hash = env_var('RITORNO_CODE_HASH', '') %}
with fingerprints as (

    select * from {{ ref('int_changes__fingerprints') }}

),

touched as (

    select * from {{ ref('int_changes__customers') }}

),

before as (

    select * from {{ ref('int_changes__before') }}

),

sizes as (

    select
        count(*) as customers,
        coalesce(sum(orders), 0) as orders
    from fingerprints

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
            when {{ var('incremental') == 'never' }} then 'policy: incremental is never'
            when {{ not can_delete_rows() }} then 'this engine has no rows that could be replaced'
            when {{ not takes_fingerprints() }}
                then 'policy: fewer orders than incremental_from_orders'
            when '{{ run_id }}' = '' then 'dbt was run by hand'
            when '{{ env_var('RITORNO_FULL', '') }}' != '' then 'asked for (--full)'
            when before.done_run_id is null then 'no finished run to build on'
            when before.done_engine != '{{ target.type }}' then 'the last run was on ' || before.done_engine
            when before.done_policy_hash != '{{ policy_hash }}' then 'the policy has changed'
            when before.done_code_hash != '{{ code_hash }}'
                then 'models, macros or versions have changed'
            when before.is_interrupted and before.begun_mode = 'full' then 'the last full build was interrupted'
            when not before.has_fingerprints then 'the last run took no fingerprints'
            when before.done_as_of_date > {{ as_of_date() }}
                then 'as of goes back from ' || cast(before.done_as_of_date as {{ type_string() }})
            when touched_sizes.touched_customers > sizes.customers * {{ var('incremental_max_share') }}
                then 'more customers changed than incremental_max_share'
        end as reason
    from before
    cross join sizes
    cross join touched_sizes

),

final as (

    select
        cast('{{ run_id }}' as {{ type_string() }}) as run_id,
        {{ as_of_date() }} as as_of_date,
        cast('{{ target.type }}' as {{ type_string() }}) as engine,
        cast(case when reason is null then 'incremental' else 'full' end as {{ type_string() }}) as mode,
        cast(reason as {{ type_string() }}) as reason,
        is_interrupted,
        cast(customers as bigint) as customers,
        cast(orders as bigint) as orders,
        cast(touched_customers as bigint) as touched_customers,
        cast({{ takes_fingerprints() | string | lower }} as boolean) as has_fingerprints,
        cast('{{ policy_hash }}' as {{ type_string() }}) as policy_hash,
        cast('{{ code_hash }}' as {{ type_string() }}) as code_hash
    from judged

)

select * from final

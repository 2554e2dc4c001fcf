-- How this run builds the front, and why (macros/incremental/front.sql). Written before any of its tables is touched.
{%- set run_id = env_var('RITORNO_RUN_ID', '') -%}
{%- set policy_hash = env_var('RITORNO_POLICY_HASH', '') -%}
{%- set code_hash = env_var('RITORNO_CODE_HASH', '') %}
with chunks as (

    select * from {{ ref('int_changes__chunks') }}

),

before as (

    select * from {{ ref('int_changes__before') }}

),

sizes as (

    select
        entity,
        sum(row_count) as row_count,
        sum(case when is_changed then row_count else 0 end) as changed_rows
    from chunks
    group by entity

),

sums as (

    select
        coalesce(sum(row_count), 0) as row_count,
        coalesce(sum(changed_rows), 0) as changed_rows,
        coalesce(
            max(case when changed_rows > row_count * {{ var('incremental_max_share') }} then 1 else 0 end), 0
        ) as has_too_many,
        max(case when entity like '%.%' then entity end) as foreign_entity
    from sizes

),

judged as (

    select
        before.*,
        sums.row_count,
        sums.changed_rows,
        case
            {{ reasons_for_full(run_id, policy_hash, code_hash, 'before.is_full_front_interrupted') }}
            when {{ not follows_landed() }} then 'at this engine the front is always built in full'
            when {{ not front_stands() }} then 'a table of the front is missing'
            when sums.foreign_entity is not null
                then 'rows of ' || sums.foreign_entity || ', of which only staging knows'
            when sums.has_too_many = 1 then 'more rows changed than incremental_max_share'
        end as reason
    from before
    cross join sums

),

final as (

    select
        {{ decision_columns(run_id) }},
        cast(row_count as bigint) as landed_rows,
        cast(changed_rows as bigint) as changed_rows,
        cast(done_as_of_date as date) as last_as_of_date,
        -- whatever the zone, a local date is within two days of the instant's
        cast({{ add_days('done_as_of_date', -2) }} as timestamp) as due_from,
        cast({{ add_days(as_of_date(), 2) }} as timestamp) as due_to
    from judged

)

select * from final

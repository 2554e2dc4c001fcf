-- sqlfluff:indentation:template_blocks_indent:false
-- Counted where rows landed, not where they were read, so that a row lost on the way is missed.
with rejects as (

    select * from {{ source('landing', 'rejects') }}

),

counted_rows as (
    {% for count in landed_relations() %}
    select
        '{{ count.system }}' as system,
        '{{ count.entity }}' as entity,
        {{ 'true' if count.is_raw else 'false' }} as is_raw,
        coalesce({{ count.batch }}, 0) as source_batch,
        count(*) as read_rows
    from {{ count.relation }}
    group by coalesce({{ count.batch }}, 0)
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}

),

rejected_rows as (

    select
        system,
        table_name as entity,
        coalesce(batch, 0) as source_batch,
        count(*) as rejected_rows
    from rejects
    group by system, table_name, coalesce(batch, 0)

),

final as (

    select
        cast(coalesce(counted_rows.system, rejected_rows.system) as {{ type_string() }}) as system,
        cast(coalesce(counted_rows.entity, rejected_rows.entity) as {{ type_string() }}) as entity,
        coalesce(counted_rows.is_raw, true) as is_raw,
        cast(coalesce(counted_rows.source_batch, rejected_rows.source_batch) as bigint) as source_batch,
        cast(coalesce(counted_rows.read_rows, 0) + coalesce(rejected_rows.rejected_rows, 0) as bigint) as landed,
        cast(coalesce(rejected_rows.rejected_rows, 0) as bigint) as rejected
    from counted_rows
    full outer join rejected_rows
        on
            counted_rows.system = rejected_rows.system
            and counted_rows.entity = rejected_rows.entity
            and counted_rows.source_batch = rejected_rows.source_batch

)

select * from final

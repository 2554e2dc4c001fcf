-- sqlfluff:indentation:template_blocks_indent:false
with statuses as (
    {% for entity in canonical_entities() %}
    select
        system,
        '{{ entity }}' as entity,
        source_batch,
        row_status,
        count(*) as row_count
    from {{ ref('int_canonical__' ~ entity) }}
    group by system, source_batch, row_status
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}

),

final as (

    select
        cast(system as {{ type_string() }}) as system,
        cast(entity as {{ type_string() }}) as entity,
        cast(source_batch as bigint) as source_batch,
        cast(row_status as {{ type_string() }}) as row_status,
        cast(row_count as bigint) as row_count
    from statuses

)

select * from final

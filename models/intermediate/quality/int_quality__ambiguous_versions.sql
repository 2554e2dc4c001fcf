-- sqlfluff:indentation:template_blocks_indent:false
with ambiguous as (
    {% for entity in canonical_entities() %}
    select
        system,
        '{{ entity }}' as entity,
        {{ canonical_key_text(entity) }} as row_key,
        row_status,
        source_file,
        source_line,
        source_batch,
        updated_at
    from {{ ref('int_canonical__' ~ entity) }}
    where is_ambiguous
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}

),

final as (

    select
        cast(system as {{ type_string() }}) as system,
        cast(entity as {{ type_string() }}) as entity,
        cast(row_key as {{ type_string() }}) as row_key,
        cast(row_status as {{ type_string() }}) as row_status,
        cast(source_file as {{ type_string() }}) as source_file,
        cast(source_line as bigint) as source_line,
        cast(source_batch as bigint) as source_batch,
        cast(updated_at as timestamp) as updated_at
    from ambiguous

)

select * from final

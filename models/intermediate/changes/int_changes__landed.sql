-- What stands landed of the entities that the front follows, in chunks of rows: the sum of the hashes of each. Empty in
-- a run that takes no fingerprints. Of another system than files only how many rows it provides.
with
{%- for entity in followed_entities() %}

{{ entity }}_rows as (

    select
        {%- for column in canonical_contract(entity).columns %}
        {{ adapter.quote(column.name) }},
        {%- endfor %}
        _ritorno_file,
        _ritorno_line,
        _ritorno_batch
    from {{ source('files', entity) }}
    {% if not takes_fingerprints() %}where false{% endif %}

),

{{ entity }}_chunks as (

    select
        '{{ entity }}' as entity,
        coalesce(_ritorno_batch, 0) as batch,
        {{ chunk_of('_ritorno_line', raw_order_id(entity ~ '_rows')) }} as chunk,
        count(*) as row_count,
        sum({{ row_hash(entity ~ '_rows') }}) as row_hashes
    from {{ entity }}_rows
    group by 2, 3

),
{%- endfor %}
{%- for system, entities in var('systems').items() if system != 'files' %}
{%- for entity in followed_entities() if entity in entities %}

{{ system }}_{{ entity }} as (

    select
        '{{ system }}.{{ entity }}' as entity,
        0 as batch,
        0 as chunk,
        count(*) as row_count,
        0 as row_hashes
    from {{ ref('stg_' ~ system ~ '__' ~ entity) }}
    {% if not takes_fingerprints() %}where false{% endif %}
    having count(*) > 0

),
{%- endfor %}
{%- endfor %}

-- depends_on: {{ ref('stg_files__orders') }}
chunks as (
    {%- for entity in followed_entities() %}

    select * from {{ entity }}_chunks
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
    {%- for system, entities in var('systems').items() if system != 'files' %}
    {%- for entity in followed_entities() if entity in entities %}
    union all
    select * from {{ system }}_{{ entity }}
    {%- endfor %}
    {%- endfor %}

),

final as (

    select
        cast(entity as {{ type_string() }}) as entity,
        cast(batch as bigint) as batch,
        cast(chunk as bigint) as chunk,
        cast(row_count as bigint) as row_count,
        cast(row_hashes as decimal(38, 0)) as row_hashes
    from chunks

)

select * from final

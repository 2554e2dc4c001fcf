{#- Staging of a canonical raw table: the columns are the contract's, so there is nothing to rename; each is cast to
    its declared type, and a row with a value that can't be read says which (the first in column order), what stood
    there, and why. No row is dropped, but by `filter`, a condition on the raw table as `source`. -#}
{% macro stage_files(entity, filter='') -%}
{#- with a filter the text stands in another model's SQL, which comes after the staging model anyway -#}
{%- if not filter -%}
    {%- set source_relation = source('files', entity) -%}
{%- elif execute -%}
    {%- set source_relation = graph.sources['source.ritorno.files.' ~ entity].relation_name -%}
{%- endif -%}
{%- set contract = canonical_contract(entity) -%}
{%- set one_of = contract.meta.get('one_of', []) -%}
{%- set names = contract.columns | map(attribute='name') | list -%}
{%- set elsewhere = one_of | reject('in', names) | list -%}
{%- set checks = [] -%}
{%- for column in contract.columns -%}
    {%- set typed = 'typed.' ~ adapter.quote(column.name) -%}
    {%- set raw = 'typed.' ~ adapter.quote('raw_' ~ column.name) -%}
    {%- if column.config.meta.get('required') -%}
        {%- do checks.append({'column': column.name, 'when': raw ~ ' is null', 'value': 'null',
                              'reason': column.name ~ ' is missing'}) -%}
    {%- endif -%}
    {%- if column.data_type != 'string' -%}
        {%- do checks.append({'column': column.name, 'when': typed ~ ' is null and ' ~ raw ~ ' is not null', 'value': raw,
                              'reason': column.name ~ ' ' ~ unreadable_reason(column.data_type)}) -%}
    {%- endif -%}
{%- endfor -%}
{%- if one_of and not elsewhere -%}
    {%- set given = [] -%}
    {%- for name in one_of -%}{%- do given.append('typed.' ~ adapter.quote(name) ~ ' is null') -%}{%- endfor -%}
    {%- do checks.append({'column': one_of[0], 'when': given | join(' and '), 'value': 'null',
                          'reason': 'none of ' ~ one_of | join(', ') ~ ' is given'}) -%}
{%- endif -%}
with source as (

    select * from {{ source_relation }}{{ ' as source ' ~ filter if filter }}

),

typed as (

    select
        {%- for column in contract.columns %}
        {{ read_as('source.' ~ adapter.quote(column.name), column.data_type) }} as {{ adapter.quote(column.name) }},
        {%- if column.data_type != 'string' or column.config.meta.get('required') %}
        {{ read_string('source.' ~ adapter.quote(column.name)) }} as {{ adapter.quote('raw_' ~ column.name) }},
        {%- endif %}
        {%- endfor %}
        source._ritorno_file as source_file,
        source._ritorno_line as source_line,
        source._ritorno_batch as source_batch
    from source
    {{ computed_once() }}

),

checked as (

    select
        typed.*,
        case
            {%- for check in checks %}
            when {{ check.when }} then {{ loop.index }}
            {%- endfor %}
            else 0
        end as bad_check
    from typed
    {{ computed_once() }}

),

final as (

    select
        'files' as system,
        {%- for column in contract.columns %}
        {{ adapter.quote(column.name) }},
        {%- endfor %}
        source_file,
        source_line,
        source_batch,
        case bad_check
            {%- for check in checks %}
            when {{ loop.index }} then '{{ check.column }}'
            {%- endfor %}
        end as bad_column,
        case bad_check
            {%- for check in checks %}
            when {{ loop.index }} then {{ check.value | replace('typed.', '') }}
            {%- endfor %}
        end as bad_value,
        case bad_check
            {%- for check in checks %}
            when {{ loop.index }} then '{{ check.reason }}'
            {%- endfor %}
        end as bad_reason
    from checked

)

select * from final
{%- endmacro %}

{#- Reading JSON that is stored as text. Paths are those of a policy: $.name or $.name.name. -#}

{#- what stands at the path: text, integer, number, boolean, list, object, null (there, and null) or null (not there) -#}
{% macro json_kind(document, path) -%}{{ return(adapter.dispatch('json_kind', 'ritorno')(document, path)) }}{%- endmacro %}
{% macro duckdb__json_kind(document, path) -%}
case json_type({{ document }}, '{{ path }}')
    when 'VARCHAR' then 'text'
    when 'BIGINT' then 'integer'
    when 'UBIGINT' then 'integer'
    when 'DOUBLE' then 'number'
    when 'BOOLEAN' then 'boolean'
    when 'ARRAY' then 'list'
    when 'OBJECT' then 'object'
    when 'NULL' then 'null'
end
{%- endmacro %}

{#- the value at the path as text; a list or object as JSON text -#}
{% macro json_text(document, path) -%}{{ return(adapter.dispatch('json_text', 'ritorno')(document, path)) }}{%- endmacro %}
{% macro duckdb__json_text(document, path) -%}json_extract_string({{ document }}, '{{ path }}'){%- endmacro %}

{#- rows (document_key, item_number, item): the items of lists given as JSON text; items that are no scalar are left out -#}
{% macro json_list_items(relation, key, document) -%}{{ return(adapter.dispatch('json_list_items', 'ritorno')(relation, key, document)) }}{%- endmacro %}
{% macro duckdb__json_list_items(relation, key, document) -%}
(
    select
        {{ key }} as document_key,
        generate_subscripts(json_extract({{ document }}, '$[*]'), 1) as item_number,
        json_extract_string(unnest(json_extract({{ document }}, '$[*]')), '$') as item
    from {{ relation }}
)
{%- endmacro %}

{#- rows (system, name): the names at the top of JSON objects given as text, one row per document and name -#}
{% macro json_names(relation, document) -%}{{ return(adapter.dispatch('json_names', 'ritorno')(relation, document)) }}{%- endmacro %}
{% macro duckdb__json_names(relation, document) -%}
(select system, unnest(json_keys({{ document }})) as name from {{ relation }})
{%- endmacro %}

{#- '$.a.b' as PostgreSQL's path {a,b}; '$' is the document itself -#}
{% macro postgres__json_at(document, path) -%}
{%- set steps = path.lstrip('$').lstrip('.') -%}
{%- if steps -%}(cast({{ document }} as jsonb) #> '{% raw %}{{% endraw %}{{ steps | replace('.', ',') }}}'){%- else -%}cast({{ document }} as jsonb){%- endif -%}
{%- endmacro %}

{% macro postgres__json_kind(document, path) -%}
{%- set found = ritorno.postgres__json_at(document, path) | replace('jsonb', 'json') -%}{#- jsonb writes 1e2 as 100 -#}
case json_typeof({{ found }})
    when 'string' then 'text'
    when 'number' then case when cast({{ found }} as text) ~ '^-?[0-9]+$' then 'integer' else 'number' end
    when 'boolean' then 'boolean'
    when 'array' then 'list'
    when 'object' then 'object'
    when 'null' then 'null'
end
{%- endmacro %}

{% macro postgres__json_text(document, path) -%}
({{ ritorno.postgres__json_at(document, path) }} #>> '{}')
{%- endmacro %}

{% macro postgres__json_list_items(relation, key, document) -%}
(
    select
        documents.{{ key }} as document_key,
        items.item_number,
        items.item
    from {{ relation }} as documents
    cross join lateral
        jsonb_array_elements_text(cast(documents.{{ document }} as jsonb)) with ordinality as items (item, item_number)
)
{%- endmacro %}

{% macro postgres__json_names(relation, document) -%}
(
    select
        documents.system,
        names.name
    from {{ relation }} as documents
    cross join lateral jsonb_object_keys(cast(documents.{{ document }} as jsonb)) as names (name)
)
{%- endmacro %}

{% macro spark__json_kind(document, path) -%}
{%- set found = "schema_of_variant(variant_get(try_parse_json(" ~ document ~ "), '" ~ path ~ "', 'variant'))" -%}
case
    when {{ found }} = 'STRING' then 'text'
    when {{ found }} = 'BIGINT' or {{ found }} rlike '^DECIMAL[(][0-9]+,0[)]$' then 'integer'
    when {{ found }} = 'DOUBLE' or {{ found }} like 'DECIMAL%' then 'number'
    when {{ found }} = 'BOOLEAN' then 'boolean'
    when {{ found }} like 'ARRAY%' then 'list'
    when {{ found }} like 'OBJECT%' then 'object'
    when {{ found }} = 'VOID' then 'null'
end
{%- endmacro %}

{% macro spark__json_text(document, path) -%}get_json_object({{ document }}, '{{ path }}'){%- endmacro %}

{% macro spark__json_list_items(relation, key, document) -%}
(
    select
        exploded.document_key,
        exploded.position + 1 as item_number,
        exploded.item
    from (
        select
            {{ key }} as document_key,
            posexplode(from_json({{ document }}, 'array<string>')) as (position, item)
        from {{ relation }}
    ) as exploded
)
{%- endmacro %}

{% macro spark__json_names(relation, document) -%}
(select system, explode(json_object_keys({{ document }})) as name from {{ relation }})
{%- endmacro %}

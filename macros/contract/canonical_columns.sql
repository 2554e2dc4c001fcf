{#- The declared columns of a canonical entity, from the contract (models/staging/files/_files__sources.yml).
    Empty while dbt only parses: the graph is not there yet, and nothing that parsing needs depends on it. -#}
{% macro canonical_contract(entity) -%}
    {%- if not execute -%}
        {{ return({'columns': [], 'meta': {}}) }}
    {%- endif -%}
    {%- set node = graph.sources['source.ritorno.files.' ~ entity] -%}
    {{ return({'columns': node.columns.values() | list, 'meta': node.config.meta or node.meta or {}}) }}
{%- endmacro %}

{#- The SQL type of a contract type. -#}
{% macro canonical_type(data_type) -%}
    {%- set types = {
        'string': type_string(), 'json': type_string(), 'timezone': type_string(),
        'timestamp': 'timestamp', 'date': 'date', 'boolean': 'boolean', 'bigint': 'bigint',
        'decimal': type_price(), 'rate': 'decimal(18, 8)',
    } -%}
    {%- if data_type not in types -%}
        {{ exceptions.raise_compiler_error("Unknown data_type '" ~ data_type ~ "' in the canonical contract; known: " ~ types.keys() | join(', ')) }}
    {%- endif -%}
    {{- types[data_type] -}}
{%- endmacro %}

{#- Reads a raw value as a contract type; null for what can't be read. -#}
{% macro read_as(value, data_type) -%}
    {%- if data_type == 'timestamp' -%}{{ read_instant(value) }}
    {%- elif data_type == 'date' -%}{{ read_date(value) }}
    {%- elif data_type == 'decimal' -%}{{ read_decimal(value) }}
    {%- elif data_type == 'rate' -%}{{ read_rate(value) }}
    {%- elif data_type == 'bigint' -%}{{ read_integer(value) }}
    {%- elif data_type == 'boolean' -%}{{ read_boolean(value) }}
    {%- elif data_type == 'timezone' -%}{{ read_timezone(value) }}
    {%- elif data_type == 'json' -%}{{ read_json(value) }}
    {%- else -%}{{ read_string(value) }}
    {%- endif -%}
{%- endmacro %}

{#- What a value that can't be read was supposed to be, for the quarantine's reason. -#}
{% macro unreadable_reason(data_type) -%}
    {%- set reasons = {
        'timestamp': 'is no ISO 8601 time between 1900 and 2200', 'date': 'is no ISO 8601 date',
        'decimal': 'is no decimal number', 'rate': 'is no decimal number above 0', 'bigint': 'is no whole number',
        'boolean': 'is neither true nor false', 'timezone': 'is no IANA time zone', 'json': 'is no JSON',
    } -%}
    {{- reasons.get(data_type, 'can not be read') -}}
{%- endmacro %}

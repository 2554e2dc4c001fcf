{#- A model's schema is the one it names (raw, staging, intermediate, marts …), without dbt's prefix:
    BI reads `marts.customers` on every target. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}

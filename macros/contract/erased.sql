{#- Tokens of erased people (orchestration/ritorno/privacy/tokens.py): ids begin with erased-, addresses stand below a
    reserved domain. -#}
{% macro is_erased_id(column) -%}
coalesce({{ column }} like 'erased-%', false)
{%- endmacro %}

{% macro is_erased_row(columns) -%}
(
    {%- for name in ['customer_id', 'contact_id', 'email'] if adapter.quote(name) in columns %}
    {{ 'or ' if not loop.first }}{{ is_erased_id(name) }}
    {%- endfor %}
)
{%- endmacro %}

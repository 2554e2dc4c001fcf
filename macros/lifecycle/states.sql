{#- The lifecycle states of METRICS.md, in the order one shows them. -#}
{% macro lifecycle_states() -%}
    {{ return(['registered', 'registered_at_risk', 'registered_lapsed', 'new', 'active', 'reactivated', 'at_risk', 'lapsed']) }}
{%- endmacro %}

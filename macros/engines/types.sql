{#- Type names that mean the same on every engine. Money is type_money at every sum, ratios are type_double. -#}
{% macro type_string() -%}{{ return(adapter.dispatch('type_text', 'ritorno')()) }}{%- endmacro %}
{% macro default__type_text() -%}varchar{%- endmacro %}
{% macro spark__type_text() -%}string{%- endmacro %}
{% macro type_money() -%}decimal(18, 2){%- endmacro %}
{% macro type_price() -%}decimal(18, 4){%- endmacro %}
{% macro type_double() -%}{{ return(adapter.dispatch('type_double', 'ritorno')()) }}{%- endmacro %}
{% macro default__type_double() -%}double{%- endmacro %}
{% macro postgres__type_double() -%}double precision{%- endmacro %}

{#- A quotient as DOUBLE, null when there is nothing to divide by: double by double on every engine. -#}
{% macro ratio(numerator, denominator) -%}
(cast({{ numerator }} as {{ type_double() }}) / nullif(cast({{ denominator }} as {{ type_double() }}), 0))
{%- endmacro %}

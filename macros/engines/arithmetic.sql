{#- A quotient as DOUBLE, null when there is nothing to divide by: double by double on every engine. -#}
{% macro ratio(numerator, denominator) -%}
(cast({{ numerator }} as {{ type_double() }}) / nullif(cast({{ denominator }} as {{ type_double() }}), 0))
{%- endmacro %}

{#- An integer wide enough for the product of two amounts in cents or hundredths of cents: shares of money are
    computed exactly, so that equal remainders are equal on every engine. -#}
{% macro type_wide_integer() -%}{{ return(adapter.dispatch('type_wide_integer', 'ritorno')()) }}{%- endmacro %}
{% macro default__type_wide_integer() -%}decimal(38, 0){%- endmacro %}
{% macro duckdb__type_wide_integer() -%}hugeint{%- endmacro %}

{#- whole quotient of two integers ≥ 0 -#}
{% macro whole_quotient(numerator, denominator) -%}{{ return(adapter.dispatch('whole_quotient', 'ritorno')(numerator, denominator)) }}{%- endmacro %}
{% macro default__whole_quotient(numerator, denominator) -%}div({{ numerator }}, {{ denominator }}){%- endmacro %}
{% macro duckdb__whole_quotient(numerator, denominator) -%}(({{ numerator }}) // ({{ denominator }})){%- endmacro %}
{% macro spark__whole_quotient(numerator, denominator) -%}(({{ numerator }}) div ({{ denominator }})){%- endmacro %}

{#- -1, 0 or 1 -#}
{% macro sign_of(number) -%}{{ return(adapter.dispatch('sign_of', 'ritorno')(number)) }}{%- endmacro %}
{% macro default__sign_of(number) -%}sign({{ number }}){%- endmacro %}
{% macro spark__sign_of(number) -%}cast(sign({{ number }}) as integer){%- endmacro %}

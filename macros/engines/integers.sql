{#- Whole numbers. Decimal division, rounding and casts to integer differ between engines; these don't. -#}

{#- the whole part of numerator / denominator, for numerator >= 0 and denominator > 0 (signs differ by engine) -#}
{% macro integer_divide(numerator, denominator) -%}{{ return(adapter.dispatch('integer_divide', 'ritorno')(numerator, denominator)) }}{%- endmacro %}
{% macro default__integer_divide(numerator, denominator) -%}
(cast({{ numerator }} as bigint) / cast({{ denominator }} as bigint))
{%- endmacro %}
{% macro duckdb__integer_divide(numerator, denominator) -%}
(cast({{ numerator }} as bigint) // cast({{ denominator }} as bigint))
{%- endmacro %}
{% macro spark__integer_divide(numerator, denominator) -%}
(cast({{ numerator }} as bigint) div cast({{ denominator }} as bigint))
{%- endmacro %}

{#- money per piece, in whole cents, halves away from zero. Exact: 0.30 / 3 and 0.10 / 1 are the same value, which
    they are not as doubles, so equal averages tie. -#}
{% macro average_money(total, pieces) -%}
cast(
    case when {{ total }} < 0 then -1 else 1 end
    * {{ integer_divide("2 * cast(abs(" ~ total ~ ") * 100 as bigint) + " ~ pieces, "2 * (" ~ pieces ~ ")") }}
    * cast(0.01 as decimal(3, 2)) as {{ type_money() }}
)
{%- endmacro %}

{#- rows with the column `number`: 0, 1, … up to `last` (an expression; null or negative: no row) -#}
{% macro number_series(last) -%}{{ return(adapter.dispatch('number_series', 'ritorno')(last)) }}{%- endmacro %}
{% macro duckdb__number_series(last) -%}
(select cast(unnest(range(0, cast({{ last }} as bigint) + 1)) as integer) as number)
{%- endmacro %}
{% macro postgres__number_series(last) -%}
(select cast(series.value as integer) as number from generate_series(0, cast({{ last }} as bigint)) as series (value))
{%- endmacro %}
{% macro spark__number_series(last) -%}
(
    select explode(case when bounds.last_number >= 0 then sequence(0, bounds.last_number) end) as number
    from (select cast({{ last }} as integer) as last_number) as bounds
)
{%- endmacro %}

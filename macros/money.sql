{#- Money: everything that turns one amount into another, without a float. -#}

{#- `amount` (order currency, at most four places) in the reporting currency, rounded once to cents; null if it does
    not fit. Most rows are in the reporting currency: rounding 64-bit decimals costs a thirtieth of rounding 128-bit ones
    (measured on DuckDB 1.5: .01 against .58 s a million). -#}
{% macro reporting_amount(amount, rate) -%}
case
    when {{ rate }} = 1 then {{ safe_cast("round(" ~ safe_cast(amount, type_price()) ~ ", 2)", type_money()) }}
    else {{ safe_cast("round(cast(" ~ amount ~ " as decimal(38, 4)) * " ~ rate ~ ", 2)", type_money()) }}
end
{%- endmacro %}

{#- `amount` as a whole number of its smallest parts: `places` decimal places -#}
{% macro in_units(amount, places) -%}
cast(cast({{ amount }} as decimal(38, {{ places }})) * {{ 10 ** places }} as {{ type_wide_integer() }})
{%- endmacro %}

{#- amount × part / whole in cents, half away from zero, exact. `part` in cents, `whole` above 0 in the unit of `amount`. -#}
{% macro rounded_share(amount, part, whole) -%}
cast({{ sign_of(amount) }} * {{ sign_of(part) }} * {{ whole_quotient(
    "2 * abs(" ~ in_units(amount, 4) ~ ") * abs(" ~ in_units(part, 2) ~ ") + " ~ in_units(whole, 4),
    "2 * " ~ in_units(whole, 4)
) }} as decimal(36, 0)) * cast(0.01 as decimal(2, 2))
{%- endmacro %}

{#- One line's share, in cents, of an amount that is spread by largest remainder: its whole part, and a cent more for
    the `amount − Σ whole parts` lines with the largest remainders. -#}
{% macro largest_remainder_share(amount, whole_part, whole_parts, remainder_rank) -%}
{{ sign_of(amount) }}
* ({{ whole_part }} + case when {{ remainder_rank }} <= abs({{ amount }}) - {{ whole_parts }} then 1 else 0 end)
{%- endmacro %}

{#- The currency a row is in: none given means the reporting currency. -#}
{% macro currency_of(column) -%}
upper(coalesce({{ column }}, '{{ var('reporting_currency') }}'))
{%- endmacro %}

{#- a policy list of texts as the inside of an SQL IN, trimmed and in lower case; an empty list matches nothing -#}
{% macro text_list(values) -%}
{%- for value in values %}'{{ (value | string | trim | lower).replace("'", "''") }}'{{ ', ' if not loop.last }}{% else %}null{% endfor -%}
{%- endmacro %}

{#- whole cents as an amount of money -#}
{% macro from_cents(cents) -%}
cast(cast({{ cents }} as decimal(36, 0)) * cast(0.01 as decimal(2, 2)) as {{ type_money() }})
{%- endmacro %}

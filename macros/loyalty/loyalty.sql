{#- What points would cost if all were redeemed: points × `loyalty_point_value`, in cents, halves away from zero. -#}
{% macro points_value(points) -%}
cast(round(
    cast({{ points }} as decimal(18, 0)) * cast('{{ var('loyalty_point_value') }}' as decimal(18, 6)), 2
) as {{ type_money() }})
{%- endmacro %}

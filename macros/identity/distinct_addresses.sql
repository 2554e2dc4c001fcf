{#- Each raw spelling once, from (entity, kind of address, column) -#}
{% macro distinct_addresses(mentions) -%}
{%- for entity, kind, column in mentions %}
select
    '{{ kind }}' as kind,
    {{ column }} as raw_value
from {{ ref('int_canonical__' ~ entity) }}
where {{ column }} is not null and row_status != 'quarantined'
{%- if not loop.last %}
union
{%- endif %}
{%- endfor %}
{%- endmacro %}

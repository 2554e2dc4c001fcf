{#- What the superseded versions of an entity's rows said of a person where the standing version says something else.
    The entity is read twice on purpose: one shared CTE would copy every row of it. -#}
{% macro corrections(entity, key, seen_at, kind, phone=none) -%}
{%- set kind_of = "case when {0}.customer_id is null then 'guest' else 'account' end" if kind == 'guest' else "'" ~ kind ~ "'" -%}
{%- set phone_of = '{0}.' ~ phone if phone else 'cast(null as ' ~ type_string() ~ ')' -%}
select
    earlier.system,
    {{ kind_of.format('earlier') }} as entity,
    earlier.customer_id as source_id,
    earlier.email,
    {{ phone_of.format('earlier') }} as phone,
    {{ kind_of.format('standing') }} as new_entity,
    standing.customer_id as new_source_id,
    standing.email as new_email,
    {{ phone_of.format('standing') }} as new_phone,
    earlier.{{ seen_at }} as seen_at
from {{ ref('int_canonical__' ~ entity) }} as earlier
inner join {{ ref('int_canonical__' ~ entity) }} as standing
    on earlier.system = standing.system and earlier.{{ key }} = standing.{{ key }}
where
    earlier.row_status = 'superseded'
    and not earlier.is_after_as_of
    and (earlier.updated_at is null or {{ business_date('earlier.updated_at') }} <= {{ as_of_date() }})
    and standing.row_status in ('current', 'deleted', 'erased')
    and not standing.is_after_as_of
{%- endmacro %}

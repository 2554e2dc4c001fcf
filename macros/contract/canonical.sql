{#- Every landed row of an entity, from all systems that provide it, with what became of it (`row_status`):

      quarantined  can't be read, or relates to nothing (an item without its order)
      duplicate    the same content of the same key once more
      superseded   an older version of a key, or an unkeyed line that a newer batch of its order replaced
      erased       what only described a person who was erased (accounts, contacts, consents); what they did stays
      deleted      the current version, deleted on or before as-of
      current      the rest: what the models downstream read

    Versions: the newest `updated_at` on or before as-of is current; a version after as-of is ignored if an older one
    was kept, so of versions that all lie after as-of the oldest stands. Equal or absent `updated_at`: the later batch,
    within a batch the greater content hash (`is_ambiguous`). Only keys that occur more than once are ranked: a
    window over every row of a large table costs several times the scan.

    Orders, lines and payments can be recomputed for the orders that something happened to, subscriptions and their events
    for the subscriptions: what may touch them is worked out in macros/incremental/front.sql, and a new dependency here
    is one to follow there. -#}
{% macro canonical(entity) -%}
{%- set providers = [] -%}
{%- for system, entities in var('systems').items() if entity in entities -%}
    {%- do providers.append({'name': system, 'relation': ref('stg_' ~ system ~ '__' ~ entity)}) -%}
{%- endfor -%}
{%- set contract = canonical_contract(entity) -%}
{%- set key = contract.meta.get('key', []) -%}
{%- set event_time = contract.meta.get('event_time') -%}
{%- set parent = {'order_items': {'column': 'order_id', 'table': 'orders'},
                  'payments': {'column': 'order_id', 'table': 'orders'},
                  'subscription_events': {'column': 'subscription_id', 'table': 'subscriptions'}}.get(entity) -%}
{%- if execute and (contract.meta.get('parent') or {}) != (parent or {}) -%}
    {{ exceptions.raise_compiler_error(entity ~ ': the parent in the contract and in macros/contract/canonical.sql differ (dbt must know the ref before it has read the contract)') }}
{%- endif -%}
{%- set parent_relation = ref('int_canonical__' ~ parent.table) if parent else none -%}
{%- set followed = followed_entity(entity) -%}
{%- set unit = family_of(entity).unit -%}
{%- set has_unkeyed_lines = entity == 'order_items' -%}
{%- set columns = [] -%}
{%- for column in contract.columns -%}{%- do columns.append(adapter.quote(column.name)) -%}{%- endfor -%}
{%- set keys = [] -%}
{%- for column in key -%}{%- do keys.append(adapter.quote(column)) -%}{%- endfor -%}
{%- set source_columns = ['source_file', 'source_line', 'source_batch', 'bad_column', 'bad_value', 'bad_reason'] -%}
with
{%- for provider in providers %}

{{ provider.name }}_rows as (

    select
        {%- for column in contract.columns %}
        cast({{ adapter.quote(column.name) }} as {{ canonical_type(column.data_type) }}) as {{ adapter.quote(column.name) }},
        {%- endfor %}
        cast(system as {{ type_string() }}) as system,
        cast(source_file as {{ type_string() }}) as source_file,
        cast(source_line as bigint) as source_line,
        cast(coalesce(source_batch, 0) as bigint) as source_batch,
        cast(bad_column as {{ type_string() }}) as bad_column,
        cast(bad_value as {{ type_string() }}) as bad_value,
        cast(bad_reason as {{ type_string() }}) as bad_reason
    {%- if followed and provider.name == 'files' %}
    from {{ instead_of(
        provider.relation,
        stage_files(entity, 'where ' ~ raw_unit('source', unit) ~ ' in (select ' ~ unit ~ ' from '
        ~ changes_relation(followed.inputs) ~ ')')
    ) }}
    {%- else %}
    from {{ provider.relation }}
    {%- endif %}

),
{%- endfor %}

landed as (
    {% for provider in providers %}
    select * from {{ provider.name }}_rows
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- else %}
    select
        {%- for column in contract.columns %}
        cast(null as {{ canonical_type(column.data_type) }}) as {{ adapter.quote(column.name) }},
        {%- endfor %}
        cast(null as {{ type_string() }}) as system,
        cast(null as {{ type_string() }}) as source_file,
        cast(null as bigint) as source_line,
        cast(null as bigint) as source_batch,
        cast(null as {{ type_string() }}) as bad_column,
        cast(null as {{ type_string() }}) as bad_value,
        cast(null as {{ type_string() }}) as bad_reason
    where false
    {%- endfor %}

),
{%- if parent %}

parents as (

    select distinct
        system as parent_system,
        {{ parent.column }} as parent_id
    from {{ parent_relation }}
    where row_status != 'quarantined'
    {%- if followed %}
    {{ only_listed(unit, followed.inputs, 'and') }}
    {%- endif %}

),

related as (

    select
        landed.*,
        parents.parent_id is null and landed.bad_column is null as is_orphan
    from landed
    left join parents
        on landed.system = parents.parent_system and landed.{{ parent.column }} = parents.parent_id

),
{%- else %}

related as (

    select
        landed.*,
        false as is_orphan
    from landed

),
{%- endif %}
{%- if keys %}

contested_keys as (

    select
        system as contested_system,
        {%- for column in keys %}
        {{ column }} as contested_{{ loop.index }}{{ ',' if not loop.last }}
        {%- endfor %}
    from related
    where bad_column is null and not is_orphan{% for column in keys %} and {{ column }} is not null{% endfor %}
    group by system{% for column in keys %}, {{ column }}{% endfor %}
    having count(*) > 1

),

hashed as (

    select
        related.*,
        md5(concat_ws(
            '|'
            {%- for column in columns %},
            coalesce(cast(related.{{ column }} as {{ type_string() }}), '~')
            {%- endfor %}
        )) as content_hash,
        coalesce(related.updated_at, cast('1900-01-01' as timestamp)) as version_at,
        case when {{ business_date('related.updated_at') }} > {{ as_of_date() }} then 1 else 0 end as is_after
    from related
    inner join contested_keys
        on
            related.system = contested_keys.contested_system
            {%- for column in keys %}
            and related.{{ column }} = contested_keys.contested_{{ loop.index }}
            {%- endfor %}
    where related.bad_column is null and not related.is_orphan

),

ranked as (

    select
        *,
        row_number() over (
            partition by system, {{ keys | join(', ') }}
            order by
                is_after asc,
                case when is_after = 0 then version_at end desc nulls last,
                case when is_after = 1 then version_at end asc nulls last,
                source_batch desc,
                content_hash desc,
                source_file asc nulls last,
                source_line asc nulls last
        ) as version_rank,
        row_number() over (
            partition by system, {{ keys | join(', ') }}, content_hash
            order by source_batch desc, source_file asc nulls last, source_line asc nulls last
        ) as copy_rank,
        min(content_hash) over (partition by system, {{ keys | join(', ') }}, source_batch, version_at)
        != max(content_hash) over (partition by system, {{ keys | join(', ') }}, source_batch, version_at) as is_ambiguous
    from hashed

),
{%- endif %}
{%- if has_unkeyed_lines %}

newest_batches as (

    select
        system as newest_system,
        order_id as newest_order_id,
        max(source_batch) as newest_batch
    from related
    where bad_column is null and not is_orphan and order_item_id is null
    group by system, order_id

),
{%- endif %}

uncontested as (

    select
        {%- for column in columns %}
        related.{{ column }},
        {%- endfor %}
        related.system,
        {%- for column in source_columns %}
        related.{{ column }},
        {%- endfor %}
        related.is_orphan,
        {%- if has_unkeyed_lines %}
        case
            when related.order_item_id is null and newest_batches.newest_batch > related.source_batch then 2
            else 1
        end as version_rank,
        {%- else %}
        1 as version_rank,
        {%- endif %}
        1 as copy_rank,
        false as is_ambiguous
    from related
    {%- if has_unkeyed_lines %}
    left join newest_batches
        on related.system = newest_batches.newest_system and related.order_id = newest_batches.newest_order_id
    {%- endif %}
    {%- if keys %}
    left join contested_keys
        on
            related.system = contested_keys.contested_system
            {%- for column in keys %}
            and related.{{ column }} = contested_keys.contested_{{ loop.index }}
            {%- endfor %}
    where contested_keys.contested_system is null or related.bad_column is not null or related.is_orphan
    {%- endif %}

),

statuses as (

    select * from uncontested
    {%- if keys %}
    union all
    select
        {%- for column in columns %}
        {{ column }},
        {%- endfor %}
        system,
        {%- for column in source_columns %}
        {{ column }},
        {%- endfor %}
        is_orphan,
        version_rank,
        copy_rank,
        is_ambiguous
    from ranked
    {%- endif %}

),

dated as (

    select
        *,
        {%- if entity == 'orders' %}
        -- DuckDB converts to a zone that is a constant four times faster than to one that is a column
        case
            when store_timezone is null then {{ business_date('ordered_at') }}
            else {{ local_date('ordered_at', 'store_timezone') }}
        end as event_date
        {%- elif event_time == 'date' %}
        {{ adapter.quote('date') }} as event_date
        {%- elif event_time %}
        {{ business_date(adapter.quote(event_time)) }} as event_date
        {%- else %}
        cast(null as date) as event_date
        {%- endif %}
    from statuses

),

final as (

    select
        {%- for column in columns %}
        {{ column }},
        {%- endfor %}
        system,
        event_date,
        coalesce(event_date > {{ as_of_date() }}, false) as is_after_as_of,
        cast(case
            when bad_column is not null or is_orphan then 'quarantined'
            when copy_rank > 1 then 'duplicate'
            when version_rank > 1 then 'superseded'
            {%- if entity in ('customers', 'crm_contacts', 'consents') %}
            when {{ is_erased_row(columns) }} then 'erased'
            {%- endif %}
            when {{ business_date('deleted_at') }} <= {{ as_of_date() }} then 'deleted'
            else 'current'
        end as {{ type_string() }}) as row_status,
        is_ambiguous,
        source_file,
        source_line,
        source_batch,
        {%- if parent %}
        case when is_orphan then '{{ parent.column }}' else bad_column end as bad_column,
        case when is_orphan then {{ parent.column }} else bad_value end as bad_value,
        case when is_orphan then 'no row of {{ parent.table }} has this {{ parent.column }}' else bad_reason end as bad_reason
        {%- else %}
        bad_column,
        bad_value,
        bad_reason
        {%- endif %}
    from dated

)

select * from final
{%- endmacro %}

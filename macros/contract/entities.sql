{#- The canonical entities. A list, since dbt must know every ref before it has read the contract; checked against
    the contract whenever something is compiled. -#}
{% macro canonical_entities() -%}
    {%- set entities = [
        'orders', 'order_items', 'refunds', 'payments', 'customers', 'products', 'exchange_rates', 'crm_contacts',
        'identity_overrides', 'consents', 'subscriptions', 'subscription_events', 'plans', 'interactions', 'campaigns',
        'campaign_assignments', 'support_tickets', 'nps_responses', 'reviews', 'loyalty_events', 'referrals',
    ] -%}
    {%- if execute -%}
        {%- set declared = [] -%}
        {%- for node in graph.sources.values() if node.source_name == 'files' -%}
            {%- do declared.append(node.name) -%}
        {%- endfor -%}
        {%- if declared | sort != entities | sort -%}
            {{ exceptions.raise_compiler_error('macros/contract/entities.sql and the sources of files differ: ' ~ declared | sort | join(', ')) }}
        {%- endif -%}
    {%- endif -%}
    {{ return(entities) }}
{%- endmacro %}

{#- The natural key of an entity's row as text, for people: "4711", or "2024-01-01 | USD | EUR". Null without a key. -#}
{% macro canonical_key_text(entity) -%}
    {%- set key = canonical_contract(entity).meta.get('key') or [] -%}
    {%- if not key -%}
        cast(null as {{ type_string() }})
    {%- else -%}
        {%- for column in key -%}
            coalesce(cast({{ adapter.quote(column) }} as {{ type_string() }}), '?'){{ " || ' | ' || " if not loop.last }}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}

{#- What each system provides, as a list of {system, entity}. -#}
{% macro provided_entities() -%}
    {%- set found = [] -%}
    {%- for system, entities in var('systems').items() -%}
        {%- for entity in entities -%}
            {%- do found.append({'system': system, 'entity': entity}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}

{#- Where to count the landed rows of every system, as a list of {system, entity, relation, batch, is_raw}. The raw
    tables of `files` are the entities themselves; another system's raw tables become entities in its staging models,
    so both are counted, the raw table under its own name. -#}
{% macro landed_relations() -%}
    {%- set found = [] -%}
    {%- for provided in provided_entities() -%}
        {%- if provided.system == 'files' -%}
            {%- do found.append({'system': provided.system, 'entity': provided.entity, 'batch': '_ritorno_batch',
                                 'is_raw': true, 'relation': source('files', provided.entity)}) -%}
        {%- else -%}
            {%- do found.append({'system': provided.system, 'entity': provided.entity, 'batch': 'source_batch',
                                 'is_raw': false, 'relation': ref('stg_' ~ provided.system ~ '__' ~ provided.entity)}) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if execute -%}
        {%- for node in graph.sources.values() if node.source_name in var('systems') and node.source_name != 'files' -%}
            {%- do found.append({'system': node.source_name, 'entity': node.name, 'batch': '_ritorno_batch',
                                 'is_raw': true, 'relation': node.relation_name}) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(found) }}
{%- endmacro %}

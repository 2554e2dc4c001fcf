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

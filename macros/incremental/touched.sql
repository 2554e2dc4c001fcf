{#- The heavy tier, recomputed only for the customers whose data changed since the last run (docs/performance.md).

    A model of the tier says `materialized='touched', unique_key=…` and puts

        select * from {{ ref('int_orders__valid') }}
        {{ only_touched('order_key') }}

    into its import CTEs. In SQL that is a comment: what dbt compiles is the full build. An incremental run takes the
    comment's marks away, deletes the touched keys' rows and inserts those rows of the result that have a touched key.
    So both are one text, and a filter that lets too much in costs time and doubles nothing.

    What a model of the tier reads is of the tier, or an input of int_changes__fingerprints; it doesn't ask for the
    as-of day (tests/incremental/test_tier.py). Models at the tier's start name `int_changes__orders` with `depends_on`;
    the others come after them anyway. -#}
{% macro only_touched(key, keyword='where') -%}
{{ only_listed(key, {'order_key': 'int_changes__orders', 'customer_key': 'int_changes__customers'}[key], keyword) }}
{%- endmacro %}

{#- The same for another list. Its column is called as the key, unless `column` says otherwise. -#}
{% macro only_listed(key, list, keyword='where', column=none) -%}
/* touched: {{ keyword }} {{ key }} in (select {{ column or key }} from {{ changes_relation(list) }}) :touched */
{%- endmacro %}

{% macro rows_of_touched(sql) -%}
{{- return(sql | replace('/* touched: ', '') | replace(' :touched */', '')) -}}
{%- endmacro %}

{#- A model of models/intermediate/changes without a dependency on it. -#}
{% macro changes_relation(name, schema='intermediate') -%}
{{- return(api.Relation.create(database=target.database | default(none), schema=schema, identifier=name, type='table')) -}}
{%- endmacro %}

{#- Rows that an earlier run left under a name, added to a query of the same columns: `rows` says which, with
    {previous} for the relation. Nothing if there is none yet; and where SQL is only compiled, a comment. -#}
{% macro and_previous(name, rows, schema='intermediate') -%}
{%- set relation = changes_relation(name, schema) -%}
{%- set union = 'union all ' ~ rows | replace('{previous}', relation | string) -%}
{%- if not (execute and flags.WHICH in ('build', 'run')) or not can_delete_rows() -%}
/* previous: {{ union }} :previous */
{%- elif adapter.get_relation(relation.database, relation.schema, relation.identifier) is not none -%}
{{ union }}
{%- endif -%}
{%- endmacro %}

{#- Whether this run takes fingerprints at all: they cost a scan of what landed, which a run that will never be
    incremental needn't pay. Asked by models that come after the staging models of what is counted. -#}
{% macro takes_fingerprints(family='orders') -%}
{%- if not execute -%}{{ return(true) }}{%- endif -%}
{%- if var('incremental') == 'never' or not can_delete_rows() -%}{{ return(false) }}{%- endif -%}
{%- if var('incremental') == 'always' -%}{{ return(true) }}{%- endif -%}
{%- if flags.WHICH not in ('build', 'run') -%}{{ return(false) }}{%- endif -%}
{%- set counted_by = counted_by(family) -%}
{%- set least = var(counted_by.policy).get(target.type) -%}
{%- if least is none -%}{{ return(false) }}{%- endif -%}
{#- kept in what all nodes of an invocation share: two dozen of them ask, and planning a staging view takes 20 ms -#}
{%- set known = graph.setdefault('ritorno_counted', {}) -%}
{%- set key = (invocation_id, family) -%}
{%- if key not in known -%}
{%- set counted = namespace(rows=0) -%}
{%- for system, entities in var('systems').items() -%}
{%- for entity in counted_by.entities if entity in entities -%}
    {%- set staged = changes_relation('stg_' ~ system ~ '__' ~ entity, 'staging') -%}
    {%- set rows = run_query('select count(*) from (select 1 as one from ' ~ staged ~ ' limit ' ~ least ~ ') as counted').rows -%}
    {%- set counted.rows = counted.rows + rows[0][0] | int -%}
{%- endfor -%}
{%- endfor -%}
{%- do known.update({key: counted.rows}) -%}
{%- endif -%}
{{- return(known[key] >= least) -}}
{%- endmacro %}

{#- What makes a shop large enough for incremental refreshes. -#}
{% macro counted_by(family) -%}
{{- return({
    'orders': {'entities': ['orders'], 'what': 'orders', 'policy': 'incremental_from_orders'},
    'subscriptions': {
        'entities': ['subscriptions', 'subscription_events'], 'what': 'rows of subscriptions and their events',
        'policy': 'incremental_from_subscription_rows',
    },
}[family]) -}}
{%- endmacro %}

{#- The heavy tier. A list, since dbt must know every ref before it has read the models' configuration; a test holds it
    against the models that are materialized as `touched`. -#}
{% macro heavy_models() -%}
{{- return([
    'int_orders__spread_items', 'orders', 'order_items', 'int_customers__order_days', 'int_value__order_days',
    'int_rates__customer_periods', 'int_products__order_products', 'int_products__baskets', 'int_products__purchases',
    'int_products__customer_products', 'int_products__last_bought',
]) -}}
{%- endmacro %}

{#- A table whose rows belong to customers or orders: built whole, or only for those touched since the last run, as
    int_changes__run decided for all tables of the heavy tier at once, and int_changes__front for those before it. -#}
{% materialization touched, default %}
    {%- set existing = load_cached_relation(this) -%}
    {%- set touched_by = touched_list(config) -%}
    {%- set mode = tier_mode(decision_of(config)) -%}
    {%- if mode != 'incremental' or existing is none or not existing.is_table or should_full_refresh() -%}
        {{- return(materialize_table()) -}}
    {%- endif -%}
    {%- set key = config.require('unique_key') -%}
    {%- set touched = 'select ' ~ touched_by.column ~ ' from ' ~ changes_relation(touched_by.name) -%}
    {%- set columns = adapter.get_columns_in_relation(existing) | map(attribute='quoted') | join(', ') -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {#- one transaction: whoever is killed here leaves the table as it was (at Spark two: the next run deletes again) -#}
    {% call statement('delete') -%}
        {{ delete_keys(existing, key, changes_relation(touched_by.name), touched_by.column) }}
    {%- endcall %}
    {% call statement('main') -%}
        insert into {{ existing }} ({{ columns }})
        select {{ columns }} from (
            {{ rows_of_touched(sql) }}
        ) as built
        where {{ key }} in ({{ touched }})
    {%- endcall %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [existing]}) }}
{% endmaterialization %}

{#- The model of models/intermediate/changes that lists a table's touched keys, and its only column. A table of the front
    or of the subscription tier names it in its meta. -#}
{% macro touched_list(config) -%}
{%- set key = config.require('unique_key') -%}
{%- set column = ['order_id', 'subscription_id', 'subscription_key', 'account_key', 'order_key', 'customer_key']
    | select('in', key) | first -%}
{%- set named = config.get('meta', {}).get('touched_by') -%}
{{- return({
    'name': named or {'order_key': 'int_changes__orders', 'customer_key': 'int_changes__customers'}[key],
    'column': column,
}) -}}
{%- endmacro %}

{#- The model that says how a table is built: that of the subscription tier in its meta. -#}
{% macro decision_of(config) -%}
{%- set meta = config.get('meta', {}) -%}
{{- return(
    meta.get('decided_by') or ('int_changes__front' if meta.get('touched_by') else 'int_changes__run')
) -}}
{%- endmacro %}

{#- How this run builds a tier. A table that is built outside a run (by hand, or alone from Dagster's user interface) no
    longer stands where what was kept of the last run says: its account is thrown away, and the next run builds
    everything. -#}
{% macro tier_mode(decision) -%}
{%- set mode = run_mode(decision) -%}
{%- if mode is not none -%}{{ return(mode) }}{%- endif -%}
{%- set done = left_behind(done_of(decision)) -%}
{%- if done is not none -%}{%- do adapter.drop_relation(done) -%}{%- endif -%}
{{- return('full') -}}
{%- endmacro %}

{#- The model that is written last of all that a decision is about. -#}
{% macro done_of(decision) -%}
{%- for family in ['subscription', 'lifecycle'] if decision.startswith('int_changes__' ~ family) -%}
{{- return('int_changes__' ~ family ~ '_done') -}}
{%- endfor -%}
{{- return('int_changes__done') -}}
{%- endmacro %}

{#- What this run's int_changes__front or int_changes__run says; none outside a run. -#}
{% macro run_mode(decision) -%}
{%- set relation = left_behind(decision) -%}
{%- if relation is not none -%}
{%- set row = run_query('select run_id, mode from ' ~ relation).rows[0] -%}
{%- if row[0] == env_var('RITORNO_RUN_ID', '') -%}{{ return(row[1]) }}{%- endif -%}
{%- endif -%}
{{- return(none) -}}
{%- endmacro %}

{% macro left_behind(name, schema='intermediate') -%}
{%- set relation = changes_relation(name, schema) -%}
{{- return(adapter.get_relation(relation.database, relation.schema, relation.identifier)) -}}
{%- endmacro %}

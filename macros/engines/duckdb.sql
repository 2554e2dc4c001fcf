{#- How dbt makes tables and views on DuckDB: `create or replace` in one transaction, which stands or leaves what stood
    before. The adapter's own way looks for indexes and foreign keys in the catalog, renames twice and drops what it
    renamed, eight statements a table: a fifth of the time that a refresh of a small shop spends in dbt. -#}
{% materialization table, adapter='duckdb' %}
    {{ return(ritorno.duckdb__replace('table')) }}
{% endmaterialization %}

{% materialization view, adapter='duckdb' %}
    {{ return(ritorno.duckdb__replace('view')) }}
{% endmaterialization %}

{% macro duckdb__replace(kind) -%}
    {%- set target_relation = this.incorporate(type=kind) -%}
    {%- set has_contract = config.get('contract').enforced -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {{ ritorno.duckdb__clear_the_name(target_relation) }}
    {% call statement('main') -%}
        {{ config.get('sql_header', '') }}
        {%- if has_contract %}
        {{ get_assert_columns_equivalent(compiled_code) }}
        {%- endif %}
        {%- if has_contract and kind == 'table' %}
        create or replace table {{ target_relation }}
        {{ get_table_columns_and_constraints() }};
        insert into {{ target_relation }} {{ get_column_names() }} (
            {{ get_select_subquery(compiled_code) }}
        )
        {%- else %}
        create or replace {{ kind }} {{ target_relation }} as (
            {{ compiled_code }}
        )
        {%- endif %}
    {%- endcall %}
    {%- if kind == 'table' %}{% do create_indexes(target_relation) %}{% endif %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do persist_docs(target_relation, model) %}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{%- endmacro %}

{#- a table can't replace a view of its name, nor a view a table: a model whose materialization has changed -#}
{% macro duckdb__clear_the_name(relation) -%}
{%- set existing = load_cached_relation(relation) -%}
{%- if existing is not none and existing.type != relation.type -%}
    {%- do drop_relation_if_exists(existing) -%}
{%- endif -%}
{%- endmacro %}

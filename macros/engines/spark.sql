{#- How dbt makes tables on Spark, where its own way doesn't do: contracts name varchar, which Spark knows only with a
    length; seeds hold apostrophes; a snapshot in Parquet is written anew, since Parquet has no merge. -#}

{#- Spark's name of a type as contracts and seeds name it -#}
{% macro spark__type_name(data_type) -%}{{ return({'varchar': 'string'}.get(data_type | trim | lower, data_type)) }}{%- endmacro %}

{% macro spark__get_empty_schema_sql(columns) -%}
select
{%- for name in columns %}
    cast(null as {{ ritorno.spark__type_name(columns[name].data_type) }}) as {{ adapter.quote(columns[name].name) }}{{ ',' if not loop.last }}
{%- endfor %}
{%- endmacro %}

{#- How customers' tables lie: in buckets by hash of customer_key, one file each, so that what joins or windows by
    customer needs no exchange. `ritorno` says how many (`spark_buckets`); none in a small shop, or without it. -#}
{% macro spark__buckets_of(name) -%}
{%- set buckets = env_var('RITORNO_SPARK_BUCKETS', '0') | int -%}
{{ return(buckets if buckets > 1 and name in ritorno.customer_tables() else 0) }}
{%- endmacro %}

{#- The tables whose grain begins with the customer; a test holds the list against their descriptions. -#}
{% macro customer_tables() -%}
{{- return([
    'channel_engagement', 'customer_nps', 'customer_preferences', 'customer_recommendations', 'customer_rfm',
    'customer_value', 'customers', 'int_care__customers', 'int_channels__customers', 'int_consent__grants',
    'int_consent__reachable', 'int_customers__first_category', 'int_customers__order_days',
    'int_customers__order_totals', 'int_engagement__interaction_days', 'int_identity__customers',
    'int_lifecycle__lines', 'int_lifecycle__points', 'int_nps__customers', 'int_preferences__customers',
    'int_products__candidates', 'int_products__customer_products', 'int_products__last_bought',
    'int_products__purchases', 'int_rates__customer_periods', 'int_rates__customers', 'int_rates__memberships',
    'int_rates__spells', 'int_referrals__customers', 'int_referrals__newcomers', 'int_reviews__customers',
    'int_subscriptions__customers', 'int_subscriptions__live_spans', 'int_value__order_days', 'int_value__summary',
    'lifecycle_history', 'subscription_candidates',
]) -}}
{%- endmacro %}

{#- dbt's own, and the buckets. Rows go to tasks by the same hash that makes buckets, so each task writes one file; else
    every task would write into every bucket. -#}
{% macro spark__create_table_as(temporary, relation, compiled_code, language='sql') -%}
{%- if temporary -%}
    {{ create_temporary_view(relation, compiled_code) }}
{%- else -%}
    {%- set format = config.get('file_format') or env_var('RITORNO_SPARK_FORMAT', 'parquet') -%}
    {%- set buckets = ritorno.spark__buckets_of(relation.identifier) | int -%}
    {%- if config.get('contract').enforced -%}
        {{ get_assert_columns_equivalent(compiled_code) }}
        {%- set compiled_code = get_select_subquery(compiled_code) -%}
    {%- endif %}
    create {{ 'or replace ' if format in ('delta', 'iceberg') }}table {{ relation }}
    using {{ format }}
    {{ ritorno.spark__clustered(format, buckets) if buckets }}
    as
    {%- if buckets %}
    select /*+ repartition({{ buckets }}, customer_key) */ * from (
        {{ compiled_code }}
    ) as unclustered
    {%- else %}
    {{ compiled_code }}
    {%- endif %}
{%- endif -%}
{%- endmacro %}
{% macro spark__clustered(format, buckets) -%}
{%- if format == 'iceberg' -%}partitioned by (bucket({{ buckets }}, customer_key))
{%- elif format == 'delta' -%}cluster by (customer_key)
{%- else -%}clustered by (customer_key) into {{ buckets }} buckets
{%- endif -%}
{%- endmacro %}

{#- a key of several columns is written in YAML, with `cast(… as varchar)` -#}
{% macro spark__test_unique(model, column_name) -%}
{{ return(dbt.default__test_unique(model, column_name | replace('as varchar)', 'as string)'))) }}
{%- endmacro %}

{#- A seed in one statement: typed literals, quotes doubled. -#}
{% macro spark__create_csv_table(model, agate_table) -%}
{%- set types = model.config.get('column_types', {}) -%}
{%- set columns = [] -%}
{%- for name in agate_table.column_names -%}
    {%- do columns.append({'name': name, 'type': ritorno.spark__type_name(types.get(name, adapter.convert_type(agate_table, loop.index0)))}) -%}
{%- endfor -%}
{%- set sql -%}
create table {{ this.render() }} {{ file_format_clause() }} as
select
    {%- for column in columns %}
    cast({{ adapter.quote(column.name) }} as {{ column.type }}) as {{ adapter.quote(column.name) }}{{ ',' if not loop.last }}
    {%- endfor %}
from values
    {%- for row in agate_table.rows %}
    (
        {%- for value in row.values() -%}
        {%- if value is none -%}null{%- else -%}'{{ value | string | replace("\\", "\\\\") | replace("'", "''") }}'{%- endif -%}
        {{ ', ' if not loop.last }}
        {%- endfor -%}
    ){{ ',' if not loop.last }}
    {%- else %}
    ({% for column in columns %}null{{ ', ' if not loop.last }}{% endfor %})
    {%- endfor %}
    as seed ({% for column in columns %}{{ adapter.quote(column.name) }}{{ ', ' if not loop.last }}{% endfor %})
{{ 'where false' if not agate_table.rows }}
{%- endset -%}
{%- call statement('_') -%}{{ sql }}{%- endcall -%}
{{ return(sql) }}
{%- endmacro %}
{% macro spark__load_csv_rows(model, agate_table) -%}{{ return('-- the rows came with the table') }}{%- endmacro %}

{#- Put the rows of a query into a table's place. Not atomic: between drop and rename the table isn't there. -#}
{% macro spark__rewrite(relation, rows) -%}
{%- set fresh = relation.incorporate(path={'identifier': relation.identifier ~ '__fresh'}) -%}
{%- do run_query('drop table if exists ' ~ fresh) -%}
{%- do run_query('create table ' ~ fresh ~ ' using ' ~ env_var('RITORNO_SPARK_FORMAT', 'parquet') ~ ' as ' ~ rows) -%}
{%- do run_query('drop table if exists ' ~ relation) -%}
{%- do run_query('alter table ' ~ fresh ~ ' rename to ' ~ relation) -%}
{%- endmacro %}

{#- the columns of a snapshot, `dbt_valid_to` being another expression -#}
{% macro spark__snapshot_columns(relation, valid_to) -%}
{%- for column in adapter.get_columns_in_relation(relation) -%}
{{ valid_to ~ ' as dbt_valid_to' if column.name == 'dbt_valid_to' else adapter.quote(column.name) }}{{ ', ' if not loop.last }}
{%- endfor -%}
{%- endmacro %}

{% macro spark__replace_observed_day(relation) -%}
{%- if execute and load_relation(relation) is not none and not was_observed_later(relation) -%}
    {%- set day = snapshot_get_time() -%}
    {%- do ritorno.spark__rewrite(
        relation,
        'select ' ~ ritorno.spark__snapshot_columns(relation, 'case when dbt_valid_to < ' ~ day ~ ' then dbt_valid_to end')
        ~ ' from ' ~ relation ~ ' where dbt_valid_from < ' ~ day
    ) -%}
{%- endif -%}
select 1
{%- endmacro %}

{#- dbt's own wants Delta or Iceberg for its merge. A history of Parquet is written anew: what changed or went away is
    closed, what is new is added. -#}
{% materialization snapshot, adapter='spark' %}
{%- set target_relation = api.Relation.create(schema=model.schema, identifier=model.alias, type='table') -%}
{%- do run_query('create schema if not exists ' ~ model.schema) -%}
{{ run_hooks(pre_hooks) }}
{%- set strategy = strategy_dispatch(config.get('strategy'))(
    model, 'snapshotted_data', 'source_data', model['config'], load_relation(target_relation) is not none
) -%}
{%- if load_relation(target_relation) is none -%}
    {%- set build_sql = 'create table ' ~ target_relation ~ ' using ' ~ env_var('RITORNO_SPARK_FORMAT', 'parquet') ~ ' as '
        ~ build_snapshot_table(strategy, model['compiled_code']) -%}
    {%- call statement('main') -%}{{ build_sql }}{%- endcall -%}
{%- else -%}
    {%- set changes = snapshot_staging_table(strategy, model['compiled_code'], target_relation) -%}
    {%- set columns = [] -%}
    {%- for column in adapter.get_columns_in_relation(target_relation) -%}
        {%- do columns.append(adapter.quote(column.name)) -%}
    {%- endfor -%}
    {%- set changed = model.schema ~ '.' ~ model.alias ~ '__changes' -%}
    {%- do run_query('drop table if exists ' ~ changed) -%}
    {%- call statement('main') -%}create table {{ changed }} using parquet as {{ changes }}{%- endcall -%}
    {%- do ritorno.spark__rewrite(
        target_relation,
        'select ' ~ ritorno.spark__snapshot_columns(
            target_relation, 'case when history.dbt_valid_to is null then closed.closed_at else history.dbt_valid_to end'
        ) ~ ' from ' ~ target_relation ~ ' as history left join (select dbt_scd_id as closed_id, max(dbt_valid_to) as closed_at from '
        ~ changed ~ " where dbt_change_type in ('update', 'delete') group by dbt_scd_id) as closed on history.dbt_scd_id = closed.closed_id"
        ~ ' union all select ' ~ columns | join(', ') ~ ' from ' ~ changed ~ " where dbt_change_type = 'insert'"
    ) -%}
    {%- do run_query('drop table if exists ' ~ changed) -%}
{%- endif -%}
{{ run_hooks(post_hooks) }}
{{ return({'relations': [target_relation]}) }}
{% endmaterialization %}

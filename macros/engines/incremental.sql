{#- What an incremental run needs of an engine: a hash of a whole row, a plain table build, and rows that can go. -#}

{#- A row of a relation (by its name or alias) as a 64-bit number: all of its columns, so that none can be forgotten.
    Equal on one engine and one of its versions only; never compare it between engines. -#}
{% macro row_hash(relation) -%}{{ return(adapter.dispatch('row_hash', 'ritorno')(relation)) }}{%- endmacro %}
{#- hashed twice: the hash of several columns is a chain of xor and multiplication, and the sums of such chains may
    agree where rows exchange a value -#}
{% macro default__row_hash(relation) -%}hash(hash({{ relation }})){%- endmacro %}
{% macro postgres__row_hash(relation) -%}hashtextextended(cast({{ relation }} as text), 0){%- endmacro %}
{% macro spark__row_hash(relation) -%}cast(xxhash64({{ relation }}.*) as decimal(38, 0)){%- endmacro %}

{#- A text as one of 65,536 numbers. -#}
{% macro bucket_of(text) -%}{{ return(adapter.dispatch('bucket_of', 'ritorno')(text)) }}{%- endmacro %}
{% macro default__bucket_of(text) -%}cast(hash({{ text }}) % 65536 as bigint){%- endmacro %}
{% macro postgres__bucket_of(text) -%}(hashtextextended({{ text }}, 0) & 65535){%- endmacro %}
{% macro spark__bucket_of(text) -%}pmod(xxhash64({{ text }}), 65536){%- endmacro %}

{#- Whether single rows of a table can be deleted: an engine on plain files rebuilds the whole table every time. -#}
{% macro can_delete_rows() -%}{{ return(adapter.dispatch('can_delete_rows', 'ritorno')()) }}{%- endmacro %}
{% macro default__can_delete_rows() -%}{{ return(true) }}{%- endmacro %}
{% macro spark__can_delete_rows() -%}{{ return(env_var('RITORNO_SPARK_FORMAT', 'parquet') in ('delta', 'iceberg')) }}{%- endmacro %}

{#- Delete the rows of a table whose key is in a column, of the key's name if none is given, of another. Delta's delete
    knows no subquery: a merge does it. -#}
{% macro delete_keys(relation, key, keys, column=none) -%}
{{ return(adapter.dispatch('delete_keys', 'ritorno')(relation, key, keys, column or key)) }}
{%- endmacro %}
{% macro default__delete_keys(relation, key, keys, column) -%}
delete from {{ relation }} where {{ key }} in (select {{ column }} from {{ keys }})
{%- endmacro %}
{% macro spark__delete_keys(relation, key, keys, column) -%}
merge into {{ relation }} as kept
using (select distinct {{ column }} from {{ keys }}) as gone
on kept.{{ key }} = gone.{{ column }}
when matched then delete
{%- endmacro %}

{#- Whether the front follows what landed (macros/incremental/front.sql). Not tried at Spark. -#}
{% macro follows_landed() -%}{{ return(adapter.dispatch('follows_landed', 'ritorno')()) }}{%- endmacro %}
{% macro default__follows_landed() -%}{{ return(true) }}{%- endmacro %}
{% macro spark__follows_landed() -%}{{ return(false) }}{%- endmacro %}

{#- dbt's own materialization `table` of the engine, from within another one. -#}
{% macro materialize_table() -%}{{ return(adapter.dispatch('materialize_table', 'ritorno')()) }}{%- endmacro %}
{% macro default__materialize_table() -%}{{ return(materialization_table_default()) }}{%- endmacro %}
{% macro duckdb__materialize_table() -%}{{ return(materialization_table_duckdb()) }}{%- endmacro %}
{% macro spark__materialize_table() -%}{{ return(materialization_table_spark()) }}{%- endmacro %}

{#- What an incremental run needs of an engine: a hash of a whole row, a plain table build, and rows that can go. -#}

{#- A row of a relation (by its name or alias) as a 64-bit number: all of its columns, so that none can be forgotten.
    Equal on one engine and one of its versions only; never compare it between engines. -#}
{% macro row_hash(relation) -%}{{ return(adapter.dispatch('row_hash', 'ritorno')(relation)) }}{%- endmacro %}
{#- hashed twice: the hash of several columns is a chain of xor and multiplication, and the sums of such chains may
    agree where rows exchange a value -#}
{% macro default__row_hash(relation) -%}hash(hash({{ relation }})){%- endmacro %}
{% macro postgres__row_hash(relation) -%}hashtextextended(cast({{ relation }} as text), 0){%- endmacro %}
{% macro spark__row_hash(relation) -%}cast(xxhash64({{ relation }}.*) as decimal(38, 0)){%- endmacro %}

{#- Whether single rows of a table can be deleted: an engine on plain files rebuilds the whole table every time. -#}
{% macro can_delete_rows() -%}{{ return(adapter.dispatch('can_delete_rows', 'ritorno')()) }}{%- endmacro %}
{% macro default__can_delete_rows() -%}{{ return(true) }}{%- endmacro %}
{% macro spark__can_delete_rows() -%}{{ return(false) }}{%- endmacro %}

{#- dbt's own materialization `table` of the engine, from within another one. -#}
{% macro materialize_table() -%}{{ return(adapter.dispatch('materialize_table', 'ritorno')()) }}{%- endmacro %}
{% macro default__materialize_table() -%}{{ return(materialization_table_default()) }}{%- endmacro %}
{% macro duckdb__materialize_table() -%}{{ return(materialization_table_duckdb()) }}{%- endmacro %}
{% macro spark__materialize_table() -%}{{ return(materialization_table_spark()) }}{%- endmacro %}

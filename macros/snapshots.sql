{#- dbt's snapshots stamp what they see with the clock; here time is the as-of day, so that a history is a function of
    the days that were run, not of when. Overrides dbt's own macro. -#}
{% macro snapshot_get_time() -%}
    cast('{{ as_of_text() }} 00:00:00' as timestamp)
{%- endmacro %}

{#- Whether the history in this warehouse holds a day after as-of: then it is read, not written. -#}
{% macro was_observed_later(relation) -%}
    {%- if not execute or load_relation(relation) is none -%}{{ return(false) }}{%- endif -%}
    {%- set later = run_query(
        'select count(*) from ' ~ relation ~ ' where dbt_valid_from > ' ~ snapshot_get_time() ~ ' or dbt_valid_to > ' ~ snapshot_get_time()
    ) -%}
    {{ return(later.columns[0].values()[0] > 0) }}
{%- endmacro %}

{#- Before a day is looked at once more: what was seen on it the first time never was. -#}
{% macro replace_observed_day(relation) -%}{{ return(adapter.dispatch('replace_observed_day', 'ritorno')(relation)) }}{%- endmacro %}
{% macro default__replace_observed_day(relation) -%}
    {%- if execute and load_relation(relation) is not none and not was_observed_later(relation) -%}
        {%- set day = snapshot_get_time() -%}
        delete from {{ relation }} where dbt_valid_from >= {{ day }};
        update {{ relation }} set dbt_valid_to = null where dbt_valid_to >= {{ day }};
    {%- else -%}
        select 1
    {%- endif -%}
{%- endmacro %}

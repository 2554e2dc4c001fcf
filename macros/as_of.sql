{#- The one date every mart is a function of. RITORNO_AS_OF (ISO date) hands it over, since a changed env_var
    re-parses only the files that use it while changed --vars re-parse all of them (4-6 s). Default: yesterday
    in the business time zone. -#}
{% macro as_of_text() -%}
    {%- set given = env_var('RITORNO_AS_OF', '') -%}
    {%- if given -%}
        {{- given -}}
    {%- else -%}
        {%- set zone = modules.pytz.timezone(var('business_timezone')) -%}
        {%- set today = modules.datetime.datetime.now(zone).date() -%}
        {{- (today - modules.datetime.timedelta(days=1)).isoformat() -}}
    {%- endif -%}
{%- endmacro %}

{% macro as_of_date() -%}
    cast('{{ as_of_text() }}' as date)
{%- endmacro %}

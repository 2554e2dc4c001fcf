{#- Reading raw values. Every reader yields null for what can't be read; the staging models say so by row. -#}

{#- null instead of an error when the value can't be cast -#}
{% macro safe_cast(value, type) -%}{{ return(adapter.dispatch('safe_cast', 'ritorno')(value, type)) }}{%- endmacro %}
{% macro default__safe_cast(value, type) -%}try_cast({{ value }} as {{ type }}){%- endmacro %}

{#- trimmed text, empty is null -#}
{% macro read_text(value) -%}nullif(trim(cast({{ value }} as {{ type_string() }})), ''){%- endmacro %}

{#- an instant as TIMESTAMP in UTC: ISO 8601 with an offset, or without one in the policy's raw_timezone -#}
{% macro read_instant(value, zone=none) -%}{{ return(adapter.dispatch('read_instant', 'ritorno')(value, zone or var('raw_timezone'))) }}{%- endmacro %}
{% macro default__read_instant(value, zone) -%}
{%- set text = "nullif(trim(cast(" ~ value ~ " as " ~ type_string() ~ ")), '')" -%}
{%- if zone == 'UTC' -%}
cast(try_cast({{ text }} as timestamptz) as timestamp)
{%- else -%}
case
    when regexp_matches({{ text }}, '(Z|[+-][0-9]{2}(:?[0-9]{2})?)$') and position(':' in {{ text }}) > 0
        then cast(try_cast({{ text }} as timestamptz) as timestamp)
    else timezone('UTC', timezone('{{ zone }}', try_cast({{ text }} as timestamp)))
end
{%- endif -%}
{%- endmacro %}

{#- a key for joining and publishing: md5 of the parts, which must not be null, in hex -#}
{% macro hash_key(parts) -%}
md5(concat_ws('|', {% for part in parts %}cast({{ part }} as {{ type_string() }}){{ ', ' if not loop.last }}{% endfor %}))
{%- endmacro %}

{#- Reading raw values. Every reader yields null for what can't be read; the staging models say so by row. -#}

{#- null instead of an error when the value can't be cast -#}
{% macro safe_cast(value, type) -%}{{ return(adapter.dispatch('safe_cast', 'ritorno')(value, type)) }}{%- endmacro %}
{% macro default__safe_cast(value, type) -%}try_cast({{ value }} as {{ type }}){%- endmacro %}

{#- trimmed text, empty is null. DuckDB trims every kind of Unicode's spaces (an address pasted from a web page ends in a
    no-break one), the others only those that are named. -#}
{% macro read_text(value) -%}{{ return(adapter.dispatch('read_text', 'ritorno')(value)) }}{%- endmacro %}
{% macro default__read_text(value) -%}
nullif(trim(both '{{ ritorno.unicode_spaces() }}' from cast({{ value }} as {{ type_string() }})), '')
{%- endmacro %}
{% macro duckdb__read_text(value) -%}nullif(trim(cast({{ value }} as {{ type_string() }})), ''){%- endmacro %}

{#- The same where it is all that is read of a value. DuckDB's trim takes 50 ns a value, these questions a fifth of it: what
    it takes off is a space or no ASCII. -#}
{% macro read_string(value) -%}{{ return(adapter.dispatch('read_string', 'ritorno')(value)) }}{%- endmacro %}
{% macro default__read_string(value) -%}{{ read_text(value) }}{%- endmacro %}
{% macro duckdb__read_string(value) -%}
{%- set text = "cast(" ~ value ~ " as varchar)" -%}
case
    when {{ text }} like ' %' or {{ text }} like '% ' or strlen({{ text }}) != length({{ text }}) then {{ read_text(value) }}
    else nullif({{ text }}, '')
end
{%- endmacro %}
{% macro unicode_spaces() -%}
{{ return(" \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000") }}
{%- endmacro %}

{#- an instant as TIMESTAMP in UTC: ISO 8601 with an offset, or without one in the policy's raw_timezone. Only text with
    an offset in digits is cast to timestamptz: DuckDB 1.5 reads a time that follows one with a zone's name
    ('… Europe/Berlin') in that zone, and the cast costs seven times one to timestamp. With an offset it wants seconds,
    which '10:00+02:00' doesn't give, and it takes offsets of any size. -#}
{% macro read_instant(value, zone=none) -%}{{ return(adapter.dispatch('read_instant', 'ritorno')(value, zone or var('raw_timezone'))) }}{%- endmacro %}
{% macro default__read_instant(value, zone) -%}
{%- set text = text_of_a_year(read_text(value)) -%}
{%- set offset = '([+-](?:0[0-9]|1[0-5])(?::?[0-5][0-9])?)$' -%}
{%- set full = "regexp_replace(regexp_extract(" ~ text ~ ", '^.*" ~ offset ~ "'), '([T ][0-9]{1,2}:[0-9]{2})" ~ offset ~ "', '\\1:00\\2')" -%}
{%- set utc = "case when " ~ text ~ " like '%:%Z' then left(" ~ text ~ ", -1) when " ~ text ~ " like '%:% UTC' then left(" ~ text ~ ", -4) else " ~ text ~ " end" -%}
case
    when regexp_matches({{ text }}, '[T ][0-9:. ]+[+-][0-9:]+$')
        then {{ plausible_instant("cast(try_cast(" ~ full ~ " as timestamptz) as timestamp)") }}
{%- if zone != 'UTC' %}
    when regexp_matches({{ text }}, '^[^:]*:[^:]*(:[^:]*)?(Z|UTC)$') then {{ plausible_instant("try_cast(" ~ utc ~ " as timestamp)") }}
    else {{ plausible_instant("timezone('UTC', timezone('" ~ zone ~ "', try_cast(" ~ text ~ " as timestamp)))") }}
{%- else %}
    else {{ plausible_instant("try_cast(" ~ utc ~ " as timestamp)") }}
{%- endif %}
end
{%- endmacro %}

{#- null for times that no shop means (infinity, year 20024): later date arithmetic would overflow -#}
{% macro plausible_instant(value) -%}
case
    when {{ value }} >= cast('1900-01-01' as timestamp) and {{ value }} < cast('2200-01-01' as timestamp) then {{ value }}
end
{%- endmacro %}

{#- At the end of a CTE with dear columns: they are computed once. PostgreSQL's planner would copy each to everything that
    names it, and copies of copies; a query with an offset it leaves alone. Filters from outside aren't pushed in then. -#}
{% macro computed_once() -%}{{ return(adapter.dispatch('computed_once', 'ritorno')()) }}{%- endmacro %}
{% macro default__computed_once() -%}{%- endmacro %}
{% macro postgres__computed_once() -%}offset 0{%- endmacro %}

{#- a key for joining and publishing: md5 of the parts, which must not be null, in hex -#}
{% macro hash_key(parts) -%}
md5(concat_ws('|', {% for part in parts %}cast({{ part }} as {{ type_string() }}){{ ', ' if not loop.last }}{% endfor %}))
{%- endmacro %}

{#- text of a year from 1000 to 2999, else null: DuckDB reads 'epoch' as a day -#}
{% macro text_of_a_year(text) -%}case when substring({{ text }}, 1, 1) in ('1', '2') then {{ text }} end{%- endmacro %}

{#- text of a number, '1_000' not being one: DuckDB reads it as a thousand -#}
{% macro text_of_a_number(value) -%}replace({{ read_text(value) }}, '_', '?'){%- endmacro %}

{#- a calendar date -#}
{% macro read_date(value) -%}{{ return(adapter.dispatch('read_date', 'ritorno')(value)) }}{%- endmacro %}
{% macro default__read_date(value) -%}{{ plausible_date(safe_cast(text_of_a_year(read_text(value)), 'date')) }}{%- endmacro %}
{#- DuckDB reads '2024-01-05 or so' as a day -#}
{% macro duckdb__read_date(value) -%}
{%- set text = read_text(value) -%}
case
    when regexp_matches({{ text }}, '^[12][0-9]{3}-[0-9]{1,2}-[0-9]{1,2}([ T][0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.][0-9]*)?)?(Z| UTC|[+-][0-9]{2}(:?[0-9]{2})?)?)?$')
        then {{ plausible_date(safe_cast(text, 'date')) }}
end
{%- endmacro %}

{#- an amount or a quantity -#}
{% macro read_decimal(value) -%}{{ safe_cast(text_of_a_number(value), type_price()) }}{%- endmacro %}

{#- null for dates that no shop means (infinity, year 20024): later arithmetic would overflow -#}
{% macro plausible_date(value) -%}
case when {{ value }} between cast('1900-01-01' as date) and cast('2200-01-01' as date) then {{ value }} end
{%- endmacro %}

{#- a whole number; '3.7' is none (a plain cast would round it) -#}
{% macro read_integer(value) -%}{{ return(adapter.dispatch('read_integer', 'ritorno')(value)) }}{%- endmacro %}
{% macro default__read_integer(value) -%}
{%- set number = read_decimal(value) -%}
case when {{ number }} = floor({{ number }}) then cast({{ number }} as bigint) end
{%- endmacro %}

{#- an exchange rate: a decimal above 0 -#}
{% macro read_rate(value) -%}
{%- set number = safe_cast(text_of_a_number(value), 'decimal(18, 8)') -%}
case when {{ number }} > 0 then {{ number }} end
{%- endmacro %}

{#- true and false as systems write them -#}
{% macro read_boolean(value) -%}
case
    when lower({{ read_text(value) }}) in ('true', 't', 'yes', 'y', '1') then true
    when lower({{ read_text(value) }}) in ('false', 'f', 'no', 'n', '0') then false
end
{%- endmacro %}

{#- an IANA time zone's name -#}
{% macro read_timezone(value) -%}{{ return(adapter.dispatch('read_timezone', 'ritorno')(value)) }}{%- endmacro %}
{% macro default__read_timezone(value) -%}
case when {{ read_text(value) }} in (select name from pg_timezone_names()) then {{ read_text(value) }} end
{%- endmacro %}

{#- JSON text, kept as text -#}
{% macro read_json(value) -%}{{ return(adapter.dispatch('read_json', 'ritorno')(value)) }}{%- endmacro %}
{% macro default__read_json(value) -%}
case when json_valid({{ read_text(value) }}) and not regexp_matches({{ read_text(value) }}, '^(?i)-?(nan|inf)') then {{ read_text(value) }} end
{%- endmacro %}
{#- PostgreSQL has no try_cast: functions made by `prepare_engine` at the start of every dbt run. A number that becomes a
    decimal goes as it is, anything else as text. -#}
{% macro postgres__safe_cast(value, type) -%}
{%- set type = {'varchar': 'text', 'double': 'double precision'}.get(type, type) -%}
{{ target.schema }}.{{ ritorno.postgres__try_cast(type) }}({{ value if type.startswith('decimal') else 'cast(' ~ value ~ ' as text)' }})
{%- endmacro %}

{% macro postgres__read_instant(value, zone) -%}{{ target.schema }}.read_instant({{ read_text(value) }}, '{{ zone }}'){%- endmacro %}

{% macro postgres__read_date(value) -%}{{ target.schema }}.read_date({{ read_text(value) }}){%- endmacro %}

{% macro postgres__read_integer(value) -%}{{ target.schema }}.read_integer({{ text_of_a_number(value) }}){%- endmacro %}

{% macro postgres__read_json(value) -%}
case when {{ safe_cast(read_text(value), 'json') }} is not null then {{ read_text(value) }} end
{%- endmacro %}

{#- Spark's try_cast reads '2024' as a day and 'NaN' as a number: only text of the right form reaches it (what has
    another is '' then, which is null). The value stands once: Spark's planner copies what is said twice, and copies of
    copies take it minutes. -#}
{% macro spark__safe_cast(value, type) -%}
{%- set type = {'varchar': 'string'}.get(type, type) -%}
{%- set day = '[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}' -%}
{%- set time = '[ T][0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.][0-9]*)?)?' -%}
{%- set zone = '(?:Z| UTC|[+-](?:0[0-9]|1[0-5])(?::?[0-5][0-9])?)?' -%}
{%- set forms = {
    'date': '(' ~ day ~ ')(?:' ~ time ~ zone | replace('0[0-9]|1[0-5]', '[0-9]{2}') | replace('[0-5]', '[0-9]') ~ ')?',
    'timestamp': '(' ~ day ~ '(?:' ~ time ~ zone ~ ')?)',
    'boolean': '([Tt]rue|TRUE|[Ff]alse|FALSE|[TtFfYyNn10]|[Yy]es|[Nn]o)',
} -%}
{%- if type == 'string' -%}
cast({{ value }} as string)
{%- else -%}
{%- set form = forms.get(type, '([+-]?(?:[0-9]+[.]?[0-9]*|[.][0-9]+)(?:[eE][+-]?[0-9]+)?)') -%}
{%- set around = ' *' if type in ('date', 'boolean') else '\\\\s*' -%}
{%- set text = "regexp_extract(cast(" ~ value ~ " as string), '^" ~ around ~ form ~ around ~ "$', 1)" -%}
{%- if type == 'timestamp' -%}{#- which wants seconds before a zone -#}
{%- set text = "regexp_replace(" ~ text ~ ", '([T ][0-9]{1,2}:[0-9]{2})(Z| UTC|[+-])', '$1:00$2')" -%}
{%- endif -%}
try_cast({{ text }} as {{ type }})
{%- endif -%}
{%- endmacro %}

{% macro spark__read_instant(value, zone) -%}
{%- set instant = safe_cast(value, 'timestamp') -%}
{%- if zone == 'UTC' -%}
{{ plausible_instant(instant) }}
{%- else -%}
case
    when cast({{ value }} as string) rlike ':[0-9.]+ ?(Z|UTC|[+-][0-9]{2}(:?[0-9]{2})?) *$' then {{ plausible_instant(instant) }}
    else {{ plausible_instant(ritorno.spark__instant_of(instant, zone)) }}
end
{%- endif -%}
{%- endmacro %}

{% macro spark__read_date(value) -%}{{ plausible_date(safe_cast(value, 'date')) }}{%- endmacro %}

{% macro spark__read_json(value) -%}
case when try_parse_json({{ read_text(value) }}) is not null then {{ read_text(value) }} end
{%- endmacro %}

{% macro spark__read_timezone(value) -%}
case when {{ read_text(value) }} in ('{{ modules.pytz.all_timezones | join("', '") }}') then {{ read_text(value) }} end
{%- endmacro %}

{#- What an engine needs before the first model; run at the start of every dbt invocation. -#}
{% macro prepare_engine() -%}{{ return(adapter.dispatch('prepare_engine', 'ritorno')()) }}{%- endmacro %}
{% macro default__prepare_engine() -%}{%- endmacro %}

{#- Null instead of an error when text can't be cast, and nothing read that DuckDB wouldn't: PostgreSQL takes 'now',
    'tomorrow', 'Jan 5 2024' and 'NaN', takes second 60 for the next minute's,
    and rounds the seventh digit of a second. And the type `double`, which the contracts name. -#}
{% macro postgres__prepare_engine() -%}
{%- set number = '^ *[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)? *$' -%}
{%- set instant = '^ *[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([ T][0-9]{1,2}:[0-9]{2}(:[0-5][0-9]([.][0-9]*)?)?(Z| UTC|[+-][0-9]{2}(:?[0-9]{2})?)?)? *$' -%}
{%- set micros = "regexp_replace(given, '([.][0-9]{6})[0-9]+', '\\1')" -%}
{%- set taken = {'timestamp': micros, 'timestamptz': micros, 'date': "substring(given from '[0-9]+-[0-9]+-[0-9]+')"} -%}
{%- if execute and flags.WHICH in ('run', 'build', 'test', 'compile', 'seed', 'snapshot', 'show') -%}
create schema if not exists {{ target.schema }};
do $$ begin create domain public.double as double precision; exception when duplicate_object then null; end $$;
{%- for type, reads in [
    ('timestamptz', instant), ('timestamp', instant), ('date', instant | replace('[0-5][0-9]', '[0-9]{2}')), ('json', '.'),
    ('decimal(18, 2)', number), ('decimal(18, 4)', number), ('decimal(18, 8)', number), ('decimal(18, 10)', number), ('bigint', number),
    ('double precision', number), ('text', '.'), ('boolean', '^ *([Tt]rue|TRUE|[Ff]alse|FALSE|[TtFfYyNn10]|[Yy]es|[Nn]o) *$'),
] %}
create or replace function {{ target.schema }}.try_cast_{{ modules.re.sub('[^a-z0-9]+', '_', type).strip('_') }}(given text)
returns {{ type }} language plpgsql immutable parallel unsafe strict as
$$ begin if given ~ '{{ reads }}' then return cast({{ taken.get(type, 'given') }} as {{ type }}); end if; return null; exception when others then return null; end $$;
{%- endfor %}
{%- endif -%}
{%- endmacro %}

{#- What an engine needs before the first model; run at the start of every dbt invocation. -#}
{% macro prepare_engine() -%}{{ return(adapter.dispatch('prepare_engine', 'ritorno')()) }}{%- endmacro %}
{% macro default__prepare_engine() -%}{%- endmacro %}

{#- Functions that read text, and the type `double`, which the contracts name. Null instead of an error when text can't
    be cast, and nothing read that DuckDB wouldn't: PostgreSQL takes 'now', 'tomorrow', 'Jan 5 2024' and 'NaN', takes
    second 60 for the next minute's, and rounds the seventh digit of a second.

    What a value costs (CPU, PostgreSQL 15): a call .2 µs, an exception block .3, a regular expression .3 to 1.5, by the
    number of its states that the text walks through. So the usual form is asked for first, and what has it is cast at
    once. And a reader is one function: the planner knows no common subexpressions and would compute
    `case when x > a and x < b then x end` three times. -#}
{% macro postgres__prepare_engine() -%}
{%- set number = '^\\s*[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?\\s*$' -%}
{%- set instant = '^\\s*[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([ T][0-9]{1,2}:[0-9]{2}(:[0-5][0-9]([.][0-9]*)?)?(Z| UTC|[+-][0-9]{2}(:?[0-9]{2})?)?)?\\s*$' -%}
{%- set micros = "regexp_replace(given, '([.][0-9]{6})[0-9]+', '\\1')" -%}
{%- set taken = {'timestamp': micros, 'timestamptz': micros, 'date': "substring(given from '[0-9]+-[0-9]+-[0-9]+')"} -%}
{%- set usual = {
    'timestamp': "given like '____-__-_____:__:__' and given ~ '^[0-9]+-[0-9]+-[0-9]+[ T][0-9]+:[0-9]+:[0-5][0-9]$'",
    'date': "given like '____-__-__' and given ~ '^[0-9]+-[0-9]+-[0-9]+$'",
} -%}
{%- if execute and flags.WHICH in ('run', 'build', 'test', 'compile', 'seed', 'snapshot', 'show') -%}
create schema if not exists {{ target.schema }};
do $$ begin create domain public.double as double precision; exception when duplicate_object then null; end $$;
{%- for type, reads in [
    ('timestamptz', instant), ('timestamp', instant), ('date', instant | replace('[0-5][0-9]', '[0-9]{2}') | replace('\\s', ' ')), ('json', '.'),
    ('decimal(18, 2)', number), ('decimal(18, 4)', number), ('decimal(18, 8)', number), ('decimal(18, 10)', number), ('bigint', number),
    ('double precision', number), ('text', '.'), ('boolean', '^ *([Tt]rue|TRUE|[Ff]alse|FALSE|[TtFfYyNn10]|[Yy]es|[Nn]o) *$'),
] %}
{%- set name = target.schema ~ '.' ~ ritorno.postgres__try_cast(type) %}
create or replace function {{ name }}(given text)
returns {{ type }} language plpgsql immutable parallel unsafe strict as
$$ begin
    {% if type in usual %}if {{ usual[type] }} then return cast(given as {{ type }}); end if;{% endif %}
    if given ~ '{{ reads }}' then return cast({{ taken.get(type, 'given') }} as {{ type }}); end if;
    return null;
exception when others then return null; end $$;
{%- if type.startswith('decimal') %}
{#- a number that may not fit; what is no decimal goes by its text, as any other value #}
create or replace function {{ name }}(given numeric)
returns {{ type }} language plpgsql immutable parallel unsafe strict as
$$ begin return cast(nullif(given, 'NaN') as {{ type }}); exception when others then return null; end $$;
create or replace function {{ name }}(given bigint)
returns {{ type }} language plpgsql immutable parallel unsafe strict as
$$ begin return cast(given as {{ type }}); exception when others then return null; end $$;
create or replace function {{ name }}(given double precision)
returns {{ type }} language plpgsql immutable parallel unsafe strict as
$$ begin return {{ name }}(cast(given as text)); end $$;
{%- endif %}
{%- endfor %}
create or replace function {{ target.schema }}.read_instant(given text, zone text)
returns timestamp language plpgsql immutable parallel unsafe strict as
$$ declare instant timestamp; begin
    if {{ usual['timestamp'] }} then
        instant := case when zone = 'UTC' then cast(given as timestamp) else timezone('UTC', timezone(zone, cast(given as timestamp))) end;
    elsif given ~ ':[0-9.]+ ?(Z|UTC|[+-][0-9]{2}(:?[0-9]{2})?)$' then
        instant := timezone('UTC', {{ target.schema }}.try_cast_timestamptz(given));
    else
        instant := timezone('UTC', timezone(zone, {{ target.schema }}.try_cast_timestamp(given)));
    end if;
    return {{ plausible_instant('instant') }};
exception when others then return null; end $$;
create or replace function {{ target.schema }}.read_date(given text)
returns date language plpgsql immutable parallel unsafe strict as
$$ declare day date; begin
    if {{ usual['date'] }} then
        day := cast(given as date);
    elsif given ~ '^[12]' then
        day := {{ target.schema }}.try_cast_date(given);
    end if;
    return {{ plausible_date('day') }};
exception when others then return null; end $$;
create or replace function {{ target.schema }}.read_integer(given text)
returns bigint language plpgsql immutable parallel unsafe strict as
$$ declare number decimal(18, 4); begin
    if length(given) <= 14 and given ~ '^-?[0-9]+$' then return cast(given as bigint); end if;
    number := {{ target.schema }}.try_cast_decimal_18_4(given);
    return case when number = floor(number) then cast(number as bigint) end;
end $$;
{%- endif -%}
{%- endmacro %}

{#- The name of the function that casts text to a type, null if it can't be cast. -#}
{% macro postgres__try_cast(type) -%}
try_cast_{{ modules.re.sub('[^a-z0-9]+', '_', type).strip('_') }}
{%- endmacro %}

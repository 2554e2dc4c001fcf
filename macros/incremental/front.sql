{#- The front: canonical orders, their lines and payments, validity and whose an order is, recomputed only for the orders
    that something happened to since the last finished run. Its unit is the order_id: every table of it can be cut by
    order_id into parts that are functions of few rows, so the parts of touched ids are thrown away and built again from
    all that stands landed. Each list of touched ids is a superset: an id too many costs time, an id too few is a fault.

    1. Landed. Raw rows are cut into chunks: 4,096 lines of a batch (rows without a line, a loader's: by a hash of their
       order_id). Every run adds up the hashes of all columns of each chunk (int_changes__landed). A chunk whose sum is
       another than after the last finished run is changed (int_changes__chunks): a new or corrected file, a forgotten
       one, a row that an erasure wrote over. Nothing depends on who changed it. A hash of a row costs a fiftieth of
       what typing, ranking and writing it does.
    2. int_changes__order_ids, what int_canonical__orders is recomputed for. A row's status depends on its own values,
       on the other rows of its order_id and on as-of. So: order_ids of rows in changed chunks, as they are now and as
       they stood; and of rows whose day (event_date, updated_at, deleted_at) lies in (last as-of, as-of].
    3. int_changes__item_order_ids and …payment_order_ids, what their canonical tables are recomputed for. A line
       depends on its own values, on whether an order of its order_id can be read, on the newest batch of lines without
       id of its order, on as-of, and on the other rows of its order_item_id, which may stand in another order. So: the
       orders of changed rows (as above, and rows of orders in 2), and those of every row that shares an order_item_id
       with one of them. What must be read to rank these (int_changes__item_inputs) is more: all orders that share an
       order_item_id with any row of them. Payments likewise.
    4. int_changes__front_orders, what int_orders__classified is recomputed for: 2 and 3, orders of a currency and day
       whose exchange rate is another, and orders whose cancellation or deletion falls due by their store's calendar.
    5. int_changes__owned_orders, what int_identity__order_customers and the fingerprints are recomputed for: 4, orders
       of an account or guest that is somebody else's now, and orders of which refunds changed.

    An interrupted run: what the lists above are compared with is kept until the last table of the heavy tier is built
    (int_changes__kept…, then int_changes__done), and each list takes in what it was in the interrupted run, so whatever
    that run deleted, inserted or left is recomputed. Rows that a killed run took away can't be looked up any more,
    but their ids are in its lists.

    What can't be followed is built in full, with its reason in int_changes__front: the policy and code cases of the
    heavy tier, an as-of that goes back, and orders, lines or payments of another system than `files`, whose staging may
    depend on anything. A change that touches more than incremental_max_share of the rows is quicker in full. -#}

{% macro front_models() -%}
{{- return([
    'int_canonical__orders', 'int_canonical__order_items', 'int_canonical__payments', 'int_orders__items',
    'int_orders__classified', 'int_identity__order_customers', 'int_changes__kept',
]) -}}
{%- endmacro %}

{#- Canonical entities that follow what landed, by what their rows belong to (`unit`): the list of their touched units,
    and that of all that is read. Orders and subscriptions are followed apart, each with its own account of the last
    finished run (macros/incremental/subscriptions.sql). -#}
{% macro followed_entities(family='orders') -%}
{{- return({
    'orders': {
        'orders': {'key': 'order_id', 'touched': 'int_changes__order_ids', 'inputs': 'int_changes__order_ids'},
        'order_items': {
            'key': 'order_item_id', 'touched': 'int_changes__item_order_ids', 'inputs': 'int_changes__item_inputs'
        },
        'payments': {
            'key': 'payment_id', 'touched': 'int_changes__payment_order_ids', 'inputs': 'int_changes__payment_inputs'
        },
    },
    'subscriptions': {
        'subscriptions': {
            'key': 'subscription_id', 'touched': 'int_changes__subscription_ids', 'inputs': 'int_changes__subscription_ids'
        },
        'subscription_events': {
            'key': 'event_id', 'touched': 'int_changes__event_subscription_ids', 'inputs': 'int_changes__event_inputs'
        },
    },
}[family]) -}}
{%- endmacro %}

{#- What its family is called, what its rows belong to, and the first list of such units. -#}
{% macro family_of(entity) -%}
{{- return({
    'orders': {
        'name': 'orders', 'unit': 'order_id', 'ids': 'int_changes__order_ids', 'chunks': 'int_changes__chunks'
    },
    'subscriptions': {
        'name': 'subscriptions', 'unit': 'subscription_id', 'ids': 'int_changes__subscription_ids',
        'chunks': 'int_changes__subscription_chunks'
    },
}['subscriptions' if entity in followed_entities('subscriptions') else 'orders']) -}}
{%- endmacro %}

{#- One of them, or none. -#}
{% macro followed_entity(entity) -%}
{{- return(followed_entities(family_of(entity).name).get(entity)) -}}
{%- endmacro %}

{#- In a model of the front: only rows of these order_ids, when it is built incrementally. -#}
{% macro only_order_ids(list, keyword='where') -%}{{ only_listed('order_id', list, keyword) }}{%- endmacro %}

{% macro only_in(list) -%}where order_id in (select order_id from {{ changes_relation(list) }}){%- endmacro %}

{#- Another source of the same rows, when it is built incrementally: {{ instead_of('view', 'select …') }}. -#}
{% macro instead_of(relation, query) -%}
/* touched: ({{ query }}) as touched_rows -- :touched */ {{ relation }}
{%- endmacro %}

{#- The same filter in a model that is built anew every time, from touched orders only if the front was. -#}
{% macro in_scope(list, keyword='where') -%}
{%- set filter = keyword ~ ' order_id in (select order_id from ' ~ changes_relation(list) ~ ')' -%}
{%- if not (execute and flags.WHICH in ('build', 'run')) -%}
/* touched: {{ filter }} :touched */
{%- elif run_mode('int_changes__front') == 'incremental' -%}
{{ filter }}
{%- endif -%}
{%- endmacro %}

{#- The raw text of an order_id or subscription_id as canonical has it, never null, so that rows without one are a unit
    too. -#}
{% macro raw_unit(relation, unit) -%}coalesce({{ read_string(relation ~ '.' ~ adapter.quote(unit)) }}, ''){%- endmacro %}

{#- A number of the chunk within its batch. -#}
{% macro chunk_of(line, unit) -%}
case when {{ line }} is null then {{ bucket_of(unit) }} else cast({{ line }} - {{ line }} % 4096 as bigint) end
{%- endmacro %}

{#- Whether a day that was still to come at the last finished run's as-of has come: the instant is compared first, which
    costs less than its local date. `front` is int_changes__front. -#}
{% macro falls_due(instant, zone=none) -%}
(
    {{ instant }} > front.due_from and {{ instant }} < front.due_to
    and {{ local_date(instant, zone or "'" ~ var('business_timezone') ~ "'") }} > front.last_as_of_date
    and {{ local_date(instant, zone or "'" ~ var('business_timezone') ~ "'") }} <= front.as_of_date
)
{%- endmacro %}

{#- What stands landed, in chunks (1. above). -#}
{% macro landed_chunks(family='orders') -%}
{%- set followed = followed_entities(family) -%}
with
{%- for entity in followed %}

{{ entity }}_rows as (

    select
        {%- for column in canonical_contract(entity).columns %}
        {{ adapter.quote(column.name) }},
        {%- endfor %}
        _ritorno_file,
        _ritorno_line,
        _ritorno_batch
    from {{ source('files', entity) }}
    {% if not takes_fingerprints(family) %}where false{% endif %}

),

{{ entity }}_hashed as (

    select
        coalesce(_ritorno_batch, 0) as batch,
        {{ chunk_of('_ritorno_line', raw_unit(entity ~ '_rows', family_of(entity).unit)) }} as chunk,
        {{ row_hash(entity ~ '_rows') }} as row_hash
    from {{ entity }}_rows

),

{{ entity }}_chunks as (

    select
        '{{ entity }}' as entity,
        batch,
        chunk,
        count(*) as row_count,
        sum(row_hash) as row_hashes
    from {{ entity }}_hashed
    group by batch, chunk

),
{%- endfor %}
{%- for system, entities in var('systems').items() if system != 'files' %}
{%- for entity in followed if entity in entities %}

{{ system }}_{{ entity }} as (

    select
        '{{ system }}.{{ entity }}' as entity,
        0 as batch,
        0 as chunk,
        count(*) as row_count,
        0 as row_hashes
    from {{ ref('stg_' ~ system ~ '__' ~ entity) }}
    {% if not takes_fingerprints(family) %}where false{% endif %}
    having count(*) > 0

),
{%- endfor %}
{%- endfor %}

chunks as (
    {%- for entity in followed %}

    select * from {{ entity }}_chunks
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
    {%- for system, entities in var('systems').items() if system != 'files' %}
    {%- for entity in followed if entity in entities %}
    union all
    select * from {{ system }}_{{ entity }}
    {%- endfor %}
    {%- endfor %}

),

final as (

    select
        cast(entity as {{ type_string() }}) as entity,
        cast(batch as bigint) as batch,
        cast(chunk as bigint) as chunk,
        cast(row_count as bigint) as row_count,
        cast(row_hashes as decimal(38, 0)) as row_hashes
    from chunks

)

select * from final
{%- endmacro %}

{#- Chunks that landed beside those of the last finished run. -#}
{% macro chunks_beside(landed_model, kept_model) -%}
with landed as (

    select * from {{ ref(landed_model) }}

),

kept as (

    select *
    from landed
    where false
    {{ and_previous(kept_model, 'select entity, batch, chunk, row_count, row_hashes from {previous}') }}

),

final as (

    select
        cast(coalesce(landed.entity, kept.entity) as {{ type_string() }}) as entity,
        cast(coalesce(landed.batch, kept.batch) as bigint) as batch,
        cast(coalesce(landed.chunk, kept.chunk) as bigint) as chunk,
        cast(greatest(coalesce(landed.row_count, 0), coalesce(kept.row_count, 0)) as bigint) as row_count,
        coalesce(landed.row_hashes != kept.row_hashes or landed.row_count != kept.row_count, true) as is_changed
    from landed
    full outer join kept
        on landed.entity = kept.entity and landed.batch = kept.batch and landed.chunk = kept.chunk

)

select * from final
{%- endmacro %}

{#- Rows of changed chunks: as they are in raw, and as canonical has them from the last run. -#}
{% macro changed_rows_of(entity) -%}
{%- set key = followed_entity(entity).key -%}
{%- set family = family_of(entity) -%}
{%- set unit = family.unit -%}
{%- set standing_unit = "coalesce(standing." ~ unit ~ ", '')" -%}
{%- set event_date = "standing.event_date > front.last_as_of_date and standing.event_date <= front.as_of_date" -%}
landed as (

    select
        {{ raw_unit('raw_rows', unit) }} as {{ unit }},
        {{ read_string('raw_rows.' ~ adapter.quote(key)) }} as row_id,
        cast(coalesce(raw_rows._ritorno_batch, 0) as bigint) as batch,
        {{ chunk_of('raw_rows._ritorno_line', raw_unit('raw_rows', unit)) }} as chunk
    from {{ source('files', entity) }} as raw_rows

),

chunks as (

    select
        batch,
        chunk
    from {{ ref(family.chunks) }}
    where entity = '{{ entity }}' and is_changed and (select front.mode from front) = 'incremental'

),

changed_rows as (

    select
        landed.{{ unit }},
        landed.row_id
    from landed
    inner join chunks on landed.batch = chunks.batch and landed.chunk = chunks.chunk
    {{ and_previous(
        'int_canonical__' ~ entity,
        "select " ~ standing_unit ~ " as " ~ unit ~ ", standing." ~ key ~ " as row_id from {previous} as standing"
        ~ " inner join chunks on standing.source_batch = chunks.batch and "
        ~ chunk_of('standing.source_line', standing_unit) ~ " = chunks.chunk"
    ) }}
    {{ and_previous(
        'int_canonical__' ~ entity,
        "select " ~ standing_unit ~ " as " ~ unit ~ ", standing." ~ key ~ " as row_id from {previous} as standing"
        ~ " cross join front where front.mode = 'incremental' and ("
        ~ event_date ~ " or " ~ falls_due('standing.updated_at') ~ " or " ~ falls_due('standing.deleted_at') ~ ")"
    ) }}

)
{%- endmacro %}

{#- What an interrupted run was about to touch: nobody knows how far it came. `front` is int_changes__front. -#}
{% macro and_interrupted(list, column='order_id') -%}
{{ and_previous(
    list,
    "select " ~ column ~ " from {previous}"
    ~ " where (select front.is_interrupted and front.mode = 'incremental' from front)"
) }}
{%- endmacro %}

{#- How a list of touched keys ends. -#}
{% macro distinct_keys(relation, column='order_id') -%}
final as (

    select distinct cast({{ column }} as {{ type_string() }}) as {{ column }}
    from {{ relation }}

)

select * from final
{%- endmacro %}

{#- A table beside what was kept of it at the last finished run, as two CTEs: kept_<name>, and changed_<name> with the
    keys of which a value is another, which are new, or gone. Keys and values are the table's columns, in their order. -#}
{% macro kept_and_changed(relation, name, keys, values) -%}
{%- set kept = 'kept_' ~ name -%}
{{ kept }} as (

    select *
    from {{ relation }}
    where false
    {{ and_previous('int_changes__' ~ kept, 'select ' ~ (keys + values) | join(', ') ~ ' from {previous}') }}

),

changed_{{ name }} as (

    select
        {%- for key in keys %}
        coalesce({{ relation }}.{{ key }}, {{ kept }}.{{ key }}) as {{ key }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ relation }}
    full outer join {{ kept }}
        on
            {%- for key in keys %}
            {{ 'and ' if not loop.first }}{{ relation }}.{{ key }} = {{ kept }}.{{ key }}
            {%- endfor %}
    where
        {%- for value in values %}
        {{ 'or ' if not loop.first }}{{ relation }}.{{ value }} is distinct from {{ kept }}.{{ value }}
        {%- endfor %}

)
{%- endmacro %}

{#- The units for which rows that belong to orders or subscriptions are recomputed (3. above). -#}
{% macro touched_units_of(entity) -%}
{%- set followed = followed_entity(entity) -%}
{%- set family = family_of(entity) -%}
{%- set unit = family.unit -%}
{%- set standing_unit = "coalesce(standing." ~ unit ~ ", '')" -%}
with front as ( -- noqa: ST03

    select * from {{ ref('int_changes__front' if family.name == 'orders' else 'int_changes__subscription_front') }}

),

{{ unit }}s as ( -- noqa: ST03

    select {{ unit }}
    from {{ ref(family.ids) }}

),

{{ changed_rows_of(entity) }},

changed as (

    select
        {{ unit }},
        row_id
    from changed_rows
    {{ and_previous(
        'int_canonical__' ~ entity,
        "select " ~ standing_unit ~ " as " ~ unit ~ ", standing." ~ followed.key ~ " as row_id"
        ~ " from {previous} as standing"
        ~ " where " ~ standing_unit ~ " in (select " ~ unit ~ "s." ~ unit ~ " from " ~ unit ~ "s)"
    ) }}

),

changed_keys as ( -- noqa: ST03

    select distinct row_id
    from changed
    where row_id is not null

),

touched as (

    select {{ unit }} from changed
    {{ and_previous(
        'int_canonical__' ~ entity,
        "select " ~ standing_unit ~ " as " ~ unit ~ " from {previous} as standing"
        ~ " where standing." ~ followed.key ~ " in (select changed_keys.row_id from changed_keys)"
    ) }}
    {{ and_interrupted(followed.touched, unit) }}

),

{{ distinct_keys('touched', unit) }}
{%- endmacro %}

{#- The units whose rows must be read for that. -#}
{% macro input_units_of(entity) -%}
{%- set followed = followed_entity(entity) -%}
{%- set unit = family_of(entity).unit -%}
{%- set standing_unit = "coalesce(standing." ~ unit ~ ", '')" -%}
with touched as (

    select {{ unit }}
    from {{ ref(followed.touched) }}

),

keys as ( -- noqa: ST03

    select
        {{ unit }},
        cast(null as {{ type_string() }}) as row_id
    from touched
    where false
    {{ and_previous(
        'int_canonical__' ~ entity,
        "select standing." ~ unit ~ ", standing." ~ followed.key ~ " as row_id from {previous} as standing"
        ~ " where " ~ standing_unit ~ " in (select touched." ~ unit ~ " from touched)"
        ~ " and standing." ~ followed.key ~ " is not null"
    ) }}

),

inputs as (

    select {{ unit }} from touched
    {{ and_previous(
        'int_canonical__' ~ entity,
        "select " ~ standing_unit ~ " as " ~ unit ~ " from {previous} as standing"
        ~ " where standing." ~ followed.key ~ " in (select keys.row_id from keys)"
    ) }}

),

{{ distinct_keys('inputs', unit) }}
{%- endmacro %}

{#- Whether every table of the front stands, so that what is gone can be looked up. -#}
{% macro front_stands(names=none, schemas=none) -%}
{%- if not (execute and flags.WHICH in ('build', 'run')) -%}{{ return(true) }}{%- endif -%}
{%- for name in names or front_models() -%}
    {%- set relation = left_behind(name, (schemas or {}).get(name, 'intermediate')) -%}
    {%- if relation is none or not relation.is_table -%}{{ return(false) }}{%- endif -%}
{%- endfor -%}
{{- return(true) -}}
{%- endmacro %}

{#- What the last runs left behind, a row, from how they were going to build the front and the tier and from the account
    that is written last of all: a run that began and isn't done was interrupted, and what it was about to touch is
    touched again. -#}
{% macro what_runs_left(front_model, run_model, done_model) -%}
with front as (

    select
        cast(null as {{ type_string() }}) as run_id,
        cast(null as {{ type_string() }}) as mode
    where false
    {{ and_previous(front_model, 'select run_id, mode from {previous}') }}

),

begun as (

    select
        cast(null as {{ type_string() }}) as run_id,
        cast(null as {{ type_string() }}) as mode
    where false
    {{ and_previous(run_model, 'select run_id, mode from {previous}') }}

),

done as (

    select
        cast(null as {{ type_string() }}) as run_id,
        cast(null as date) as as_of_date,
        cast(null as {{ type_string() }}) as engine,
        cast(null as {{ type_string() }}) as policy_hash,
        cast(null as {{ type_string() }}) as code_hash,
        cast(null as boolean) as has_fingerprints
    where false
    {{ and_previous(
        done_model,
        'select run_id, as_of_date, engine, policy_hash, code_hash, has_fingerprints from {previous}'
    ) }}

),

always as (

    select 1 as one

),

final as (

    select
        front.run_id as front_run_id,
        front.mode as front_mode,
        begun.run_id as begun_run_id,
        begun.mode as begun_mode,
        done.run_id as done_run_id,
        done.as_of_date as done_as_of_date,
        done.engine as done_engine,
        done.policy_hash as done_policy_hash,
        done.code_hash as done_code_hash,
        coalesce(done.has_fingerprints, false) as has_fingerprints,
        coalesce(begun.run_id != done.run_id, false)
        or coalesce(front.run_id != done.run_id, false) as is_interrupted,
        -- the tier's decision of a run that was killed before it is the one of the run before
        coalesce(begun.run_id != done.run_id and begun.mode = 'full', false) as is_full_interrupted,
        coalesce(front.run_id != done.run_id and front.mode = 'full', false) as is_full_front_interrupted
    from always
    left join front on always.one = 1
    left join begun on always.one = 1
    left join done on always.one = 1

)

select * from final
{%- endmacro %}

{#- Reasons to build everything that all tiers share; `before` is what what_runs_left says. -#}
{% macro reasons_for_full(was_full, family='orders') -%}
            when {{ var('incremental') == 'never' }} then 'policy: incremental is never'
            when {{ not can_delete_rows() }} then 'this engine has no rows that could be replaced'
            when {{ not takes_fingerprints(family) }}
                then 'policy: fewer {{ counted_by(family).what }} than {{ counted_by(family).policy }}'
            when '{{ env_var('RITORNO_RUN_ID', '') }}' = '' then 'dbt was run by hand'
            when '{{ env_var('RITORNO_FULL', '') }}' != '' then 'asked for (--full)'
            when before.done_run_id is null then 'no finished run to build on'
            when before.done_engine != '{{ target.type }}' then 'the last run was on ' || before.done_engine
            when before.done_policy_hash != '{{ env_var('RITORNO_POLICY_HASH', '') }}' then 'the policy has changed'
            when before.done_code_hash != '{{ env_var('RITORNO_CODE_HASH', '') }}'
                then 'models, macros or versions have changed'
            when {{ was_full }} then 'the last full build was interrupted'
            when not before.has_fingerprints then 'the last run took no fingerprints'
            when before.done_as_of_date > {{ as_of_date() }}
                then 'as of goes back from ' || cast(before.done_as_of_date as {{ type_string() }})
{%- endmacro %}

{#- How such a decision begins, made of `reason` and int_changes__before. -#}
{% macro decision_columns() -%}
cast('{{ env_var('RITORNO_RUN_ID', '') }}' as {{ type_string() }}) as run_id,
        {{ as_of_date() }} as as_of_date,
        cast('{{ target.type }}' as {{ type_string() }}) as engine,
        cast(case when reason is null then 'incremental' else 'full' end as {{ type_string() }}) as mode,
        cast(reason as {{ type_string() }}) as reason,
        is_interrupted
{%- endmacro %}

{#- How the decision of a tier's last part ends: what the next run is compared with. -#}
{% macro versions_of_run(family='orders') -%}
cast({{ takes_fingerprints(family) | string | lower }} as boolean) as has_fingerprints,
        cast('{{ env_var('RITORNO_POLICY_HASH', '') }}' as {{ type_string() }}) as policy_hash,
        cast('{{ env_var('RITORNO_CODE_HASH', '') }}' as {{ type_string() }}) as code_hash
{%- endmacro %}

{#- The row of such a decision, once its tier is built. -#}
{% macro finished_run(run_model) -%}
with run as (

    select * from {{ ref(run_model) }}

),

final as (

    select
        run_id,
        as_of_date,
        engine,
        policy_hash,
        code_hash,
        has_fingerprints
    from run

)

select * from final
{%- endmacro %}

{#- The chunks that landed, to be kept once a tier is built. -#}
{% macro kept_chunks(landed_model, family='orders') -%}
with landed as (

    select * from {{ ref(landed_model) }}
    {% if not takes_fingerprints(family) %}where false{% endif %}

),

final as (

    select
        entity,
        batch,
        chunk,
        row_count,
        row_hashes
    from landed

)

select * from final
{%- endmacro %}

{#- A model that is built after all of these. -#}
{% macro after_all_of(names) -%}
{%- for name in names %}
-- depends_on: {{ ref(name) }}
{%- endfor %}
{%- endmacro %}

{#- What is kept of a finished run is written after all tables that it stands for. -#}
{% macro after_the_heavy_tier() -%}
{{ after_all_of(heavy_models()) }}
{%- endmacro %}

{#- Of `chunks`, what a decision of a front asks, as `sums`; its reasons; and how its row ends: the sizes, and the window
    of days that have come since the last finished run. -#}
{% macro sizes_of_chunks() -%}
sizes as (

    select
        entity,
        sum(row_count) as row_count,
        sum(case when is_changed then row_count else 0 end) as changed_rows
    from chunks
    group by entity

),

sums as (

    select
        coalesce(sum(row_count), 0) as row_count,
        coalesce(sum(changed_rows), 0) as changed_rows,
        coalesce(
            max(case when changed_rows > row_count * {{ var('incremental_max_share') }} then 1 else 0 end), 0
        ) as has_too_many,
        max(case when entity like '%.%' then entity end) as foreign_entity
    from sizes

)
{%- endmacro %}

{% macro reasons_of_landed() -%}
when sums.foreign_entity is not null
                then 'rows of ' || sums.foreign_entity || ', of which only staging knows'
            when sums.has_too_many = 1 then 'more rows changed than incremental_max_share'
{%- endmacro %}

{% macro window_columns() -%}
cast(row_count as bigint) as landed_rows,
        cast(changed_rows as bigint) as changed_rows,
        cast(done_as_of_date as date) as last_as_of_date,
        -- whatever the zone, a local date is within two days of the instant's
        cast({{ add_days('done_as_of_date', -2) }} as timestamp) as due_from,
        cast({{ add_days(as_of_date(), 2) }} as timestamp) as due_to
{%- endmacro %}

-- sqlfluff:indentation:template_blocks_indent:false
{{ config(schema='quarantine') }}
{#- counts_against_limit: only rows that can't be read or related do; an order without an exchange rate can be read. -#}
with rejects as (

    select * from {{ source('landing', 'rejects') }}

),

orders as (

    select * from {{ ref('int_canonical__orders') }}
    where row_status = 'current'

),

classified_orders as (

    select * from {{ ref('int_orders__classified') }}
    where outcome = 'quarantined'

),

refunds as (

    select * from {{ ref('int_canonical__refunds') }}
    where row_status = 'current'

),

classified_refunds as (

    select * from {{ ref('int_refunds__classified') }}
    where outcome = 'quarantined'

),

invalid_nps_answers as (

    select * from {{ ref('int_nps__answers') }}
    where invalid_reason is not null

),

unreadable as (
    {% for entity in canonical_entities() %}
    select
        system,
        '{{ entity }}' as entity,
        {{ canonical_key_text(entity) }} as row_key,
        source_file,
        source_line,
        source_batch,
        bad_column,
        bad_value,
        bad_reason
    from {{ ref('int_canonical__' ~ entity) }}
    where row_status = 'quarantined'
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}

),

rejected as (

    select
        system,
        table_name as entity,
        cast(null as {{ type_string() }}) as row_key,
        file as source_file,
        line as source_line,
        batch as source_batch,
        column_name as bad_column,
        value as bad_value,
        reason as bad_reason
    from rejects

),

late_orders as (

    select
        orders.system,
        'orders' as entity,
        orders.order_id as row_key,
        orders.source_file,
        orders.source_line,
        orders.source_batch,
        case when classified_orders.reason = 'no_exchange_rate' then 'currency' else 'total' end as bad_column,
        case
            when classified_orders.reason = 'no_exchange_rate' then orders.currency
            else cast(orders.total as {{ type_string() }})
        end as bad_value,
        classified_orders.reason as bad_reason
    from orders
    inner join classified_orders
        on orders.system = classified_orders.system and orders.order_id = classified_orders.order_id

),

late_refunds as (

    select
        refunds.system,
        'refunds' as entity,
        refunds.refund_id as row_key,
        refunds.source_file,
        refunds.source_line,
        refunds.source_batch,
        'currency' as bad_column,
        refunds.currency as bad_value,
        classified_refunds.reason as bad_reason
    from refunds
    inner join classified_refunds
        on refunds.system = classified_refunds.system and refunds.refund_id = classified_refunds.refund_id

),

late_nps_answers as (

    select
        system,
        'nps_responses' as entity,
        response_id as row_key,
        source_file,
        source_line,
        source_batch,
        case when invalid_reason = 'unknown_scale' then 'scale_max' else 'score' end as bad_column,
        case
            when invalid_reason = 'unknown_scale' then scale else cast(score as {{ type_string() }})
        end as bad_value,
        invalid_reason as bad_reason
    from invalid_nps_answers

),

quarantined as (

    select
        *,
        true as counts_against_limit
    from unreadable
    union all
    select
        *,
        true as counts_against_limit
    from rejected
    union all
    select
        *,
        false as counts_against_limit
    from late_orders
    union all
    select
        *,
        false as counts_against_limit
    from late_refunds
    union all
    select
        *,
        false as counts_against_limit
    from late_nps_answers

),

final as (

    select
        cast(system as {{ type_string() }}) as system,
        cast(entity as {{ type_string() }}) as entity,
        cast(row_key as {{ type_string() }}) as row_key,
        cast(source_file as {{ type_string() }}) as source_file,
        cast(source_line as bigint) as source_line,
        cast(coalesce(source_batch, 0) as bigint) as source_batch,
        cast(bad_column as {{ type_string() }}) as bad_column,
        cast(bad_value as {{ type_string() }}) as bad_value,
        cast(bad_reason as {{ type_string() }}) as bad_reason,
        counts_against_limit
    from quarantined

)

select * from final

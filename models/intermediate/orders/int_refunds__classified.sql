-- Which refunds count, and how much net revenue each takes away. A refund's net part is the order's net share of the
-- amount; parts are rounded on the running sum of an order's refunds, so a full refund in several goes leaves 0.00.
with refunds as (

    select * from {{ ref('int_canonical__refunds') }}
    where row_status = 'current'

),

orders as (

    select * from {{ ref('int_orders__classified') }}

),

unreadable_orders as (

    select distinct system || ':' || order_id as order_key
    from {{ ref('int_canonical__orders') }}
    where row_status = 'quarantined' and order_id is not null

),

items as (

    select * from {{ ref('int_orders__items') }}

),

exchange_rates as (

    select * from {{ ref('int_orders__exchange_rates') }}

),

keyed as (

    select
        *,
        system || ':' || refund_id as refund_key,
        system || ':' || order_id as order_key,
        system || ':' || order_item_id as order_item_key,
        {{ currency_of('currency') }} as own_currency
    from refunds

),

-- a line of another order is no line to take it from
refunded_items as (

    select distinct
        items.order_item_key,
        items.order_key
    from items
    inner join keyed
        on
            items.order_item_key = keyed.order_item_key
            and items.order_key = keyed.order_key

),

joined as (

    select
        keyed.*,
        orders.outcome as order_outcome,
        orders.order_date,
        orders.net_before_refunds,
        orders.refund_base,
        refunded_items.order_item_key as known_order_item_key,
        unreadable_orders.order_key is not null as is_order_unreadable,
        case when keyed.order_id is null then keyed.own_currency else orders.currency end as refund_currency,
        case when keyed.order_id is null then exchange_rates.fx_rate else orders.fx_rate end as fx_rate
    from keyed
    left join orders
        on keyed.order_key = orders.order_key
    left join unreadable_orders
        on keyed.order_key = unreadable_orders.order_key
    left join refunded_items
        on
            keyed.order_item_key = refunded_items.order_item_key
            and keyed.order_key = refunded_items.order_key
    -- a refund of an order has the order's rate; asked for in a condition of its own DuckDB compares all with all
    left join exchange_rates
        on
            case when keyed.order_id is null then keyed.own_currency end = exchange_rates.currency
            and keyed.event_date = exchange_rates.business_date

),

classified as (

    select
        *,
        case
            when is_after_as_of then 'after_as_of'
            {%- if not var('count_refunds') %}
            else 'not_counted'
            {%- else %}
                when order_id is null and fx_rate is null then 'quarantined'
                when order_id is null or order_outcome = 'valid' then 'counts'
                else 'not_counted'
            {%- endif %}
        end as outcome,
        case
            when is_after_as_of then null
            {%- if not var('count_refunds') %}
            else 'refunds_ignored'
            {%- else %}
                when order_id is null and fx_rate is null then 'no_exchange_rate'
                when order_id is null or order_outcome = 'valid' then null
                when order_outcome = 'excluded' then 'order_excluded'
                when order_outcome = 'after_as_of' then 'order_after_as_of'
                when order_outcome = 'quarantined' or is_order_unreadable then 'order_quarantined'
                else 'order_unknown'
            {%- endif %}
        end as verdict
    from joined

),

of_orders as (

    select
        refund_key,
        cast(sum(amount) over (
            partition by order_key
            order by refunded_at asc, refund_key asc
            rows between unbounded preceding and current row
        ) as decimal(38, 4)) as amount_so_far
    from classified
    where outcome = 'counts' and order_id is not null

),

measured as (

    select
        classified.*,
        coalesce(of_orders.amount_so_far, classified.amount) as amount_to,
        coalesce(of_orders.amount_so_far - classified.amount, 0) as amount_from
    from classified
    left join of_orders
        on classified.refund_key = of_orders.refund_key

),

parted as (

    select
        *,
        case
            when order_id is null or refund_base is null
                then {{ reporting_amount('amount_to', 'fx_rate') }} - {{ reporting_amount('amount_from', 'fx_rate') }}
            else
                {{ rounded_share('amount_to', 'net_before_refunds', 'refund_base') }}
                - {{ rounded_share('amount_from', 'net_before_refunds', 'refund_base') }}
        end as net_part
    from measured

),

final as (

    select
        cast(refund_key as {{ type_string() }}) as refund_key,
        system,
        refund_id,
        cast(outcome as {{ type_string() }}) as outcome,
        cast(verdict as {{ type_string() }}) as reason,
        cast(order_key as {{ type_string() }}) as order_key,
        cast(known_order_item_key as {{ type_string() }}) as order_item_key,
        customer_id,
        refunded_at,
        event_date as refund_date,
        cast(case when order_id is null then event_date else order_date end as date) as order_date,
        cast(refund_currency as {{ type_string() }}) as currency,
        fx_rate,
        {{ reporting_amount('amount', 'fx_rate') }} as gross_amount,
        cast(case when outcome = 'counts' then net_part end as {{ type_money() }}) as amount,
        reason as refund_note
    from parted

)

select * from final

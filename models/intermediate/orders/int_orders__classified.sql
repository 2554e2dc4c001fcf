{{ config(
    materialized='touched', unique_key='order_id', meta={'touched_by': 'int_changes__front_orders'}
) }}

-- depends_on: {{ ref('int_changes__front_orders') }}
-- The one definition of a valid order (METRICS.md, ground rules). Everything that counts orders reads the outcome
-- from here; the reasons stand in the order in which they are asked.
{%- set prices_include_tax = var('prices_include_tax') -%}
{%- set store_zone = "coalesce(store_timezone, '" ~ var('business_timezone') ~ "')" -%}
{%- set end_statuses = ['cancelled', 'canceled', 'void', 'voided', 'deleted'] %}
with orders as (

    select * from {{ ref('int_canonical__orders') }}
    -- deleted orders are listed, if they existed as of the day
    where
        (row_status = 'current' or (row_status = 'deleted' and not is_after_as_of))
        {{ only_order_ids('int_changes__front_orders', 'and') }}

),

line_totals as (

    select *
    from {{ instead_of(
        ref('int_orders__line_totals'),
        line_totals(changes_relation('int_orders__items'), only_in('int_changes__front_orders'))
    ) }}

),

payments as (

    select *
    from {{ instead_of(
        ref('int_orders__payments'),
        payments_of_orders(changes_relation('int_canonical__payments'), only_in('int_changes__front_orders'))
    ) }}

),

exchange_rates as (

    select * from {{ ref('int_orders__exchange_rates') }}

),

keyed as (

    select
        *,
        system || ':' || order_id as order_key,
        {{ currency_of('currency') }} as order_currency,
        lower(trim(status)) as shop_status,
        {{ local_date('cancelled_at', store_zone) }} as cancelled_date,
        {{ local_date('deleted_at', store_zone) }} as deleted_date
    from orders

),

joined as (

    select
        keyed.*,
        line_totals.items,
        line_totals.item_total,
        line_totals.has_positive_quantity,
        exchange_rates.fx_rate,
        coalesce(line_totals.has_parts_of_cents, 0) as has_parts_of_cents,
        coalesce(line_totals.has_amount_out_of_range, 0) as has_amount_out_of_range,
        coalesce(payments.payments, 0) as payments,
        coalesce(payments.paying_payments, 0) as paying_payments
    from keyed
    left join line_totals
        on keyed.order_key = line_totals.order_key
    left join payments
        on keyed.order_key = payments.order_key
    left join exchange_rates
        on
            keyed.order_currency = exchange_rates.currency
            and keyed.event_date = exchange_rates.business_date

),

-- What was charged according to the lines, and what is net of tax, shipping and discounts, in the order's currency.
-- Tax stands in the prices or on top of them: policy.
priced as (

    select
        *,
        item_total - coalesce(discount, 0) + coalesce(shipping, 0)
        {%- if not prices_include_tax %} + coalesce(tax, 0){% endif %} as lines_charged,
        case
            when items is not null
                then item_total - coalesce(discount, 0){% if prices_include_tax %} - coalesce(tax, 0){% endif %}
            else total - coalesce(tax, 0) - coalesce(shipping, 0)
        end as order_net,
        -- a cancellation or deletion after as-of has not happened, so neither has the status it left behind
        case
            when
                shop_status in ({{ text_list(end_statuses) }})
                and (cancelled_date > {{ as_of_date() }} or deleted_date > {{ as_of_date() }})
                then null
            else shop_status
        end as status_in_force
    from joined

),

-- The lines rule where both are known and disagree.
ruled as (

    select
        *,
        coalesce(abs(total - lines_charged) > 0.01, false) as is_disagreeing,
        case
            when total is null or abs(total - lines_charged) > 0.01 then lines_charged
            else total
        end as charged
    from priced

),

converted as (

    select
        *,
        {{ reporting_amount('order_net', 'fx_rate') }} as net_before_refunds,
        {{ reporting_amount('item_total', 'fx_rate') }} as lines_gross,
        {{ reporting_amount('coalesce(discount, 0)', 'fx_rate') }} as stated_discount,
        {{ reporting_amount('coalesce(tax, 0)', 'fx_rate') }} as tax_amount,
        {{ reporting_amount('coalesce(shipping, 0)', 'fx_rate') }} as shipping_amount,
        {{ reporting_amount('charged', 'fx_rate') }} as charged_amount
    from ruled
    {{ computed_once() }}

),

classified as (

    select
        *,
        case
            when row_status = 'deleted' then 'deleted'
            when is_after_as_of then null
            when is_test then 'test'
            when
                cancelled_date <= {{ as_of_date() }}
                or (
                    status_in_force in ('cancelled', 'canceled')
                    and status_in_force in ({{ text_list(var('invalid_order_statuses')) }})
                )
                then 'cancelled'
            when status_in_force in ({{ text_list(var('invalid_order_statuses')) }}) then 'invalid_status'
            when total < 0 or charged < 0 then 'negative_total'
            when items > 0 and has_positive_quantity = 0 then 'no_positive_quantity'
            when payments > 0 and paying_payments = 0 then 'unpaid'
            {%- if not var('count_zero_orders') %}
            when charged = 0 then 'zero_total'
            {%- endif %}
        end as exclusion,
        case
            when is_after_as_of then null
            when has_amount_out_of_range = 0 and order_net is null then 'no_total_and_no_lines'
            when fx_rate is null then 'no_exchange_rate'
            when
                has_amount_out_of_range = 1 or net_before_refunds is null or charged_amount is null
                or tax_amount is null or shipping_amount is null or stated_discount is null
                then 'amount_out_of_range'
        end as obstacle
    from converted

),

final as (

    select
        cast(order_key as {{ type_string() }}) as order_key,
        system,
        order_id,
        cast(case
            when exclusion is not null then 'excluded'
            when is_after_as_of then 'after_as_of'
            when obstacle is not null then 'quarantined'
            else 'valid'
        end as {{ type_string() }}) as outcome,
        cast(coalesce(exclusion, obstacle) as {{ type_string() }}) as reason,
        ordered_at,
        event_date as order_date,
        customer_id,
        subscription_id,
        status,
        shop_status is not null
        and shop_status not in ({{ text_list(var('invalid_order_statuses')) }})
        and shop_status not in ({{ text_list(var('known_order_statuses')) }}) as is_unknown_status,
        cast(order_currency as {{ type_string() }}) as currency,
        fx_rate,
        cast(coalesce(items, 0) as bigint) as items,
        total,
        cast(lines_charged as decimal(38, 4)) as lines_charged,
        is_disagreeing,
        -- what a refund is measured against: the amount charged, null if nothing was
        cast(case
            when total > 0 then total
            when charged > 0 then charged
        end as decimal(38, 4)) as refund_base,
        cast(charged_amount as {{ type_money() }}) as charged_amount,
        -- gross − order discount − included tax = net, in cents: the discount takes the rounding of a conversion
        cast(case
            when items is not null then lines_gross
            else net_before_refunds + stated_discount
        end as {{ type_money() }}) as gross_revenue,
        cast(case
            when items is not null then lines_gross - net_before_refunds{% if prices_include_tax %} - tax_amount{% endif %}
            else stated_discount
        end as {{ type_money() }}) as discount,
        cast(tax_amount as {{ type_money() }}) as tax,
        cast({% if prices_include_tax %}case when items is not null then tax_amount else 0 end{% else %}0{% endif %} as {{ type_money() }}) as included_tax,
        cast(shipping_amount as {{ type_money() }}) as shipping,
        cast(net_before_refunds as {{ type_money() }}) as net_before_refunds,
        fx_rate != 1 or has_parts_of_cents = 1 as has_uneven_lines,
        channel,
        store,
        coupon_code,
        cast(lower(trim(account_type)) as {{ type_string() }}) as account_type,
        source_file,
        source_line
    from classified

)

select * from final

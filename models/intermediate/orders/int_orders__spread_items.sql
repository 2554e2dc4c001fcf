{{ config(materialized='touched', unique_key='order_key') }}

-- depends_on: {{ ref('int_changes__orders') }}
-- What a whole order carries (the rounding of its conversion, its discount, the tax inside its prices, its refunds)
-- spread over its lines in cents by largest remainder, ties by order_item_key. Only the orders that carry any of it
-- are looked at: windows over every line of a large shop would cost several times the rest of this folder.
with orders as (

    select * from {{ ref('int_orders__valid') }}
    where is_spread
    {{ only_touched('order_key', 'and') }}

),

items as (

    select * from {{ ref('int_orders__items') }}
    {{ only_touched('order_key') }}

),

refunds as (

    select * from {{ ref('int_refunds__classified') }}
    where outcome = 'counts' and order_item_key is not null
    {{ only_touched('order_key', 'and') }}

),

refunded_items as (

    select
        order_item_key,
        sum(amount) as refunded_on_line
    from refunds
    group by order_item_key

),

joined as (

    select
        items.*,
        orders.order_date,
        {{ in_units('orders.gross_revenue', 2) }} as gross_cents,
        {{ in_units('orders.discount', 2) }} as discount_cents,
        {{ in_units('orders.included_tax', 2) }} as tax_cents,
        {{ in_units('orders.refunded_on_no_line', 2) }} as refund_cents,
        {{ in_units('coalesce(refunded_items.refunded_on_line, 0)', 2) }} as line_refund_cents,
        cast(items.line_net as decimal(38, 4)) * orders.fx_rate * 100 as exact_cents
    from items
    inner join orders
        on items.order_key = orders.order_key
    left join refunded_items
        on items.order_item_key = refunded_items.order_item_key

),

-- 1. the line's own amount in whole cents
floored as (

    select
        *,
        floor(exact_cents) as whole_cents,
        row_number() over (
            partition by order_key order by exact_cents - floor(exact_cents) desc, order_item_key asc
        ) as cent_rank,
        count(*) over (partition by order_key) as lines,
        sum(floor(exact_cents)) over (partition by order_key) as whole_cents_of_order
    from joined

),

grossed as (

    select
        *,
        cast(whole_cents as {{ type_wide_integer() }})
        + case when cent_rank <= gross_cents - whole_cents_of_order then 1 else 0 end as line_gross_cents
    from floored

),

-- 2. discount and tax weigh on lines of positive amount by that amount; on all alike if there is none
weighing as (

    select
        *,
        sum(greatest(line_gross_cents, 0)) over (partition by order_key) as positive_cents
    from grossed

),

weighed as (

    select
        *,
        case when positive_cents = 0 then 1 else greatest(line_gross_cents, 0) end as weight,
        cast(case when positive_cents = 0 then lines else positive_cents end as {{ type_wide_integer() }}) as weights
    from weighing

),

deductible as (

    select
        *,
        {{ whole_quotient('abs(discount_cents) * weight', 'weights') }} as discount_whole,
        (abs(discount_cents) * weight) % weights as discount_rest,
        {{ whole_quotient('abs(tax_cents) * weight', 'weights') }} as tax_whole,
        (abs(tax_cents) * weight) % weights as tax_rest
    from weighed

),

deducting as (

    select
        *,
        sum(discount_whole) over (partition by order_key) as discount_wholes,
        row_number() over (partition by order_key order by discount_rest desc, order_item_key asc) as discount_rank,
        sum(tax_whole) over (partition by order_key) as tax_wholes,
        row_number() over (partition by order_key order by tax_rest desc, order_item_key asc) as tax_rank
    from deductible

),

deducted as (

    select
        *,
        {{ largest_remainder_share('discount_cents', 'discount_whole', 'discount_wholes', 'discount_rank') }}
            as discount_share,
        {{ largest_remainder_share('tax_cents', 'tax_whole', 'tax_wholes', 'tax_rank') }} as tax_share
    from deducting

),

-- 3. refunds weigh on what is left of each line
remaining as (

    select
        *,
        line_gross_cents - discount_share - tax_share as net_cents,
        greatest(line_gross_cents - discount_share - tax_share - line_refund_cents, 0) as left_cents
    from deducted

),

refund_weighing as (

    select
        *,
        sum(left_cents) over (partition by order_key) as left_cents_of_order
    from remaining

),

refund_weighed as (

    select
        *,
        case when left_cents_of_order = 0 then 1 else left_cents end as refund_weight,
        cast(
            case when left_cents_of_order = 0 then lines else left_cents_of_order end as {{ type_wide_integer() }}
        ) as refund_weights
    from refund_weighing

),

refundable as (

    select
        *,
        {{ whole_quotient('abs(refund_cents) * refund_weight', 'refund_weights') }} as refund_whole,
        (abs(refund_cents) * refund_weight) % refund_weights as refund_rest
    from refund_weighed

),

refunding as (

    select
        *,
        sum(refund_whole) over (partition by order_key) as refund_wholes,
        row_number() over (partition by order_key order by refund_rest desc, order_item_key asc) as refund_rank
    from refundable

),

refunded as (

    select
        *,
        line_refund_cents
        + {{ largest_remainder_share('refund_cents', 'refund_whole', 'refund_wholes', 'refund_rank') }} as refund_share
    from refunding

),

final as (

    select
        order_item_key,
        order_key,
        product_key,
        system,
        order_id,
        product_id,
        order_date,
        quantity,
        unit_price,
        line_discount,
        {{ from_cents('line_gross_cents') }} as gross_revenue,
        {{ from_cents('discount_share') }} as discount,
        {{ from_cents('tax_share') }} as included_tax,
        {{ from_cents('refund_share') }} as refunded,
        {{ from_cents('net_cents - refund_share') }} as net_revenue
    from refunded

)

select * from final

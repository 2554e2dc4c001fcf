{{ config(
    materialized='touched', unique_key='order_id', meta={'touched_by': 'int_changes__item_order_ids'}
) }}

-- depends_on: {{ ref('int_changes__item_order_ids') }}
-- The current lines. Canonical has put lines without an order into quarantine, so every line here has its parent.
with items as (

    select * from {{ ref('int_canonical__order_items') }}
    where row_status = 'current'
    {{ only_order_ids('int_changes__item_order_ids', 'and') }}

),

keyed as (

    select
        *,
        system || ':' || order_item_id as order_item_key
    from items
    where order_item_id is not null

),

-- Only lines without an id are numbered: by content, so the order they came in doesn't matter. Lines of the same
-- content are interchangeable; their place in the file merely breaks the tie.
unkeyed as (

    select
        *,
        system || ':' || order_id || ':' || row_number() over (
            partition by system, order_id
            order by
                product_id asc,
                quantity asc,
                unit_price asc,
                discount asc nulls first,
                source_file asc nulls first,
                source_line asc nulls first
        ) as order_item_key
    from items
    where order_item_id is null

),

lines as (

    select * from keyed
    union all
    select * from unkeyed

),

final as (

    select
        cast(order_item_key as {{ type_string() }}) as order_item_key,
        cast(system || ':' || order_id as {{ type_string() }}) as order_key,
        cast(system || ':' || product_id as {{ type_string() }}) as product_key,
        system,
        order_id,
        product_id,
        quantity,
        unit_price,
        cast(coalesce(discount, 0) as {{ type_price() }}) as line_discount,
        -- null if the product of both is no amount of money any more: the order goes to quarantine
        -- (whole units need no rounding, which would cost more than the rest of this model)
        {{ safe_cast(
            "case when quantity = floor(quantity) then cast(quantity as decimal(38, 0)) * unit_price"
            ~ " else round(cast(quantity as decimal(38, 4)) * unit_price, 4) end - coalesce(discount, 0)",
            type_price()
        ) }} as line_net
    from lines

)

select * from final

{{ config(materialized='view') }}

with items as (

    select * from {{ ref('int_orders__items') }}

),

final as (

    select
        order_key,
        cast(count(*) as bigint) as items,
        cast(sum(line_net) as decimal(38, 4)) as item_total,
        cast(max(case when quantity > 0 then 1 else 0 end) as integer) as has_positive_quantity,
        cast(max(case when line_net != round(line_net, 2) then 1 else 0 end) as integer) as has_parts_of_cents,
        cast(max(case when line_net is null then 1 else 0 end) as integer) as has_amount_out_of_range
    from items
    group by order_key

)

select * from final

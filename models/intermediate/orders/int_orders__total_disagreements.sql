{{ config(materialized='view') }}
-- A view: only data_quality reads it, and where the lines of many orders disagree it would be written for nothing.
with orders as (

    select * from {{ ref('int_orders__classified') }}
    where outcome = 'valid' and is_disagreeing

),

final as (

    select
        order_key,
        system,
        order_id,
        order_date,
        currency,
        total as stated_total,
        lines_charged,
        cast(total - lines_charged as decimal(38, 4)) as difference
    from orders

)

select * from final

-- Stock codes as the lines show them: name and price of the latest priced line up to as-of that has a text.
-- Lines at price 0 carry notes of the warehouse ("damages", "?"), not names, and only serve where there is no other.
with lines as (

    select * from {{ ref('stg_online_retail__lines') }}
    -- a code that is first sold later is no product yet
    where kind in ('sale', 'return') and invoice_date <= {{ as_of_date() }}

),

ranked as (

    select
        *,
        row_number() over (
            partition by stock_code
            order by
                case when price > 0 and description is not null then 0 else 1 end asc,
                invoiced_at desc,
                invoice desc,
                price desc,
                description asc nulls last,
                source_file asc nulls last,
                source_line asc nulls last
        ) as recency
    from lines

),

latest as (

    select * from ranked
    where recency = 1

),

final as (

    select
        'online_retail' as system,
        cast(stock_code as {{ type_string() }}) as product_id,
        cast(description as {{ type_string() }}) as name,
        cast(null as {{ type_string() }}) as brand,
        cast(null as {{ type_string() }}) as category,
        cast(price as {{ type_price() }}) as price,
        cast(null as {{ type_price() }}) as cost,
        cast(null as boolean) as is_consumable,
        cast(null as timestamp) as launched_at,
        cast(null as boolean) as in_stock,
        cast(null as timestamp) as updated_at,
        cast(null as timestamp) as deleted_at,
        source_file,
        source_line,
        source_batch,
        cast(null as {{ type_string() }}) as bad_column,
        cast(null as {{ type_string() }}) as bad_value,
        cast(null as {{ type_string() }}) as bad_reason
    from latest

)

select * from final

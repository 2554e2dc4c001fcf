-- Every line that is no return and no fee, and every line that can't be read, whatever invoice it is on: the one place
-- where this system's unreadable lines are reported. Lines have no id of their own: 6,865 repeat another exactly, and
-- count. `int_online_retail__accounts` shows that no line of the file is lost.
with lines as (

    select * from {{ ref('stg_online_retail__lines') }}
    where kind in ('sale', 'adjustment', 'credit_note', 'unreadable')

),

final as (

    select
        'online_retail' as system,
        cast(null as {{ type_string() }}) as order_item_id,
        cast(invoice as {{ type_string() }}) as order_id,
        cast(stock_code as {{ type_string() }}) as product_id,
        cast(quantity as {{ type_price() }}) as quantity,
        cast(price as {{ type_price() }}) as unit_price,
        cast(null as {{ type_price() }}) as discount,
        cast(null as timestamp) as updated_at,
        cast(null as timestamp) as deleted_at,
        source_file,
        source_line,
        source_batch,
        bad_column,
        bad_value,
        bad_reason
    from lines

)

select * from final

{{ config(materialized='table') }}

-- A table, because five models read it and reading half a million local times takes seconds each time.
-- Every line of the file, typed, with what it is. The base of this system's entities; no line is dropped here.
with source as (

    select * from {{ source('online_retail', 'lines') }}

),

renamed as (

    select
        {{ read_text('"Invoice"') }} as invoice,
        {{ read_text('"StockCode"') }} as stock_code,
        {{ read_text('"Description"') }} as description,
        {{ read_text('"Quantity"') }} as raw_quantity,
        {{ read_text('"InvoiceDate"') }} as raw_invoice_date,
        {{ read_text('"Price"') }} as raw_price,
        {{ read_integer('"Quantity"') }} as quantity,
        {{ read_instant('"InvoiceDate"', var('online_retail_timezone')) }} as invoiced_at,
        {{ safe_cast(read_text('"Price"'), type_price()) }} as price,
        -- a float in the file: 13085.0 is customer 13085
        coalesce(
            cast({{ read_integer('"Customer ID"') }} as {{ type_string() }}), {{ read_text('"Customer ID"') }}
        ) as customer_id,
        {{ read_text('"Country"') }} as country,
        _ritorno_file as source_file,
        _ritorno_line as source_line,
        _ritorno_batch as source_batch
    from source
    {{ computed_once() }}

),

checked as (

    select
        *,
        case
            when invoice is null then 'Invoice'
            when stock_code is null then 'StockCode'
            when quantity is null then 'Quantity'
            when invoiced_at is null then 'InvoiceDate'
            when price is null then 'Price'
        end as bad_column
    from renamed

),

explained as (

    select
        *,
        case bad_column
            when 'Quantity' then raw_quantity
            when 'InvoiceDate' then raw_invoice_date
            when 'Price' then raw_price
        end as bad_value,
        case
            when bad_column = 'Quantity' and raw_quantity is not null then 'Quantity is no whole number'
            when bad_column = 'InvoiceDate' and raw_invoice_date is not null then 'InvoiceDate is no time'
            when bad_column = 'Price' and raw_price is not null then 'Price is no decimal number'
            when bad_column is not null then bad_column || ' is missing'
        end as bad_reason
    from checked

),

final as (

    select
        cast(case
            when bad_column is not null then 'unreadable'
            when upper(stock_code) in ({{ text_list(var('online_retail_fee_codes')) | upper }}) then 'fee'
            when upper(invoice) like 'A%' then 'adjustment'
            when upper(invoice) like 'C%' and customer_id is not null then 'return'
            when upper(invoice) like 'C%' then 'credit_note'
            else 'sale'
        end as {{ type_string() }}) as kind,
        invoice,
        stock_code,
        description,
        quantity,
        invoiced_at,
        price,
        customer_id,
        country,
        {{ business_date('invoiced_at') }} as invoice_date,
        source_file,
        source_line,
        source_batch,
        bad_column,
        bad_reason,
        coalesce(bad_value, case when bad_column is not null then 'null' end) as bad_value
    from explained

)

select * from final

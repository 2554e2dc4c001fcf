-- C-invoices of known customers: returns that name a customer but no order. One refund per invoice, positive; a
-- positive line on it nets within it. Returns of nobody are in stg_online_retail__orders.
with lines as (

    select * from {{ ref('stg_online_retail__lines') }}
    where kind = 'return'

),

-- two files may overlap: the newest one with lines of an invoice replaces what older ones said of it
newest as (

    select
        invoice,
        max(source_batch) as newest_batch
    from lines
    group by invoice

),

invoices as (

    select
        lines.invoice,
        min(lines.customer_id) as customer_id,
        min(lines.invoiced_at) as refunded_at,
        -sum(cast(lines.quantity as decimal(18, 0)) * cast(lines.price as decimal(38, 4))) as amount,
        min(lines.source_file) as source_file,
        min(lines.source_line) as source_line,
        max(lines.source_batch) as source_batch
    from lines
    inner join newest
        on lines.invoice = newest.invoice and coalesce(lines.source_batch, 0) = coalesce(newest.newest_batch, 0)
    group by lines.invoice

),

final as (

    select
        'online_retail' as system,
        cast(invoice as {{ type_string() }}) as refund_id,
        cast(null as {{ type_string() }}) as order_id,
        cast(customer_id as {{ type_string() }}) as customer_id,
        cast(refunded_at as timestamp) as refunded_at,
        cast(amount as {{ type_price() }}) as amount,
        cast(null as {{ type_string() }}) as order_item_id,
        cast('return' as {{ type_string() }}) as reason,
        cast('{{ var('online_retail_currency') }}' as {{ type_string() }}) as currency,
        cast(null as timestamp) as updated_at,
        cast(null as timestamp) as deleted_at,
        source_file,
        source_line,
        source_batch,
        cast(null as {{ type_string() }}) as bad_column,
        cast(null as {{ type_string() }}) as bad_value,
        cast(null as {{ type_string() }}) as bad_reason
    from invoices

)

select * from final

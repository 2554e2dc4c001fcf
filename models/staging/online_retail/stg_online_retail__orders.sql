-- Invoices that are orders, or that look like one and must be listed as none: A-invoices (adjustments) and C-invoices
-- of nobody (a return names an order or a customer, these name neither). They come with a status that
-- `invalid_order_statuses` knows, so excluded_orders lists them.
--
-- Where a line that can't be read is reported: in stg_online_retail__order_items, which has every line that is no
-- return. An invoice is made of its readable lines; if it has none there is no order, and only its lines stand in
-- quarantine. So this entity has no bad rows of its own.
with lines as (

    select * from {{ ref('stg_online_retail__lines') }}
    where kind in ('sale', 'adjustment', 'credit_note')

),

-- two files may overlap: the newest one with lines of an invoice replaces what older ones said of it
newest as (

    select
        invoice,
        max(source_batch) as newest_batch
    from lines
    group by invoice

),

-- 41 invoices of the published file have two timestamps: the earliest counts
invoices as (

    select
        lines.invoice,
        min(lines.invoiced_at) as ordered_at,
        min(lines.customer_id) as customer_id,
        max(lines.kind) as kind,
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
        cast(invoice as {{ type_string() }}) as order_id,
        cast(ordered_at as timestamp) as ordered_at,
        cast(null as {{ type_price() }}) as total,
        cast(customer_id as {{ type_string() }}) as customer_id,
        cast(null as {{ type_string() }}) as email,
        cast(null as {{ type_string() }}) as phone,
        cast(case when kind != 'sale' then kind end as {{ type_string() }}) as status,
        cast('{{ var('online_retail_currency') }}' as {{ type_string() }}) as currency,
        cast(null as {{ type_price() }}) as discount,
        cast(null as {{ type_price() }}) as tax,
        cast(null as {{ type_price() }}) as shipping,
        cast(null as timestamp) as cancelled_at,
        cast(null as boolean) as is_test,
        cast('web' as {{ type_string() }}) as channel,
        cast(null as {{ type_string() }}) as store,
        cast(null as {{ type_string() }}) as store_timezone,
        cast(null as {{ type_string() }}) as coupon_code,
        cast(null as {{ type_string() }}) as subscription_id,
        cast(null as {{ type_string() }}) as account_type,
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

-- Customers as their invoices show them; created with the first one. Five have two countries: the latest order's on or
-- before as-of is shown, so that a past day's run shows what that day knew.
with lines as (

    select * from {{ ref('stg_online_retail__lines') }}
    where kind in ('sale', 'return') and customer_id is not null

),

ranked as (

    select
        *,
        min(invoiced_at) over (partition by customer_id) as created_at,
        row_number() over (
            partition by customer_id
            order by
                case when invoice_date <= {{ as_of_date() }} then 0 else 1 end asc,
                kind desc,
                invoiced_at desc,
                invoice desc,
                country asc nulls last,
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
        cast(customer_id as {{ type_string() }}) as customer_id,
        cast(null as {{ type_string() }}) as email,
        cast(null as {{ type_string() }}) as phone,
        cast(null as {{ type_string() }}) as first_name,
        cast(null as {{ type_string() }}) as last_name,
        cast(country as {{ type_string() }}) as country,
        cast(created_at as timestamp) as created_at,
        cast(null as {{ type_string() }}) as account_type,
        cast(null as {{ type_string() }}) as company,
        cast(null as {{ type_string() }}) as acquisition_channel,
        cast(null as date) as birth_date,
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

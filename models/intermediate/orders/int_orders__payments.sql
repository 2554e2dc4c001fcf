{{ config(materialized='view') }}

-- An authorization is no money, a void takes none away that a capture brought, and an unnamed kind is a sale.
with payments as (

    select * from {{ ref('int_canonical__payments') }}
    where row_status = 'current' and not is_after_as_of

),

judged as (

    select
        *,
        coalesce(
            amount > 0
            and lower(trim(coalesce(kind, 'sale'))) in ('sale', 'capture')
            and (status is null or lower(trim(status)) in ({{ text_list(var('successful_payment_statuses')) }})),
            false
        ) as is_paying
    from payments

),

final as (

    select
        cast(system || ':' || order_id as {{ type_string() }}) as order_key,
        cast(count(*) as bigint) as payments,
        cast(sum(case when is_paying then 1 else 0 end) as bigint) as paying_payments
    from judged
    group by 1

)

select * from final

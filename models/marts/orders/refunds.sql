with refunds as (

    select * from {{ ref('int_refunds__classified') }}
    where outcome = 'counts'

),

order_customers as (

    select * from {{ ref('int_identity__order_customers') }}

),

customer_ids as (

    select * from {{ ref('int_identity__customer_ids') }}

),

keyed_orders as (

    select
        refunds.refund_key,
        order_customers.customer_key
    from refunds
    inner join order_customers
        on refunds.order_key = order_customers.system || ':' || order_customers.order_id

),

final as (

    select
        cast(refunds.refund_key as {{ type_string() }}) as refund_key,
        cast(refunds.order_key as {{ type_string() }}) as order_key,
        cast(refunds.order_item_key as {{ type_string() }}) as order_item_key,
        cast(case
            when refunds.order_key is not null then keyed_orders.customer_key
            else customer_ids.customer_key
        end as {{ type_string() }}) as customer_key,
        cast(refunds.system as {{ type_string() }}) as system,
        cast(refunds.refund_id as {{ type_string() }}) as refund_id,
        cast(refunds.refunded_at as timestamp) as refunded_at,
        cast(refunds.refund_date as date) as refund_date,
        cast(refunds.order_date as date) as order_date,
        cast(refunds.amount as {{ type_money() }}) as amount,
        cast(refunds.gross_amount as {{ type_money() }}) as gross_amount,
        cast(refunds.currency as {{ type_string() }}) as currency,
        cast(refunds.refund_note as {{ type_string() }}) as reason
    from refunds
    left join keyed_orders
        on refunds.refund_key = keyed_orders.refund_key
    left join customer_ids
        on
            refunds.system = customer_ids.system
            and refunds.customer_id = customer_ids.customer_id

)

select * from final

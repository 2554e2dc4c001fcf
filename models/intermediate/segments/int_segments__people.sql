-- Who may be a member of a segment at all. A person whose only orders were tests is somebody of the shop trying it out.
with identity_customers as (

    select * from {{ ref('int_identity__customers') }}

),

order_totals as (

    select * from {{ ref('int_customers__order_totals') }}

),

excluded_orders as (

    select * from {{ ref('excluded_orders') }}
    where reason = 'test' and customer_key is not null

),

testers as (

    select distinct excluded_orders.customer_key
    from excluded_orders
    left join order_totals on excluded_orders.customer_key = order_totals.customer_key
    where order_totals.customer_key is null

),

final as (

    select
        cast(identity_customers.customer_key as {{ type_string() }}) as customer_key,
        cast(identity_customers.account_type as {{ type_string() }}) as account_type,
        cast(identity_customers.country as {{ type_string() }}) as country
    from identity_customers
    left join testers on identity_customers.customer_key = testers.customer_key
    where
        not identity_customers.is_tombstone
        and testers.customer_key is null

)

select * from final

{#- Spend that can qualify for a tier: an order counts from its day for twelve months, what is refunded of it ceases to
    count from the day of the refund, so that no past day's tier changes when money goes back later. -#}
with members as (

    select distinct customer_key
    from {{ ref('int_loyalty__events') }}

),

orders as (

    select * from {{ ref('orders') }}

),

refunds as (

    select * from {{ ref('refunds') }}

),

spent as (

    select
        customer_key,
        order_date as spent_on,
        {{ add_months('order_date', 12) }} as counts_until,
        net_revenue + refunded as amount
    from orders
    union all
    select
        customer_key,
        refund_date as spent_on,
        {{ add_months('coalesce(order_date, refund_date)', 12) }} as counts_until,
        -amount as amount
    from refunds

),

final as (

    select
        cast(spent.customer_key as {{ type_string() }}) as customer_key,
        cast(spent.spent_on as date) as spent_on,
        cast(spent.counts_until as date) as counts_until,
        cast(sum(cast(spent.amount * 100 as bigint)) as bigint) as cents
    from spent
    inner join members on spent.customer_key = members.customer_key
    group by spent.customer_key, spent.spent_on, spent.counts_until

)

select * from final

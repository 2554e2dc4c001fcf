-- Companies among the best by net revenue of the last 365 days; equal revenue, equal rank.
with people as (

    select * from {{ ref('int_segments__people') }}

),

orders as (

    select * from {{ ref('orders') }}
    where customer_key is not null

),

account_revenue as (

    select
        people.customer_key,
        count(*) as orders_365d,
        sum(orders.net_revenue) as net_revenue_365d,
        max(orders.order_date) as last_order_date
    from orders
    inner join people on orders.customer_key = people.customer_key
    where
        people.account_type = 'b2b'
        and orders.order_date > {{ add_days(as_of_date(), -365) }}
    group by people.customer_key

),

ranked as (

    select
        *,
        rank() over (order by net_revenue_365d desc) as place,
        count(*) over () as accounts
    from account_revenue
    where net_revenue_365d > 0

),

members as (

    select
        customer_key,
        orders_365d,
        net_revenue_365d,
        last_order_date,
        'Company number ' || place || ' of ' || accounts || ' by net revenue of the last 365 days.' as reason
    from ranked
    -- the share of companies strictly better
    where {{ ratio('place - 1', 'accounts') }} < {{ var('segment_key_account_top_share') }}

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(reason as {{ type_string() }}) as reason,
        cast(orders_365d as bigint) as orders_365d,
        cast(net_revenue_365d as {{ type_money() }}) as net_revenue_365d,
        cast(last_order_date as date) as last_order_date
    from members

)

select * from final

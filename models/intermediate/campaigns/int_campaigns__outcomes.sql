with people as (

    select * from {{ ref('int_campaigns__people') }}
    where outcome = 'analysed'

),

orders as (

    select * from {{ ref('orders') }}
    where customer_key is not null

),

-- spend before is taken before refunds: a refund after the assignment may be the campaign's doing
told as (

    select
        people.campaign_key,
        people.customer_key,
        orders.order_key,
        orders.net_revenue,
        orders.net_revenue + orders.refunded as revenue_before_refunds,
        orders.ordered_at > people.assigned_at as is_after,
        orders.ordered_at <= people.assigned_at
        and orders.order_date >= people.before_start_date as is_before,
        orders.ordered_at <= people.assigned_at
        and orders.order_date >= people.baseline_start_date as is_baseline
    from people
    inner join orders
        on
            people.customer_key = orders.customer_key
            and people.window_end_date >= orders.order_date
            and least(people.before_start_date, people.baseline_start_date) <= orders.order_date

),

summed as (

    select
        campaign_key,
        customer_key,
        sum(case when is_after then 1 else 0 end) as orders,
        sum(case when is_after then net_revenue else 0 end) as spend,
        sum(case when is_before then revenue_before_refunds else 0 end) as spend_before,
        max(case when is_baseline then 1 else 0 end) as baseline_orders
    from told
    group by campaign_key, customer_key

),

final as (

    select
        cast(people.campaign_key as {{ type_string() }}) as campaign_key,
        cast(people.customer_key as {{ type_string() }}) as customer_key,
        cast(people.arm as {{ type_string() }}) as arm,
        cast(people.arm_role as {{ type_string() }}) as arm_role,
        cast(people.assigned_at as timestamp) as assigned_at,
        cast(people.assigned_date as date) as assigned_date,
        cast(people.window_end_date as date) as window_end_date,
        cast(coalesce(summed.orders, 0) as bigint) as orders,
        cast(coalesce(summed.spend, 0) as {{ type_money() }}) as spend,
        cast(coalesce(summed.spend_before, 0) as {{ type_money() }}) as spend_before,
        cast(coalesce(summed.orders, 0) > 0 as boolean) as is_converter,
        cast(coalesce(summed.baseline_orders, 0) > 0 as boolean) as is_baseline_converter
    from people
    left join summed
        on people.campaign_key = summed.campaign_key and people.customer_key = summed.customer_key

)

select * from final

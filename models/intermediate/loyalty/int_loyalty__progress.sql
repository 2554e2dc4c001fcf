{#- What counts for a milestone, by member, basis and day, running. -#}
with members as (

    select * from {{ source('loyalty', 'members') }}

),

verdicts as (

    select * from {{ source('loyalty', 'verdicts') }}
    where outcome = 'applied'

),

events as (

    select * from {{ ref('int_loyalty__events') }}

),

orders as (

    select * from {{ ref('orders') }}

),

refunds as (

    select * from {{ ref('refunds') }}

),

-- what an order's reversal takes back, whether or not it was still there
gathered as (

    select
        verdicts.customer_key,
        'points_earned' as basis,
        events.occurred_date as progress_date,
        case
            when events.event_type = 'earn' then verdicts.points_applied
            else verdicts.points_applied - verdicts.points_settled - verdicts.points_unrecovered
        end as amount
    from verdicts
    inner join events on verdicts.event_key = events.event_key
    where events.event_type = 'earn' or (events.event_type = 'reverse' and events.points < 0)
    union all
    select
        customer_key,
        'orders' as basis,
        order_date as progress_date,
        1 as amount
    from orders
    union all
    select
        customer_key,
        'spend' as basis,
        order_date as progress_date,
        net_revenue + refunded as amount
    from orders
    union all
    select
        customer_key,
        'spend' as basis,
        refund_date as progress_date,
        -amount as amount
    from refunds

),

days as (

    select
        gathered.customer_key,
        gathered.basis,
        gathered.progress_date,
        sum(gathered.amount) as amount
    from gathered
    inner join members on gathered.customer_key = members.customer_key
    group by gathered.customer_key, gathered.basis, gathered.progress_date

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(basis as {{ type_string() }}) as basis,
        cast(progress_date as date) as progress_date,
        cast(sum(amount) over (
            partition by customer_key, basis
            order by progress_date asc rows between unbounded preceding and current row
        ) as {{ type_money() }}) as reached
    from days

)

select * from final

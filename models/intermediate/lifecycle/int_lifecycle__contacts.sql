{#- Registered-only time: from first contact to the first order or live subscription, cut at every interaction that
    counts (opened or clicked by no bot, visited, session, push_opened), since each begins a new silence. -#}
with lines as (

    select * from {{ ref('int_lifecycle__lines') }}

),

order_days as (

    select * from {{ ref('int_customers__order_days') }}
    where previous_order_date is null

),

live_spans as (

    select * from {{ ref('int_subscriptions__live_spans') }}

),

interactions as (

    select * from {{ ref('int_engagement__interaction_days') }}

),

beginnings as (

    select
        customer_key,
        order_date as began_on
    from order_days
    union all
    select
        customer_key,
        live_from as began_on
    from live_spans

),

bought as (

    select
        customer_key,
        min(began_on) as bought_on
    from beginnings
    group by customer_key

),

-- a shop far to the west may see somebody on what is tomorrow here
unbought as (

    select
        lines.customer_key,
        lines.first_seen_date,
        bought.bought_on as ended_on
    from lines
    left join bought on lines.customer_key = bought.customer_key
    where
        (bought.bought_on is null or bought.bought_on > lines.first_seen_date)
        and lines.first_seen_date <= {{ as_of_date() }}

),

contacts as (

    select
        customer_key,
        first_seen_date as contact_date
    from unbought
    union
    select
        unbought.customer_key,
        interactions.interaction_date as contact_date
    from unbought
    inner join interactions
        on
            unbought.customer_key = interactions.customer_key
            and unbought.first_seen_date < interactions.interaction_date
            and interactions.interaction_date < coalesce(unbought.ended_on, {{ add_days(as_of_date(), 1) }})

),

final as (

    select
        cast(contacts.customer_key as {{ type_string() }}) as customer_key,
        cast(contacts.contact_date as date) as contact_date,
        cast(coalesce(
            lead(contacts.contact_date) over (partition by contacts.customer_key order by contacts.contact_date),
            unbought.ended_on
        ) as date) as next_date
    from contacts
    inner join unbought on contacts.customer_key = unbought.customer_key

)

select * from final

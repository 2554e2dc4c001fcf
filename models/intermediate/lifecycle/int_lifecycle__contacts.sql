{#- Registered-only time: from first contact to the first order or live subscription, cut at every interaction that
    counts (opened or clicked by no bot, visited, session, push_opened), since each begins a new silence. -#}
with lines as (

    select * from {{ ref('int_lifecycle__lines') }}

),

points as (

    select
        customer_key,
        min(happened_on) as first_happened_on
    from {{ ref('int_lifecycle__points') }}
    group by customer_key

),

interactions as (

    select * from {{ ref('int_engagement__interaction_days') }}

),

unbought as (

    select
        lines.customer_key,
        lines.first_seen_date,
        points.first_happened_on as ended_on
    from lines
    left join points on lines.customer_key = points.customer_key
    where points.first_happened_on is null or points.first_happened_on > lines.first_seen_date

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

{#- Tickets beside what happened to others who stood where the ticket's customer stood: as many days since the last
    order day, as many order days so far (in bands), that order in the same quarter, and no ticket since.

    Who stands there is counted for every number of days at once: an order day's customer is at risk of buying again on
    each of the days 0 … end after it, so it adds one at 0 and takes it away at end + 1, and a running sum over the days
    counts the rest. Orders × days would be billions of rows. -#}
{%- set window_days = var('support_effect_days') -%}
with order_days as (

    select * from {{ ref('int_customers__order_days') }}

),

tickets as (

    select * from {{ ref('support_tickets') }}
    where customer_key is not null

),

numbered as (

    select
        customer_key,
        order_date,
        row_number() over (partition by customer_key order by order_date asc) as order_day_number,
        lead(order_date) over (partition by customer_key order by order_date asc) as next_order_date
    from order_days

),

-- the last order day on or before the ticket's
ticket_orders as (

    select
        tickets.ticket_key,
        tickets.customer_key,
        numbered.order_date,
        {{ days_between('numbered.order_date', 'tickets.opened_date') }} as days_since_order,
        row_number() over (
            partition by tickets.customer_key, numbered.order_date
            order by tickets.opened_at asc, tickets.ticket_key asc
        ) as place
    from tickets
    inner join numbered
        on
            tickets.customer_key = numbered.customer_key
            and tickets.opened_date >= numbered.order_date
            and (tickets.opened_date < numbered.next_order_date or numbered.next_order_date is null)

),

-- only the first ticket since an order day: those who write a second one don't stand where the others do
first_tickets as (

    select * from ticket_orders
    where place = 1

),

episodes as (

    select
        case
            when numbered.order_day_number = 1 then '1'
            when numbered.order_day_number = 2 then '2'
            when numbered.order_day_number <= 5 then '3-5'
            when numbered.order_day_number <= 10 then '6-10'
            else '11+'
        end as order_days_band,
        cast(extract(year from numbered.order_date) * 4 + extract(quarter from numbered.order_date) as integer)
            as order_quarter,
        {{ days_between('numbered.order_date', 'numbered.next_order_date') }} as gap,
        {{ days_between('numbered.order_date', as_of_date()) }} - {{ window_days }} as last_followed_day,
        first_tickets.ticket_key,
        first_tickets.days_since_order
    from numbered
    left join first_tickets
        on
            numbered.customer_key = first_tickets.customer_key
            and numbered.order_date = first_tickets.order_date

),

-- of each episode the days on which it can be compared: before the next order, before a ticket, followed long enough
comparable as (

    select
        order_days_band,
        order_quarter,
        least(
            last_followed_day,
            coalesce(gap - 1, last_followed_day),
            coalesce(days_since_order - 1, last_followed_day)
        ) as last_day,
        -- engines differ in what greatest makes of null: who never bought again is no 0
        case
            when gap > {{ window_days }} then gap - {{ window_days }}
            when gap is not null then 0
        end as first_day_bought_after
    from episodes
    where last_followed_day >= 0

),

steps as (

    select
        order_days_band,
        order_quarter,
        0 as days_since_order,
        1 as at_risk,
        0 as bought
    from comparable
    where last_day >= 0
    union all
    select
        order_days_band,
        order_quarter,
        last_day + 1 as days_since_order,
        -1 as at_risk,
        0 as bought
    from comparable
    where last_day >= 0
    union all
    select
        order_days_band,
        order_quarter,
        first_day_bought_after as days_since_order,
        0 as at_risk,
        1 as bought
    from comparable
    where first_day_bought_after <= last_day
    union all
    select
        order_days_band,
        order_quarter,
        last_day + 1 as days_since_order,
        0 as at_risk,
        -1 as bought
    from comparable
    where first_day_bought_after <= last_day
    union all
    -- the days that are asked for
    select
        order_days_band,
        order_quarter,
        days_since_order,
        0 as at_risk,
        0 as bought
    from episodes
    where ticket_key is not null

),

step_sums as (

    select
        order_days_band,
        order_quarter,
        days_since_order,
        sum(at_risk) as at_risk,
        sum(bought) as bought
    from steps
    group by order_days_band, order_quarter, days_since_order

),

populations as (

    select
        order_days_band,
        order_quarter,
        days_since_order,
        sum(at_risk) over (
            partition by order_days_band, order_quarter
            order by days_since_order
            rows between unbounded preceding and current row
        ) as controls,
        sum(bought) over (
            partition by order_days_band, order_quarter
            order by days_since_order
            rows between unbounded preceding and current row
        ) as controls_repurchased
    from step_sums

),

final as (

    select
        cast(episodes.ticket_key as {{ type_string() }}) as ticket_key,
        cast(episodes.order_days_band as {{ type_string() }}) as order_days_band,
        cast(episodes.order_quarter as integer) as order_quarter,
        cast(episodes.days_since_order as integer) as days_since_order,
        coalesce(episodes.gap <= episodes.days_since_order + {{ window_days }}, false) as is_repurchased,
        cast(populations.controls as bigint) as controls,
        cast(populations.controls_repurchased as bigint) as controls_repurchased,
        populations.controls >= {{ var('support_effect_min_controls') }} as is_matched
    from episodes
    inner join populations
        on
            episodes.order_days_band = populations.order_days_band
            and episodes.order_quarter = populations.order_quarter
            and episodes.days_since_order = populations.days_since_order
    where
        episodes.ticket_key is not null
        and episodes.days_since_order <= episodes.last_followed_day

)

select * from final

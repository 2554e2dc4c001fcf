-- What a ticket says, as of. What happened after as-of hasn't happened; what is said to have happened before the ticket
-- was opened counts as of its opening, and data_quality lists it.
with tickets as (

    select * from {{ ref('int_canonical__support_tickets') }}
    where row_status = 'current' and not is_after_as_of

),

targets as (

    select * from {{ ref('support_targets') }}

),

default_targets as (

    select calendar
    from targets
    where priority = '{{ var('support_default_priority') }}'

),

identified as (

    select
        tickets.*,
        {{ customer_key_of() }} as customer_key,
        -- no priority given is the default one; a priority that the policy doesn't know is none
        coalesce(lower(trim(tickets.priority)), '{{ var('support_default_priority') }}') as stated_priority,
        {{ business_instant(add_days(as_of_date(), 1)) }} as as_of_closes_at
    from tickets
    {{ join_customers('tickets') }}

),

happened as (

    select
        *,
        case when first_response_at < as_of_closes_at then first_response_at end as happened_response_at,
        case when resolved_at < as_of_closes_at then resolved_at end as happened_resolution_at
    from identified

),

-- who solves without a word before has answered by solving
ordered as (

    select
        *,
        case
            when happened_response_at < happened_resolution_at or happened_resolution_at is null
                then happened_response_at
            else happened_resolution_at
        end as any_response_at
    from happened

),

final as (

    select
        cast(ordered.system || ':' || ordered.ticket_id as {{ type_string() }}) as ticket_key,
        cast(ordered.system as {{ type_string() }}) as system,
        cast(ordered.ticket_id as {{ type_string() }}) as ticket_id,
        cast(ordered.customer_key as {{ type_string() }}) as customer_key,
        cast(coalesce(targets.priority, 'unknown') as {{ type_string() }}) as priority,
        cast(ordered.stated_priority as {{ type_string() }}) as stated_priority,
        cast(coalesce(targets.calendar, default_targets.calendar) as {{ type_string() }}) as calendar,
        cast(targets.first_response_minutes as integer) as first_response_target_minutes,
        cast(targets.resolution_minutes as integer) as resolution_target_minutes,
        cast(ordered.opened_at as timestamp) as opened_at,
        cast(ordered.event_date as date) as opened_date,
        cast(case
            when ordered.any_response_at < ordered.opened_at then ordered.opened_at
            else ordered.any_response_at
        end as timestamp) as first_response_at,
        cast(case
            when ordered.happened_resolution_at < ordered.opened_at then ordered.opened_at
            else ordered.happened_resolution_at
        end as timestamp) as resolved_at,
        cast(ordered.as_of_closes_at as timestamp) as as_of_closes_at,
        cast(coalesce(ordered.reopened, false) as boolean) as is_reopened,
        cast(case
            when ordered.csat between {{ var('csat_scale')[0] }} and {{ var('csat_scale')[1] }} then ordered.csat
        end as integer) as csat,
        cast(coalesce(ordered.goodwill, 0) as {{ type_money() }}) as goodwill,
        coalesce(
            ordered.first_response_at < ordered.opened_at or ordered.resolved_at < ordered.opened_at, false
        ) as has_impossible_time,
        ordered.csat is not null
        and ordered.csat not between {{ var('csat_scale')[0] }} and {{ var('csat_scale')[1] }} as has_impossible_csat
    from ordered
    left join targets on ordered.stated_priority = targets.priority
    left join default_targets on true

)

select * from final

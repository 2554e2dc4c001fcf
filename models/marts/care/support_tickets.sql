with tickets as (

    select * from {{ ref('int_care__tickets') }}

),

clocks as (

    select * from {{ ref('int_care__clocks') }}

),

responses as (

    select * from clocks
    where clock = 'first_response'

),

resolutions as (

    select * from clocks
    where clock = 'resolution'

),

final as (

    select
        cast(tickets.ticket_key as {{ type_string() }}) as ticket_key,
        cast(tickets.customer_key as {{ type_string() }}) as customer_key,
        cast(tickets.system as {{ type_string() }}) as system,
        cast(tickets.ticket_id as {{ type_string() }}) as ticket_id,
        cast(tickets.priority as {{ type_string() }}) as priority,
        cast(case
            when tickets.resolved_at is not null then 'resolved'
            when tickets.first_response_at is not null then 'answered'
            else 'waiting'
        end as {{ type_string() }}) as status,
        cast(tickets.resolved_at is null as boolean) as is_open,
        cast(tickets.opened_at as timestamp) as opened_at,
        cast(tickets.opened_date as date) as opened_date,
        -- first response
        cast(tickets.first_response_at as timestamp) as first_response_at,
        cast(responses.due_at as timestamp) as first_response_due_at,
        cast(tickets.first_response_target_minutes as integer) as first_response_target_minutes,
        {{ ratio('responses.elapsed_seconds', 60) }} as first_response_minutes,
        cast(responses.is_breached as boolean) as is_first_response_breached,
        -- resolution
        cast(tickets.resolved_at as timestamp) as resolved_at,
        cast({{ business_date('tickets.resolved_at') }} as date) as resolved_date,
        cast(resolutions.due_at as timestamp) as resolution_due_at,
        cast(tickets.resolution_target_minutes as integer) as resolution_target_minutes,
        {{ ratio('resolutions.elapsed_seconds', 60) }} as resolution_minutes,
        cast(resolutions.is_breached as boolean) as is_resolution_breached,
        -- how it went
        cast(tickets.is_reopened as boolean) as is_reopened,
        cast(tickets.csat as integer) as csat,
        cast(tickets.goodwill as {{ type_money() }}) as goodwill,
        {{ as_of_date() }} as as_of_date
    from tickets
    left join responses on tickets.ticket_key = responses.ticket_key
    left join resolutions on tickets.ticket_key = resolutions.ticket_key

)

select * from final

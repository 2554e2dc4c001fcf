with tickets as (

    select * from {{ ref('support_tickets') }}
    where customer_key is not null

),

ranked as (

    select
        *,
        row_number() over (
            partition by customer_key
            order by case when csat is null then 1 else 0 end asc, opened_at desc, ticket_key asc
        ) as rated_place
    from tickets

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(count(*) as bigint) as tickets,
        cast(sum(case when is_open then 1 else 0 end) as bigint) as open_tickets,
        cast(max(opened_at) as timestamp) as last_ticket_at,
        cast(max(case when rated_place = 1 then csat end) as integer) as last_csat
    from ranked
    group by customer_key

)

select * from final

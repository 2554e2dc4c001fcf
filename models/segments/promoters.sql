-- Whoever would recommend the shop, by their latest answer, as long as it is recent.
with people as (

    select * from {{ ref('int_segments__people') }}

),

customer_nps as (

    select * from {{ ref('customer_nps') }}
    where is_latest

),

members as (

    select
        customer_nps.customer_key,
        customer_nps.survey,
        customer_nps.score,
        customer_nps.responded_date,
        'Answered ' || customer_nps.score || ' on ' || customer_nps.responded_date
        || ': would recommend the shop.' as reason
    from customer_nps
    inner join people on customer_nps.customer_key = people.customer_key
    where
        customer_nps.nps_group = 'promoter'
        and customer_nps.days_since_response < {{ var('segment_nps_within_days') }}

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(reason as {{ type_string() }}) as reason,
        cast(survey as {{ type_string() }}) as survey,
        cast(score as bigint) as score,
        cast(responded_date as date) as responded_date
    from members

)

select * from final

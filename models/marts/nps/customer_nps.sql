with responses as (

    select * from {{ ref('int_nps__responses') }}
    where customer_key is not null

),

ranked as (

    select
        *,
        row_number() over (
            partition by customer_key, survey order by responded_at desc, response_key desc
        ) as recency_in_survey,
        row_number() over (partition by customer_key order by responded_at desc, response_key desc) as recency,
        count(*) over (partition by customer_key, survey) as responses,
        min(responded_at) over (partition by customer_key, survey) as first_responded_at,
        -- only answers on one scale can be compared
        lag(score) over (
            partition by customer_key, survey, scale order by responded_at asc, response_key asc
        ) as previous_score,
        lag(nps_group) over (
            partition by customer_key, survey, scale order by responded_at asc, response_key asc
        ) as previous_nps_group
    from responses

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(survey as {{ type_string() }}) as survey,
        cast(response_key as {{ type_string() }}) as response_key,
        cast(scale as {{ type_string() }}) as scale,
        cast(score as bigint) as score,
        cast(nps_group as {{ type_string() }}) as nps_group,
        cast(responded_at as timestamp) as responded_at,
        cast(responded_date as date) as responded_date,
        cast({{ days_between('responded_date', as_of_date()) }} as integer) as days_since_response,
        cast(responses as bigint) as responses,
        cast(first_responded_at as timestamp) as first_responded_at,
        cast(previous_score as bigint) as previous_score,
        cast(previous_nps_group as {{ type_string() }}) as previous_nps_group,
        cast(recency = 1 as boolean) as is_latest,
        {{ as_of_date() }} as as_of_date
    from ranked
    where recency_in_survey = 1

)

select * from final

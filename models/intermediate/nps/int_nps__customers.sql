-- What the wide view of customers says of their satisfaction: the latest answer to any survey.
with customer_nps as (

    select * from {{ ref('customer_nps') }}
    where is_latest

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(score as bigint) as nps_score,
        cast(scale as {{ type_string() }}) as nps_scale,
        cast(nps_group as {{ type_string() }}) as nps_group,
        cast(survey as {{ type_string() }}) as nps_survey,
        cast(responded_at as timestamp) as nps_responded_at
    from customer_nps

)

select * from final

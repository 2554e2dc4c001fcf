{#- Every current answer and whether it counts. Only 0–10 and 1–10 ask the question whose cut-offs are known; of another
    scale nobody can say who promotes. No identity here: what is invalid goes to quarantine whoever gave it. -#}
with responses as (

    select * from {{ ref('int_canonical__nps_responses') }}
    where row_status = 'current' and not is_after_as_of

),

named as (

    select
        *,
        coalesce(lower(trim(survey)), 'unnamed') as survey_name,
        coalesce(scale_min, 0) as lowest_score,
        coalesce(scale_max, 10) as highest_score
    from responses

),

final as (

    select
        cast(system || ':' || response_id as {{ type_string() }}) as response_key,
        cast(system as {{ type_string() }}) as system,
        cast(response_id as {{ type_string() }}) as response_id,
        cast(customer_id as {{ type_string() }}) as customer_id,
        cast(email as {{ type_string() }}) as email,
        cast(survey_name as {{ type_string() }}) as survey,
        cast(
            cast(lowest_score as {{ type_string() }}) || '-' || cast(highest_score as {{ type_string() }})
            as {{ type_string() }}
        ) as scale,
        cast(score as bigint) as score,
        cast(responded_at as timestamp) as responded_at,
        cast(event_date as date) as responded_date,
        cast(case
            when highest_score != 10 or lowest_score not in (0, 1) then 'unknown_scale'
            when score < lowest_score or score > highest_score then 'score_outside_scale'
        end as {{ type_string() }}) as invalid_reason,
        cast(case
            when highest_score != 10 or lowest_score not in (0, 1) then null
            when score between 9 and 10 then 'promoter'
            when score between 7 and 8 then 'passive'
            when score between lowest_score and 6 then 'detractor'
        end as {{ type_string() }}) as nps_group,
        cast(source_file as {{ type_string() }}) as source_file,
        cast(source_line as bigint) as source_line,
        cast(source_batch as bigint) as source_batch
    from named

)

select * from final

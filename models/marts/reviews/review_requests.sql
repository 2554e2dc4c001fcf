with interactions as (

    select * from {{ ref('int_canonical__interactions') }}
    where
        row_status = 'current'
        and not is_after_as_of
        and lower(trim({{ adapter.quote('type') }})) in ({{ text_list(var('review_request_types')) }})

),

reviews as (

    select * from {{ ref('reviews') }}
    where customer_key is not null

),

requests as (

    select
        interactions.system || ':' || interactions.event_id as request_key,
        {{ customer_key_of() }} as customer_key,
        lower(trim(interactions.channel)) as channel,
        interactions.system || ':' || interactions.campaign_id as campaign_key,
        interactions.occurred_at as requested_at,
        interactions.event_date as request_date
    from interactions
    {{ join_customers('interactions') }}

),

-- a review answers one request, the last before it
answers as (

    select
        requests.request_key,
        reviews.review_key,
        reviews.reviewed_at,
        row_number() over (
            partition by reviews.review_key
            order by requests.requested_at desc, requests.request_key asc
        ) as request_place
    from requests
    inner join reviews
        on
            requests.customer_key = reviews.customer_key
            and requests.requested_at <= reviews.reviewed_at
            and reviews.review_date <= {{ add_days('requests.request_date', var('review_request_days')) }}

),

first_answers as (

    select
        request_key,
        review_key,
        reviewed_at,
        row_number() over (partition by request_key order by reviewed_at asc, review_key asc) as review_place,
        count(*) over (partition by request_key) as reviews
    from answers
    where request_place = 1

),

final as (

    select
        cast(requests.request_key as {{ type_string() }}) as request_key,
        cast(requests.customer_key as {{ type_string() }}) as customer_key,
        cast(requests.channel as {{ type_string() }}) as channel,
        cast(requests.campaign_key as {{ type_string() }}) as campaign_key,
        cast(requests.requested_at as timestamp) as requested_at,
        cast(requests.request_date as date) as request_date,
        cast(case
            when first_answers.review_key is not null then 'answered'
            when {{ add_days('requests.request_date', var('review_request_days')) }} > {{ as_of_date() }} then 'waiting'
            else 'unanswered'
        end as {{ type_string() }}) as outcome,
        cast(first_answers.review_key as {{ type_string() }}) as review_key,
        cast(coalesce(first_answers.reviews, 0) as bigint) as reviews,
        cast(
            {{ days_between(business_date('requests.requested_at'), business_date('first_answers.reviewed_at')) }}
            as integer
        ) as days_to_review,
        {{ as_of_date() }} as as_of_date
    from requests
    left join first_answers
        on requests.request_key = first_answers.request_key and first_answers.review_place = 1

)

select * from final

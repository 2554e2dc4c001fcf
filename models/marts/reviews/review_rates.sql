with reviews as (

    select * from {{ ref('reviews') }}

),

requests as (

    select * from {{ ref('review_requests') }}

),

entries as (

    select
        {{ month_start('review_date') }} as entry_month,
        1 as reviews,
        rating as rating_sum,
        case when is_low then 1 else 0 end as low_reviews,
        case when is_awaiting_answer then 1 else 0 end as low_reviews_awaiting_answer,
        0 as requests,
        0 as answered_requests,
        0 as waiting_requests
    from reviews
    union all
    select
        {{ month_start('request_date') }} as entry_month,
        0 as reviews,
        0 as rating_sum,
        0 as low_reviews,
        0 as low_reviews_awaiting_answer,
        1 as requests,
        case when outcome = 'answered' then 1 else 0 end as answered_requests,
        case when outcome = 'waiting' then 1 else 0 end as waiting_requests
    from requests

),

first_months as (

    select min(entry_month) as first_month
    from entries

),

months as (

    select series.series_date
    from {{ date_series("(select first_month from first_months)", as_of_date(), unit='month') }} as series

),

counted as (

    select
        entry_month,
        sum(reviews) as reviews,
        sum(rating_sum) as rating_sum,
        sum(low_reviews) as low_reviews,
        sum(low_reviews_awaiting_answer) as low_reviews_awaiting_answer,
        sum(requests) as requests,
        sum(answered_requests) as answered_requests,
        sum(waiting_requests) as waiting_requests
    from entries
    group by entry_month

),

filled as (

    select
        months.series_date as month,
        {{ month_end('months.series_date') }} <= {{ as_of_date() }} as is_complete,
        coalesce(counted.reviews, 0) as reviews,
        coalesce(counted.rating_sum, 0) as rating_sum,
        coalesce(counted.low_reviews, 0) as low_reviews,
        coalesce(counted.low_reviews_awaiting_answer, 0) as low_reviews_awaiting_answer,
        coalesce(counted.requests, 0) as requests,
        coalesce(counted.answered_requests, 0) as answered_requests,
        coalesce(counted.waiting_requests, 0) as waiting_requests
    from months
    left join counted on months.series_date = counted.entry_month

),

final as (

    select
        cast(month as date) as month,
        cast(reviews as bigint) as reviews,
        cast(rating_sum as bigint) as rating_sum,
        case when is_complete then {{ ratio('rating_sum', 'reviews') }} end as mean_rating,
        cast(low_reviews as bigint) as low_reviews,
        case when is_complete then {{ ratio('low_reviews', 'reviews') }} end as low_share,
        cast(low_reviews_awaiting_answer as bigint) as low_reviews_awaiting_answer,
        cast(requests as bigint) as requests,
        cast(answered_requests as bigint) as answered_requests,
        cast(waiting_requests as bigint) as waiting_requests,
        case
            when is_complete and waiting_requests = 0 then {{ ratio('answered_requests', 'requests') }}
        end as response_rate,
        cast(is_complete as boolean) as is_complete
    from filled

)

select * from final

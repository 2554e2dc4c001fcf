with reviews as (

    select * from {{ ref('reviews') }}
    where customer_key is not null

),

ranked as (

    select
        *,
        row_number() over (partition by customer_key order by reviewed_at desc, review_key asc) as place
    from reviews

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(count(*) as bigint) as reviews,
        cast(max(case when place = 1 then rating end) as integer) as last_rating,
        cast(sum(case when is_awaiting_answer then 1 else 0 end) as bigint) as low_reviews_awaiting_answer
    from ranked
    group by customer_key

)

select * from final

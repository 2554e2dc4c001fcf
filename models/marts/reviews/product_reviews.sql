{#- The interval of the mean: Wilson's on the rating scaled to 0–1 (see wilson_bound); a t interval has width 0 for two
    equal ratings. -#}
{%- set lowest, highest = var('review_scale')[0], var('review_scale')[1] -%}
with reviews as (

    select * from {{ ref('reviews') }}
    where product_key is not null

),

products as (

    select * from {{ ref('products') }}

),

counted as (

    select
        product_key,
        min(system) as system,
        count(*) as reviews,
        sum(rating) as rating_sum,
        sum(case when is_low then 1 else 0 end) as low_reviews,
        sum(case when is_awaiting_answer then 1 else 0 end) as low_reviews_awaiting_answer,
        sum(case when is_verified_purchase then 1 else 0 end) as verified_reviews,
        max(reviewed_at) as last_review_at
    from reviews
    group by product_key

),

averaged as (

    select
        *,
        {{ ratio('rating_sum', 'reviews') }} as mean_rating,
        {{ ratio('rating_sum - ' ~ lowest ~ ' * reviews', 'reviews * ' ~ (highest - lowest)) }} as scaled_mean
    from counted

),

final as (

    select
        cast(averaged.product_key as {{ type_string() }}) as product_key,
        cast(products.name as {{ type_string() }}) as name,
        cast(products.category as {{ type_string() }}) as category,
        cast(averaged.reviews as bigint) as reviews,
        cast(averaged.verified_reviews as bigint) as verified_reviews,
        cast(averaged.rating_sum as bigint) as rating_sum,
        cast(averaged.mean_rating as {{ type_double() }}) as mean_rating,
        cast(
            {{ lowest }}
            + {{ highest - lowest }} * {{ wilson_bound('averaged.scaled_mean', 'averaged.reviews', 'low') }}
            as {{ type_double() }}
        ) as mean_rating_low,
        cast(
            {{ lowest }}
            + {{ highest - lowest }} * {{ wilson_bound('averaged.scaled_mean', 'averaged.reviews', 'high') }}
            as {{ type_double() }}
        ) as mean_rating_high,
        cast(averaged.low_reviews as bigint) as low_reviews,
        {{ ratio('averaged.low_reviews', 'averaged.reviews') }} as low_share,
        cast(averaged.low_reviews_awaiting_answer as bigint) as low_reviews_awaiting_answer,
        cast(averaged.last_review_at as timestamp) as last_review_at,
        {{ as_of_date() }} as as_of_date
    from averaged
    left join products on averaged.product_key = products.product_key

)

select * from final

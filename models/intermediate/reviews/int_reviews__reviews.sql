-- A rating outside the scale is no rating: it counts nowhere and data_quality lists it.
with reviews as (

    select * from {{ ref('int_canonical__reviews') }}
    where row_status = 'current' and not is_after_as_of

),

final as (

    select
        cast(reviews.system || ':' || reviews.review_id as {{ type_string() }}) as review_key,
        cast(reviews.system as {{ type_string() }}) as system,
        cast(reviews.review_id as {{ type_string() }}) as review_id,
        cast({{ customer_key_of() }} as {{ type_string() }}) as customer_key,
        cast(reviews.system || ':' || reviews.product_id as {{ type_string() }}) as product_key,
        cast(reviews.created_at as timestamp) as reviewed_at,
        cast(reviews.event_date as date) as review_date,
        cast(reviews.rating as integer) as rating,
        reviews.text is not null as has_text,
        reviews.rating between {{ var('review_scale')[0] }} and {{ var('review_scale')[1] }} as is_on_scale
    from reviews
    {{ join_customers('reviews') }}

)

select * from final

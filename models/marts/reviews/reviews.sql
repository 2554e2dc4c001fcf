with all_reviews as (

    select * from {{ ref('int_reviews__reviews') }}
    where is_on_scale

),

orders as (

    select * from {{ ref('orders') }}
    where customer_key is not null

),

order_items as (

    select * from {{ ref('order_items') }}
    where quantity > 0

),

interactions as (

    select * from {{ ref('int_canonical__interactions') }}
    where
        row_status = 'current'
        and not is_after_as_of
        and lower(trim({{ adapter.quote('type') }})) in ({{ text_list(var('review_reply_types')) }})

),

support_tickets as (

    select * from {{ ref('support_tickets') }}
    where customer_key is not null

),

-- the purchase that the review is about: the last one of that product before it
purchases as (

    select
        all_reviews.review_key,
        orders.order_key,
        row_number() over (
            partition by all_reviews.review_key
            order by orders.ordered_at desc, orders.order_key asc
        ) as place
    from all_reviews
    inner join orders
        on
            all_reviews.customer_key = orders.customer_key
            and all_reviews.reviewed_at >= orders.ordered_at
    inner join order_items
        on
            orders.order_key = order_items.order_key
            and all_reviews.product_key = order_items.product_key

),

replies as (

    select
        {{ customer_key_of() }} as customer_key,
        interactions.occurred_at as begun_at,
        interactions.occurred_at as replied_at,
        'interaction' as replied_by
    from interactions
    {{ join_customers('interactions') }}
    where {{ customer_key_of() }} is not null
    union all
    select
        customer_key,
        opened_at as begun_at,
        first_response_at as replied_at,
        'ticket' as replied_by
    from support_tickets
    where first_response_at is not null

),

-- the first word of ours afterwards; of a ticket that was open before we don't know that it was about the review
answers as (

    select
        all_reviews.review_key,
        replies.replied_at,
        replies.replied_by,
        row_number() over (
            partition by all_reviews.review_key
            order by replies.replied_at asc, replies.replied_by asc
        ) as place
    from all_reviews
    inner join replies
        on
            all_reviews.customer_key = replies.customer_key
            and all_reviews.reviewed_at <= replies.begun_at
            and replies.replied_at
            < {{ add_seconds('all_reviews.reviewed_at', (var('review_answer_days') * 86400) | string) }}

),

final as (

    select
        cast(all_reviews.review_key as {{ type_string() }}) as review_key,
        cast(all_reviews.customer_key as {{ type_string() }}) as customer_key,
        cast(all_reviews.product_key as {{ type_string() }}) as product_key,
        cast(purchases.order_key as {{ type_string() }}) as order_key,
        cast(all_reviews.system as {{ type_string() }}) as system,
        cast(all_reviews.review_id as {{ type_string() }}) as review_id,
        cast(all_reviews.reviewed_at as timestamp) as reviewed_at,
        cast(all_reviews.review_date as date) as review_date,
        cast(all_reviews.rating as integer) as rating,
        cast(all_reviews.rating <= {{ var('review_low_rating') }} as boolean) as is_low,
        cast(all_reviews.has_text as boolean) as has_text,
        cast(purchases.order_key is not null as boolean) as is_verified_purchase,
        cast(answers.replied_at as timestamp) as answered_at,
        cast(answers.replied_by as {{ type_string() }}) as answered_by,
        cast(
            all_reviews.rating <= {{ var('review_low_rating') }} and answers.review_key is null as boolean
        ) as is_awaiting_answer,
        {{ as_of_date() }} as as_of_date
    from all_reviews
    left join purchases on all_reviews.review_key = purchases.review_key and purchases.place = 1
    left join answers on all_reviews.review_key = answers.review_key and answers.place = 1

)

select * from final

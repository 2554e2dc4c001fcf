{#- Only the policy `personal` reads it. A customer's own gaps as known at each order day: quadratic in a customer's
    order days, which is what a running median costs without a special type; hence disabled unless asked for. -#}
{{ config(enabled=(var('lifecycle_method') == 'personal')) }}

with order_days as (

    select * from {{ ref('int_customers__order_days') }}

),

gaps as (

    select
        customer_key,
        order_date,
        row_number() over (partition by customer_key order by order_date) as order_days_so_far,
        {{ days_between('previous_order_date', 'order_date') }} as gap_days
    from order_days

),

ordered as (

    select
        now_known.customer_key,
        now_known.order_days_so_far,
        earlier.gap_days,
        row_number() over (
            partition by now_known.customer_key, now_known.order_days_so_far
            order by earlier.gap_days asc, earlier.order_date asc
        ) as place
    from gaps as now_known
    inner join gaps as earlier
        on
            now_known.customer_key = earlier.customer_key
            and now_known.order_days_so_far >= earlier.order_days_so_far
            and earlier.gap_days is not null

),

-- n gaps are known at order day n + 1; percentile_disc(0.5) is the one at place ceil(n / 2)
final as (

    select
        customer_key,
        order_days_so_far,
        order_days_so_far - 1 as gaps,
        gap_days as median_gap_days
    from ordered
    where place = {{ integer_divide('order_days_so_far', '2') }}

)

select * from final

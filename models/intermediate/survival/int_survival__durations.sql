{#- Every curve's durations in one shape; a further curve is one more CTE and one more line of the union. -#}
with order_days as (

    select * from {{ ref('int_customers__order_days') }}

),

first_two_days as (

    select
        customer_key,
        min(order_date) as first_order_day,
        min(case when previous_order_date is not null then order_date end) as second_order_day
    from order_days
    group by customer_key

),

-- who has not come back by as-of is watched until then, and no longer
second_order_days as (

    select
        'second_order_day' as curve,
        'all' as cut_value,
        customer_key as subject,
        {{ days_between('first_order_day', "coalesce(second_order_day, " ~ as_of_date() ~ ")") }} as t_days,
        second_order_day is not null as is_event
    from first_two_days

),

subscription_lifetimes as (

    select * from {{ ref('int_subscriptions__lifetimes') }}

),

durations as (

    select * from second_order_days
    union all
    select * from subscription_lifetimes

),

final as (

    select
        cast(curve as {{ type_string() }}) as curve,
        cast(cut_value as {{ type_string() }}) as cut_value,
        cast(subject as {{ type_string() }}) as subject,
        cast(t_days as integer) as t_days,
        cast(is_event as boolean) as is_event
    from durations

)

select * from final

-- Days at whose close a customer has a live subscription, spans of several subscriptions merged.
with intervals as (

    select * from {{ ref('int_subscriptions__intervals') }}
    where
        customer_key is not null
        and state in ({{ live_states() }})
        and (to_date is null or to_date > from_date)

),

-- a date later than any, so that an open span sorts as the longest
bounded as (

    select
        customer_key,
        subscription_key,
        from_date,
        coalesce(to_date, cast('9999-12-31' as date)) as to_date
    from intervals

),

reached as (

    select
        *,
        max(to_date) over (
            partition by customer_key
            order by from_date asc, to_date asc, subscription_key asc
            rows between unbounded preceding and 1 preceding
        ) as reached_before
    from bounded

),

numbered as (

    select
        *,
        sum(case when from_date <= reached_before then 0 else 1 end) over (
            partition by customer_key
            order by from_date asc, to_date asc, subscription_key asc
            rows between unbounded preceding and current row
        ) as span_number
    from reached

),

spans as (

    select
        customer_key,
        min(from_date) as live_from,
        max(to_date) as live_to
    from numbered
    group by customer_key, span_number

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(live_from as date) as live_from,
        cast(case when live_to < cast('9999-12-31' as date) then live_to end as date) as live_to
    from spans

)

select * from final

-- Customers whose paused subscription resumes within days: the moment to confirm, change or help.
with people as (

    select * from {{ ref('int_segments__people') }}

),

subscriptions as (

    select * from {{ ref('subscriptions') }}
    where state = 'paused' and customer_key is not null

),

due as (

    select
        subscription_key,
        customer_key,
        plan,
        paused_since,
        expected_resume_date,
        row_number() over (
            partition by customer_key order by expected_resume_date asc, subscription_key asc
        ) as place
    from subscriptions
    where
        expected_resume_date between {{ as_of_date() }}
        and {{ add_days(as_of_date(), var('segment_pause_ending_days')) }}

),

members as (

    select
        due.customer_key,
        due.subscription_key,
        due.plan,
        due.paused_since,
        due.expected_resume_date,
        'The subscription, paused since ' || due.paused_since || ', is expected to resume on '
        || due.expected_resume_date || '.' as reason
    from due
    inner join people on due.customer_key = people.customer_key
    where due.place = 1

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(reason as {{ type_string() }}) as reason,
        cast(subscription_key as {{ type_string() }}) as subscription_key,
        cast(plan as {{ type_string() }}) as plan,
        cast(paused_since as date) as paused_since,
        cast(expected_resume_date as date) as expected_resume_date
    from members

)

select * from final

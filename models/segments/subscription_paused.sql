-- Customers with a paused subscription; of several pauses the earliest begin and the earliest end are told.
with people as (

    select * from {{ ref('int_segments__people') }}

),

subscriptions as (

    select * from {{ ref('subscriptions') }}
    where state = 'paused' and customer_key is not null

),

pauses as (

    select
        customer_key,
        count(*) as paused_subscriptions,
        min(paused_since) as paused_since,
        min(expected_resume_date) as expected_resume_date,
        sum(paused_mrr) as paused_mrr
    from subscriptions
    group by customer_key

),

members as (

    select
        pauses.customer_key,
        pauses.paused_subscriptions,
        pauses.paused_since,
        pauses.expected_resume_date,
        pauses.paused_mrr,
        case
            when pauses.expected_resume_date is null
                then 'Subscription paused since ' || pauses.paused_since || ', with no date to resume.'
            when pauses.expected_resume_date < {{ as_of_date() }}
                then
                    'Subscription paused since ' || pauses.paused_since || '; was expected to resume on '
                    || pauses.expected_resume_date || ' and has not.'
            else
                'Subscription paused since ' || pauses.paused_since || '; expected to resume on '
                || pauses.expected_resume_date || '.'
        end as reason
    from pauses
    inner join people on pauses.customer_key = people.customer_key

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(reason as {{ type_string() }}) as reason,
        cast(paused_subscriptions as bigint) as paused_subscriptions,
        cast(paused_since as date) as paused_since,
        cast(expected_resume_date as date) as expected_resume_date,
        cast(paused_mrr as {{ type_money() }}) as paused_mrr
    from members

)

select * from final

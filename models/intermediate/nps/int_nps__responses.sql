{#- Valid answers with whoever gave them, and how they stood on that day where that is known by day. -#}
with answers as (

    select * from {{ ref('int_nps__answers') }}
    where invalid_reason is null

),

customers as (

    select * from {{ ref('int_rates__customers') }}

),

customer_rfm as (

    select * from {{ ref('customer_rfm') }}

),

lifecycle_history as (

    select * from {{ ref('lifecycle_history') }}

),

subscription_states as (

    select * from {{ ref('subscription_states') }}
    where state in ({{ live_states() }})

),

answered as (

    select
        answers.*,
        {{ customer_key_of() }} as customer_key
    from answers
    {{ join_customers('answers') }}

),

subscribers as (

    select distinct answered.response_key
    from answered
    inner join subscription_states
        on
            answered.customer_key = subscription_states.customer_key
            and answered.responded_at >= subscription_states.valid_from
            and (subscription_states.valid_to is null or answered.responded_at < subscription_states.valid_to)

),

final as (

    select
        cast(answered.response_key as {{ type_string() }}) as response_key,
        cast(answered.customer_key as {{ type_string() }}) as customer_key,
        -- an answer of nobody we know is one more voice; null would make all of them one
        cast(coalesce(answered.customer_key, 'nobody:' || answered.response_key) as {{ type_string() }})
            as respondent_key,
        cast(answered.survey as {{ type_string() }}) as survey,
        cast(answered.scale as {{ type_string() }}) as scale,
        cast(answered.score as bigint) as score,
        cast(answered.nps_group as {{ type_string() }}) as nps_group,
        cast(answered.responded_at as timestamp) as responded_at,
        cast(answered.responded_date as date) as responded_date,
        cast(case
            when answered.customer_key is null then 'unknown'
            else coalesce(customer_rfm.rfm_segment, 'prospect')
        end as {{ type_string() }}) as rfm_segment,
        cast(coalesce(lifecycle_history.state, 'unknown') as {{ type_string() }}) as lifecycle_state,
        cast(case
            when answered.customer_key is null then 'unknown'
            when subscribers.response_key is null then 'false'
            else 'true'
        end as {{ type_string() }}) as has_subscription,
        cast(coalesce(customers.business_line, 'unknown') as {{ type_string() }}) as business_line
    from answered
    left join customers on answered.customer_key = customers.customer_key
    left join customer_rfm on answered.customer_key = customer_rfm.customer_key
    -- an open end is a date later than any: with an "or" DuckDB compares every answer with every interval
    left join lifecycle_history
        on
            answered.customer_key = lifecycle_history.customer_key
            and answered.responded_date >= lifecycle_history.valid_from
            and answered.responded_date < coalesce(lifecycle_history.valid_to, cast('9999-12-31' as date))
    left join subscribers on answered.response_key = subscribers.response_key

)

select * from final

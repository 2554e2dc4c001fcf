{{ config(
    materialized='touched', unique_key='subscription_key',
    meta={'touched_by': 'int_changes__valued_subscriptions', 'decided_by': 'int_changes__subscription_run'}
) }}
with intervals as (

    select * from {{ ref('int_subscriptions__intervals') }}
    {{ only_listed('subscription_key', 'int_changes__valued_subscriptions') }}

),

final as (

    select
        cast(subscription_key as {{ type_string() }}) as subscription_key,
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(state as {{ type_string() }}) as state,
        cast(valid_from as timestamp) as valid_from,
        cast(valid_to as timestamp) as valid_to,
        cast(from_date as date) as from_date,
        cast(to_date as date) as to_date,
        cast(mrr as {{ type_money() }}) as mrr,
        cast(paused_mrr as {{ type_money() }}) as paused_mrr,
        cast(plan_id as {{ type_string() }}) as plan,
        cast(quantity as bigint) as quantity,
        cast(life_number as integer) as life_number,
        cast(money_problem as {{ type_string() }}) as money_problem,
        cast(is_inferred as boolean) as is_inferred
    from intervals

)

select * from final

{{ config(
    materialized='touched', unique_key='subscription_key',
    meta={'touched_by': 'int_changes__valued_subscriptions', 'decided_by': 'int_changes__subscription_run'}
) }}
-- What each subscription's money did on a day: its close of day against the close before. A pause takes out the
-- subscription's own amount, a resumption brings back the paused one; the rest is named per account later.
-- depends_on: {{ ref('int_changes__subscription_accounts') }}
with intervals as (

    select * from {{ ref('int_subscriptions__intervals') }}
    where (to_date is null or to_date > from_date)
    {{ only_listed('subscription_key', 'int_changes__valued_subscriptions', 'and') }}

),

closes as (

    select
        subscription_key,
        account_key,
        customer_key,
        from_date as change_date,
        state,
        coalesce(mrr, 0) as mrr,
        coalesce(paused_mrr, 0) as paused_mrr,
        coalesce(lag(mrr) over (partition by subscription_key order by valid_from), 0) as mrr_before,
        coalesce(lag(paused_mrr) over (partition by subscription_key order by valid_from), 0) as paused_before,
        lag(state) over (partition by subscription_key order by valid_from) as state_before
    from intervals

),

classified as (

    select
        *,
        case when state = 'paused' and paused_mrr > 0 then mrr_before else 0 end as paused_in,
        case when state in ('trialing', 'active', 'past_due') then paused_before else 0 end as resumed,
        case when state in ({{ ended_states() }}) then paused_before else 0 end as paused_churn
    from closes

),

final as (

    select
        subscription_key,
        account_key,
        customer_key,
        change_date,
        state_before,
        state,
        cast(mrr_before as {{ type_money() }}) as mrr_before,
        cast(mrr as {{ type_money() }}) as mrr,
        cast(paused_before as {{ type_money() }}) as paused_before,
        cast(paused_mrr as {{ type_money() }}) as paused_mrr,
        cast(-paused_in as {{ type_money() }}) as pause_movement,
        cast(resumed as {{ type_money() }}) as resume_movement,
        cast(mrr - mrr_before + paused_in - resumed as {{ type_money() }}) as rest,
        cast(paused_churn as {{ type_money() }}) as paused_churn,
        cast(paused_mrr - paused_before - paused_in + resumed + paused_churn as {{ type_money() }}) as paused_change
    from classified
    where mrr != mrr_before or paused_mrr != paused_before

)

select * from final

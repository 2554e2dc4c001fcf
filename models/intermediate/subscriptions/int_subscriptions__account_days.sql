{{ config(
    materialized='touched', unique_key='account_key',
    meta={'touched_by': 'int_changes__subscription_accounts', 'decided_by': 'int_changes__subscription_run'}
) }}
{#- The account's book: one line per account and day on which its money changed. opening + movements = closing, and the
    same for the paused money. -#}
{%- set by_day = 'partition by account_key order by change_date' -%}
-- sqlfluff:indentation:template_blocks_indent:false
with changes as (

    select * from {{ ref('int_subscriptions__changes') }}
    {{ only_listed('account_key', 'int_changes__subscription_accounts') }}

),

days as (

    select
        account_key,
        change_date,
        max(customer_key) as customer_key,
        sum(mrr - mrr_before) as mrr_change,
        sum(paused_mrr - paused_before) as paused_total_change,
        sum(pause_movement) as pause_movement,
        sum(resume_movement) as resume_movement,
        sum(rest) as rest,
        sum(paused_churn) as paused_churn,
        sum(paused_change) as paused_change
    from changes
    group by account_key, change_date

),

balanced as (

    select
        *,
        sum(mrr_change) over ({{ by_day }} rows between unbounded preceding and current row) as closing_mrr,
        sum(paused_total_change) over ({{ by_day }} rows between unbounded preceding and current row) as paused_closing
    from days

),

opened as (

    select
        *,
        closing_mrr - mrr_change as opening_mrr,
        paused_closing - paused_total_change as paused_opening,
        coalesce(
            max(closing_mrr) over ({{ by_day }} rows between unbounded preceding and 1 preceding), 0
        ) as largest_before
    from balanced

),

named as (

    select
        *,
        case
            when rest = 0 then null
            when rest > 0 and largest_before = 0 then 'new'
            when rest > 0 and opening_mrr = 0 and paused_opening = 0 then 'reactivation'
            when rest > 0 then 'expansion'
            when closing_mrr = 0 and paused_closing = 0 then 'churn'
            else 'contraction'
        end as rest_movement
    from opened

),

final as (

    select
        account_key,
        customer_key,
        cast(change_date as date) as change_date,
        {{ month_start('change_date') }} as change_month,
        cast(opening_mrr as {{ type_money() }}) as opening_mrr,
        {%- for movement in ['new', 'expansion', 'contraction', 'churn', 'reactivation'] %}
        cast(
            case when rest_movement = '{{ movement }}' then rest else 0 end as {{ type_money() }}
        ) as {{ movement }}_mrr,
        {%- endfor %}
        cast(pause_movement as {{ type_money() }}) as pause_mrr,
        cast(resume_movement as {{ type_money() }}) as resume_mrr,
        cast(closing_mrr as {{ type_money() }}) as closing_mrr,
        cast(paused_opening as {{ type_money() }}) as paused_opening,
        cast(-pause_movement as {{ type_money() }}) as paused_in,
        cast(resume_movement as {{ type_money() }}) as resumed,
        cast(paused_churn as {{ type_money() }}) as paused_churn,
        cast(paused_change as {{ type_money() }}) as paused_change,
        cast(paused_closing as {{ type_money() }}) as paused_closing
    from named

)

select * from final

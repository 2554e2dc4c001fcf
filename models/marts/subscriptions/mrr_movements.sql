{{ config(
    materialized='touched', unique_key='account_key',
    meta={'touched_by': 'int_changes__subscription_accounts', 'decided_by': 'int_changes__subscription_run'}
) }}
{%- set movements = ['new', 'expansion', 'contraction', 'churn', 'reactivation', 'pause', 'resume'] -%}
-- sqlfluff:indentation:template_blocks_indent:false
with account_days as (

    select * from {{ ref('int_subscriptions__account_days') }}
    {{ only_listed('account_key', 'int_changes__subscription_accounts') }}

),

movements as (
    {% for movement in movements %}
    select
        account_key,
        customer_key,
        change_date,
        change_month,
        '{{ movement }}' as movement,
        {{ movement }}_mrr as amount,
        opening_mrr,
        closing_mrr
    from account_days
    where {{ movement }}_mrr != 0
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(account_key as {{ type_string() }}) as account_key,
        cast(change_date as date) as {{ adapter.quote('date') }},
        cast(change_month as date) as {{ adapter.quote('month') }},
        cast(movement as {{ type_string() }}) as movement,
        cast(amount as {{ type_money() }}) as amount,
        cast(opening_mrr as {{ type_money() }}) as opening_mrr,
        cast(closing_mrr as {{ type_money() }}) as closing_mrr
    from movements

)

select * from final

-- Touched accounts, 5. in macros/incremental/subscriptions.sql.
with front as ( -- noqa: ST03

    select * from {{ ref('int_changes__subscription_front') }}

),

subscriptions as (

    select subscription_key
    from {{ ref('int_changes__valued_subscriptions') }}

),

accounts as (

    select
        subscription_key,
        account_key
    from {{ ref('int_subscriptions__accounts') }}

),

touched as (

    select account_key
    from accounts
    where subscription_key in (select subscriptions.subscription_key from subscriptions)
    {{ and_previous(
        'int_subscriptions__changes',
        "select standing.account_key from {previous} as standing"
        ~ " where standing.subscription_key in (select subscriptions.subscription_key from subscriptions)"
    ) }}
    {{ and_interrupted('int_changes__subscription_accounts', 'account_key') }}

),

{{ distinct_keys('touched', 'account_key') }}

{#- Touched subscriptions, 3. in macros/incremental/subscriptions.sql. Of the dates from which events are inferred two
    are no reasons of their own: a row isn't looked at before it starts, and the end of a trial is the effective date of
    its beginning. -#}
{%- set dates = ['pause_start', 'cancel_at', 'cancelled_at', 'ended_at', 'updated_at'] -%}
with front as (

    select * from {{ ref('int_changes__subscription_front') }}

),

ids as (

    select subscription_id from {{ ref('int_changes__subscription_ids') }}
    union all
    select subscription_id from {{ ref('int_changes__event_subscription_ids') }}

),

accounts as (

    select
        subscription_key,
        plan_id
    from {{ ref('int_subscriptions__accounts') }}

),

versions as (

    select * from {{ ref('int_subscriptions__versions') }}

),

plans as (

    {{ plan_terms() }}

),

subscription_rows as (

    select
        subscription_key,
        row_hashes
    from {{ ref('int_changes__subscription_rows') }}

),

{{ kept_and_changed('subscription_rows', 'subscription_rows', ['subscription_key'], ['row_hashes']) }},

{{ kept_and_changed('plans', 'plans', ['system', 'plan_id'], ['price', 'billing_interval', 'interval_count']) }},

dated as (

    select versions.subscription_key
    from versions
    cross join front
    where {{ any_falls_due('versions', dates) }}
    {{ and_previous(
        'int_subscriptions__events',
        "select standing.subscription_key from {previous} as standing cross join front where "
        ~ any_falls_due('standing', ['effective_at', 'coupon_ends_at'])
    ) }}

),

planned as (

    select accounts.subscription_key
    from accounts
    where accounts.plan_id in (select changed_plans.plan_id from changed_plans)
    {{ and_previous(
        'int_subscriptions__events',
        "select standing.subscription_key from {previous} as standing"
        ~ " where standing.plan_id in (select changed_plans.plan_id from changed_plans)"
    ) }}

),

changed as (

    select 'files:' || subscription_id as subscription_key from ids
    union all
    select subscription_key from changed_subscription_rows
    union all
    select subscription_key from dated
    union all
    select subscription_key from planned

),

touched as (

    select subscription_key from changed
    where (select front.mode from front) = 'incremental'
    {{ and_interrupted('int_changes__subscriptions', 'subscription_key') }}

),

{{ distinct_keys('touched', 'subscription_key') }}

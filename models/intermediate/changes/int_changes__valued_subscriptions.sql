-- Touched subscriptions, 4. in macros/incremental/subscriptions.sql.
with front as ( -- noqa: ST03

    select * from {{ ref('int_changes__subscription_front') }}

),

run as (

    select * from {{ ref('int_changes__subscription_run') }}

),

subscriptions as (

    select subscription_key
    from {{ ref('int_changes__subscriptions') }}

),

terms as (

    select
        subscription_key,
        currency,
        price_date
    from {{ ref('int_subscriptions__terms') }}

),

exchange_rates as (

    select
        currency,
        business_date,
        fx_rate
    from {{ ref('int_subscriptions__exchange_rates') }}

),

{{ kept_and_changed('exchange_rates', 'subscription_rates', ['currency', 'business_date'], ['fx_rate']) }},

converted_otherwise as (

    select terms.subscription_key
    from terms
    inner join changed_subscription_rates
        on
            terms.currency = changed_subscription_rates.currency
            and terms.price_date = changed_subscription_rates.business_date
    where (select run.mode from run) = 'incremental'

),

touched as (

    select subscription_key from subscriptions
    union all
    select subscription_key from converted_otherwise
    {{ and_interrupted('int_changes__valued_subscriptions', 'subscription_key') }}

),

{{ distinct_keys('touched', 'subscription_key') }}

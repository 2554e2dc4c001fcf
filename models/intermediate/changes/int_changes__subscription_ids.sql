-- Touched subscriptions, 1. in macros/incremental/subscriptions.sql.
with front as ( -- noqa: ST03

    select * from {{ ref('int_changes__subscription_front') }}

),

{{ changed_rows_of('subscriptions') }},

touched as (

    select subscription_id from changed_rows
    {{ and_interrupted('int_changes__subscription_ids', 'subscription_id') }}

),

{{ distinct_keys('touched', 'subscription_id') }}

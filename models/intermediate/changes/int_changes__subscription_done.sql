-- The last run that built the whole subscription tier: the same row as int_changes__subscription_run, written last of
-- all.
-- depends_on: {{ ref('int_changes__kept_subscription_landed') }}
-- depends_on: {{ ref('int_changes__kept_subscription_rows') }}
-- depends_on: {{ ref('int_changes__kept_plans') }}
-- depends_on: {{ ref('int_changes__kept_subscription_rates') }}
{{ finished_run('int_changes__subscription_run') }}

-- The last run that built the whole heavy tier: the same row as int_changes__run, written last of all.
-- depends_on: {{ ref('int_changes__kept') }}
-- depends_on: {{ ref('int_changes__kept_landed') }}
-- depends_on: {{ ref('int_changes__kept_rates') }}
-- depends_on: {{ ref('int_changes__kept_customer_ids') }}
-- depends_on: {{ ref('int_changes__kept_guests') }}
-- depends_on: {{ ref('int_changes__kept_refunds') }}
{{ finished_run('int_changes__run') }}

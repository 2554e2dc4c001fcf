-- The last run that built the whole lifecycle: the row of int_changes__lifecycle_run, written last of all, after that
-- of the heavy tier.
-- depends_on: {{ ref('int_changes__kept_lifecycle_rows') }}
-- depends_on: {{ ref('int_changes__kept_thresholds') }}
-- depends_on: {{ ref('int_changes__done') }}
{{ finished_run('int_changes__lifecycle_run') }}

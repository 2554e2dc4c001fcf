-- What the last runs left behind of the lifecycle's tables.
{{ what_runs_left('int_changes__lifecycle_run', 'int_changes__lifecycle_run', 'int_changes__lifecycle_done') }}

-- What the last runs left behind of the front and the heavy tier.
{{ what_runs_left('int_changes__front', 'int_changes__run', 'int_changes__done') }}

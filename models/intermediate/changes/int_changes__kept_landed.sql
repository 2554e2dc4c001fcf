-- What had landed when this run was done: what the next run's chunks are compared with.
{{ after_the_heavy_tier() }}
{{ kept_chunks('int_changes__landed') }}

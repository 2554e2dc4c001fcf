-- What had landed of subscriptions when this run was done: what the next run's chunks are compared with.
{{ after_the_subscription_tier() }}
{{ kept_chunks('int_changes__subscription_landed', 'subscriptions') }}

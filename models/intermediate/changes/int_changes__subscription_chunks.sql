-- What landed of subscriptions and their events beside what had landed at the last finished run.
{{ chunks_beside('int_changes__subscription_landed', 'int_changes__kept_subscription_landed') }}

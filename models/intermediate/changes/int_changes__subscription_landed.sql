-- What stands landed of subscriptions and their events, in chunks of rows: the sum of the hashes of each. Empty in a
-- run that takes no fingerprints.
-- depends_on: {{ ref('stg_files__subscriptions') }}
-- depends_on: {{ ref('stg_files__subscription_events') }}
{{ landed_chunks('subscriptions') }}

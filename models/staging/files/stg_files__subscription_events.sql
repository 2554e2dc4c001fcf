{{ stage_files('subscription_events') }}

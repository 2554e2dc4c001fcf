{{ stage_files('subscriptions') }}

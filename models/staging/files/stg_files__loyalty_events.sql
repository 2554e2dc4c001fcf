{{ stage_files('loyalty_events') }}

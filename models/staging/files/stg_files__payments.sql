{{ stage_files('payments') }}

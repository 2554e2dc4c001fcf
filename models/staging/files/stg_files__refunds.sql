{{ stage_files('refunds') }}

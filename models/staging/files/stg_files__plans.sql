{{ stage_files('plans') }}

{{ stage_files('identity_overrides') }}

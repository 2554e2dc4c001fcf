{{ stage_files('consents') }}

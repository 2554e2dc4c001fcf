{{ stage_files('interactions') }}

{{ stage_files('customers') }}

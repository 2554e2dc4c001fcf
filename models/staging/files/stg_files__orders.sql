{{ stage_files('orders') }}

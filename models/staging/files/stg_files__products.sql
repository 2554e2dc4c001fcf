{{ stage_files('products') }}

{{ stage_files('order_items') }}

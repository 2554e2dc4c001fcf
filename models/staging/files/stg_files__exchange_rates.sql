{{ stage_files('exchange_rates') }}

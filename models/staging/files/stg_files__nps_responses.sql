{{ stage_files('nps_responses') }}

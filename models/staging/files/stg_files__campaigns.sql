{{ stage_files('campaigns') }}

{{ stage_files('reviews') }}

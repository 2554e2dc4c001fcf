{{ stage_files('campaign_assignments') }}

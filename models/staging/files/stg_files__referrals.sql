{{ stage_files('referrals') }}

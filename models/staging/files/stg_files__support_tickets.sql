{{ stage_files('support_tickets') }}

{{ stage_files('crm_contacts') }}

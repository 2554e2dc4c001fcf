{{ canonical('crm_contacts') }}

{{ canonical('campaign_assignments') }}

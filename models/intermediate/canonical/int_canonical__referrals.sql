{{ canonical('referrals') }}

-- The months' invitations and conversions are the list's; nobody is converted twice or refers themselves.
{{ config(meta={'dagster': {'ref': {'name': 'referral_rates'}}}) }}
with listed as (

    select
        count(*) as all_invites,
        sum(case when status != 'excluded' then 1 else 0 end) as invites,
        sum(case when status = 'converted' then 1 else 0 end) as conversions,
        count(distinct case when status = 'converted' then referee_key end) as referees,
        sum(case when (status = 'excluded') = (reason is null) then 1 else 0 end) as wrong_rows,
        sum(case when status != 'excluded' and referee_key = referrer_key then 1 else 0 end) as self_referrals
    from {{ ref('referrals') }}

),

months as (

    select
        sum(all_invites) as all_invites,
        sum(invites) as invites,
        sum(conversions) as conversions,
        sum(case
            when
                invites + self_referrals + existing_customers + duplicate_invites + unusable_invites = all_invites
                then 0
            else 1
        end) as wrong_rows
    from {{ ref('referral_rates') }}

)

select
    listed.all_invites,
    months.all_invites as all_invites_of_months
from listed
cross join months
where
    listed.all_invites != coalesce(months.all_invites, 0)
    or coalesce(listed.invites, 0) != coalesce(months.invites, 0)
    or coalesce(listed.conversions, 0) != coalesce(months.conversions, 0)
    or coalesce(listed.conversions, 0) != listed.referees
    or listed.wrong_rows > 0
    or listed.self_referrals > 0
    or months.wrong_rows > 0

with invitations as (

    select * from {{ ref('int_referrals__invitations') }}

),

newcomers as (

    select * from {{ ref('int_referrals__newcomers') }}

),

converted as (

    select
        invitations.referral_key,
        greatest({{ days_between('invitations.invited_date', 'invitations.first_order_date') }}, 0) as days_to_convert,
        newcomers.is_followed_90d,
        newcomers.is_followed_365d,
        newcomers.ordered_again_90d,
        newcomers.revenue_90d,
        newcomers.revenue_365d
    from invitations
    inner join newcomers on invitations.referee_key = newcomers.customer_key
    where invitations.status = 'converted'

),

final as (

    select
        cast(invitations.referral_key as {{ type_string() }}) as referral_key,
        cast(invitations.system as {{ type_string() }}) as system,
        cast(invitations.referrer_key as {{ type_string() }}) as referrer_key,
        cast(invitations.referee_key as {{ type_string() }}) as referee_key,
        cast(invitations.invited_at as timestamp) as invited_at,
        cast(invitations.invited_date as date) as invited_date,
        cast(invitations.reward as {{ type_string() }}) as reward,
        cast(invitations.status as {{ type_string() }}) as status,
        cast(invitations.reason as {{ type_string() }}) as reason,
        cast(invitations.was_registered as boolean) as was_registered,
        cast(case
            when invitations.status = 'converted' then invitations.first_order_key
        end as {{ type_string() }}) as first_order_key,
        cast(case
            when invitations.status = 'converted' then invitations.first_order_date
        end as date) as first_order_date,
        cast(converted.days_to_convert as integer) as days_to_convert,
        coalesce(converted.days_to_convert <= {{ var('referral_window_days') }}, false) as is_converted_in_window,
        cast(case
            when converted.is_followed_90d then converted.revenue_90d
        end as {{ type_money() }}) as referee_revenue_90d,
        cast(case
            when converted.is_followed_365d then converted.revenue_365d
        end as {{ type_money() }}) as referee_revenue_365d,
        cast(case
            when converted.is_followed_90d then converted.ordered_again_90d = 1
        end as boolean) as referee_ordered_again_90d
    from invitations
    left join converted on invitations.referral_key = converted.referral_key

)

select * from final

-- What the wide view of customers says of invitations: those that a customer sent, and the one they came through.
with referrals as (

    select * from {{ ref('referrals') }}
    where status != 'excluded'

),

sent as (

    select
        referrer_key as customer_key,
        count(*) as referrals_made,
        sum(case when status = 'converted' then 1 else 0 end) as referrals_converted
    from referrals
    group by referrer_key

),

-- one per referee: of several invitations all but the first are excluded
received as (

    select
        referee_key as customer_key,
        referrer_key as referred_by
    from referrals
    where status = 'converted'

),

concerned as (

    select customer_key from sent
    union
    select customer_key from received

),

final as (

    select
        cast(concerned.customer_key as {{ type_string() }}) as customer_key,
        cast(coalesce(sent.referrals_made, 0) as bigint) as referrals_made,
        cast(coalesce(sent.referrals_converted, 0) as bigint) as referrals_converted,
        received.customer_key is not null as is_referred,
        cast(received.referred_by as {{ type_string() }}) as referred_by
    from concerned
    left join sent on concerned.customer_key = sent.customer_key
    left join received on concerned.customer_key = received.customer_key

)

select * from final

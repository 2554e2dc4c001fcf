{#- Every invitation with whom identity knows on both sides, and why it counts or doesn't. -#}
with referrals as (

    select * from {{ ref('int_canonical__referrals') }}
    where row_status = 'current' and not is_after_as_of

),

addresses as (

    select
        raw_value,
        {{ adapter.quote('value') }} as address
    from {{ source('identity', 'addresses') }}
    where kind = 'email'

),

customers as (

    select * from {{ ref('int_identity__customers') }}

),

orders as (

    select * from {{ ref('orders') }}
    where customer_key is not null

),

first_orders as (

    select
        customer_key,
        order_key as first_order_key,
        ordered_at as first_ordered_at,
        order_date as first_order_date
    from orders
    where order_number = 1

),

known as (

    select
        referrals.system || ':' || referrals.referral_id as referral_key,
        referrals.system,
        referrals.invited_at,
        referrals.event_date as invited_date,
        referrals.reward,
        addresses.address,
        {{ customer_key_of(name='referrer') }} as referrer_key,
        {{ customer_key_of(customer_id=false, name='referee') }} as referee_key
    from referrals
    left join addresses on referrals.referee_email = addresses.raw_value
    {{ join_customers('referrals', 'referrer_id', 'referrer_email', name='referrer') }}
    {{ join_customers('referrals', none, 'referee_email', name='referee') }}

),

-- the address stands for somebody whom nobody knows yet, and for an address that is several customers'
standing as (

    select
        known.*,
        first_orders.first_order_key,
        first_orders.first_ordered_at,
        first_orders.first_order_date,
        coalesce(known.referee_key, 'address:' || known.address) as invitee_key,
        coalesce(customers.first_seen_at < known.invited_at, false) as was_registered
    from known
    left join first_orders on known.referee_key = first_orders.customer_key
    left join customers on known.referee_key = customers.customer_key

),

judged as (

    select
        *,
        case
            when referrer_key is null then 'unknown_referrer'
            when invitee_key is null then 'unreadable_address'
            when referee_key = referrer_key then 'self_referral'
            when first_ordered_at < invited_at then 'existing_customer'
            {%- if not var('referral_accept_registered') %}
            when was_registered then 'registered_before'
            {%- endif %}
        end as obstacle
    from standing

),

-- whoever asked first has the merit; an invitation that counts for nothing takes it from nobody
placed as (

    select
        *,
        row_number() over (
            partition by invitee_key, obstacle is null order by invited_at asc, referral_key asc
        ) as place
    from judged
    where invitee_key is not null
    union all
    select
        *,
        1 as place
    from judged
    where invitee_key is null

),

final as (

    select
        cast(referral_key as {{ type_string() }}) as referral_key,
        cast(system as {{ type_string() }}) as system,
        cast(referrer_key as {{ type_string() }}) as referrer_key,
        cast(referee_key as {{ type_string() }}) as referee_key,
        cast(invitee_key as {{ type_string() }}) as invitee_key,
        cast(invited_at as timestamp) as invited_at,
        cast(invited_date as date) as invited_date,
        cast(reward as {{ type_string() }}) as reward,
        cast(was_registered as boolean) as was_registered,
        cast(case
            when obstacle is not null or place > 1 then 'excluded'
            when first_order_key is not null then 'converted'
            else 'invited'
        end as {{ type_string() }}) as status,
        cast(case
            when obstacle is not null then obstacle
            when place > 1 then 'duplicate_invite'
        end as {{ type_string() }}) as reason,
        cast(first_order_key as {{ type_string() }}) as first_order_key,
        cast(first_ordered_at as timestamp) as first_ordered_at,
        cast(first_order_date as date) as first_order_date
    from placed

)

select * from final

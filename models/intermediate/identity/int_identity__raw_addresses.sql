{#- Every entity that names somebody by address speaks of customers in its own spelling: the step normalises each
    distinct spelling once, and int_identity__email_customers resolves it. Spellings of rows after as-of do no harm,
    since only nodes decide who owns an address. -#}
with

addresses as (

    {{ distinct_addresses([
        ('orders', 'email', 'email'),
        ('orders', 'phone', 'phone'),
        ('customers', 'email', 'email'),
        ('customers', 'phone', 'phone'),
        ('crm_contacts', 'email', 'email'),
        ('crm_contacts', 'phone', 'phone'),
        ('loyalty_events', 'email', 'email'),
        ('subscriptions', 'email', 'email'),
        ('consents', 'email', 'email'),
        ('consents', 'phone', 'phone'),
        ('interactions', 'email', 'email'),
        ('campaign_assignments', 'email', 'email'),
        ('support_tickets', 'email', 'email'),
        ('nps_responses', 'email', 'email'),
        ('reviews', 'email', 'email'),
        ('referrals', 'email', 'referrer_email'),
        ('referrals', 'email', 'referee_email'),
    ]) }}

),

final as (

    select
        cast(kind as {{ type_string() }}) as kind,
        cast(raw_value as {{ type_string() }}) as raw_value
    from addresses

)

select * from final

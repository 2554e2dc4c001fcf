-- Of each subscription all that today's table and its versions say of it, as one number.
with accounts as (

    select * from {{ ref('int_subscriptions__accounts') }}
    where {{ takes_fingerprints('subscriptions') | string | lower }}

),

versions as (

    select * from {{ ref('int_subscriptions__versions') }}
    where {{ takes_fingerprints('subscriptions') | string | lower }}

),

hashed_accounts as (

    select
        subscription_key,
        {{ row_hash('accounts') }} as row_hash
    from accounts

),

hashed_versions as (

    select
        subscription_key,
        sum({{ row_hash('versions') }}) as row_hashes
    from versions
    group by subscription_key

),

final as (

    select
        cast(hashed_accounts.subscription_key as {{ type_string() }}) as subscription_key,
        cast(hashed_accounts.row_hash + coalesce(hashed_versions.row_hashes, 0) as decimal(38, 0)) as row_hashes
    from hashed_accounts
    left join hashed_versions on hashed_accounts.subscription_key = hashed_versions.subscription_key

)

select * from final

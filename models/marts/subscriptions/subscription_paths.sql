{#- Saved, lost, cancelled at once, side by side: which way subscriptions went in their first life, and what became of
    it. A way is that of the last pause; who never paused either lives or left at once. -#}
{%- set cuts = {
    'all': "'all'",
    'plan': "coalesce(first_plan, 'none')",
    'start_month': "substr(cast(started_date as " ~ type_string() ~ "), 1, 7)",
} -%}
-- sqlfluff:indentation:template_blocks_indent:false
with intervals as (

    select * from {{ ref('int_subscriptions__intervals') }}
    where life_number = 1

),

pauses as (

    select * from {{ ref('int_subscriptions__pause_spells') }}
    where life_number = 1

),

numbered as (

    select
        *,
        row_number() over (partition by subscription_key order by valid_from) as interval_number
    from intervals

),

lives as (

    select
        subscription_key,
        min(from_date) as started_date,
        min(case when state in ({{ ended_states() }}) then from_date end) as ended_date,
        max(case when interval_number = 1 then plan_id end) as first_plan,
        sum(
            coalesce(mrr, 0) * {{ days_between('from_date', 'coalesce(to_date, ' ~ as_of_date() ~ ')') }}
        ) as mrr_days
    from numbered
    group by subscription_key

),

last_pauses as (

    select
        *,
        row_number() over (partition by subscription_key order by pause_number desc) as recency
    from pauses

),

ways as (

    select
        lives.*,
        case
            when last_pauses.outcome = 'resumed' then 'saved'
            when last_pauses.outcome = 'cancelled' then 'lost'
            when last_pauses.outcome = 'paused' then 'paused'
            when lives.ended_date is not null then 'cancelled_at_once'
            else 'never_paused'
        end as path,
        -- of those who resumed: who could have been watched for 90 days since, and who lived them
        case
            when
                last_pauses.outcome = 'resumed'
                and {{ days_between(business_date('last_pauses.ended_at'), as_of_date()) }} >= 90
                then {{ add_days(business_date('last_pauses.ended_at'), 90) }}
        end as judged_on
    from lives
    left join last_pauses on lives.subscription_key = last_pauses.subscription_key and last_pauses.recency = 1

),

cut_ways as (
    {% for cut, value in cuts.items() %}
    select
        *,
        '{{ cut }}' as cut,
        {{ value }} as cut_value
    from ways
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}

),

counted as (

    select
        cut,
        cut_value,
        path,
        count(*) as subscriptions,
        sum(case when ended_date is null then 1 else 0 end) as live_subscriptions,
        sum({{ days_between('started_date', 'coalesce(ended_date, ' ~ as_of_date() ~ ')') }}) as days_lived,
        sum(mrr_days) as mrr_days,
        sum(case when judged_on is not null then 1 else 0 end) as resumed_90_days_ago,
        sum(
            case when judged_on is not null and (ended_date is null or ended_date > judged_on) then 1 else 0 end
        ) as live_90_days_later
    from cut_ways
    group by cut, cut_value, path

),

totals as (

    select
        *,
        sum(subscriptions) over (partition by cut, cut_value) as all_subscriptions
    from counted

),

final as (

    select
        cast(cut as {{ type_string() }}) as cut,
        cast(cut_value as {{ type_string() }}) as cut_value,
        cast(path as {{ type_string() }}) as path,
        cast(subscriptions as bigint) as subscriptions,
        cast(all_subscriptions as bigint) as all_subscriptions,
        {{ ratio('subscriptions', 'all_subscriptions') }} as share,
        cast(live_subscriptions as bigint) as live_subscriptions,
        {{ ratio('live_subscriptions', 'subscriptions') }} as live_share,
        cast(days_lived as bigint) as days_lived,
        {{ ratio('days_lived', 'subscriptions') }} as mean_days_lived,
        {{ average_money('mrr_days * 12', '365') }} as recurring_revenue,
        cast(resumed_90_days_ago as bigint) as resumed_90_days_ago,
        cast(live_90_days_later as bigint) as live_90_days_later,
        {{ ratio('live_90_days_later', 'resumed_90_days_ago') }} as live_90_days_later_share
    from totals

)

select * from final

-- sqlfluff:indentation:template_blocks_indent:false
with channels as (

    select * from {{ ref('channel_engagement') }}

),

final as (

    select
        cast(customer_key as {{ type_string() }}) as customer_key,
        cast(max(case when preferred_rank = 1 then channel end) as {{ type_string() }}) as preferred_channel,
        {%- for channel in ['email', 'sms', 'push', 'post'] %}
        cast(max(case when channel = '{{ channel }}' and is_reachable then 1 else 0 end) = 1 as boolean)
            as is_reachable_{{ channel }},
        {%- endfor %}
        cast(max(last_touch_at) as timestamp) as last_touch_at,
        cast(max(last_engaged_at) as timestamp) as last_engaged_at
    from channels
    group by customer_key

)

select * from final

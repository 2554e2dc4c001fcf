{#- One vote a person: of several answers to a survey within the period the latest counts. -#}
-- sqlfluff:indentation:template_blocks_indent:false
with responses as (

    select * from {{ ref('int_nps__responses') }}

),

windows as (

    select * from {{ ref('int_nps__windows') }}

),

placed as (

    select
        windows.period_type,
        windows.period_start,
        windows.period_end,
        responses.survey,
        responses.scale,
        responses.nps_group,
        {%- for cut in nps_cuts() %}
        responses.{{ cut }},
        {%- endfor %}
        count(*) over (
            partition by
                windows.period_type, windows.period_end, responses.survey, responses.scale, responses.respondent_key
        ) as answers,
        row_number() over (
            partition by
                windows.period_type, windows.period_end, responses.survey, responses.scale, responses.respondent_key
            order by responses.responded_at desc, responses.response_key desc
        ) as recency
    from responses
    inner join windows on responses.responded_date between windows.period_start and windows.period_end

),

votes as (

    select * from placed
    where recency = 1

),

counted as (
    {% for cut in ['all'] + nps_cuts() %}
    select
        period_type,
        period_end,
        survey,
        scale,
        '{{ cut }}' as cut,
        {{ "'all'" if cut == 'all' else cut }} as cut_value,
        sum(case when nps_group = 'promoter' then 1 else 0 end) as promoters,
        sum(case when nps_group = 'passive' then 1 else 0 end) as passives,
        sum(case when nps_group = 'detractor' then 1 else 0 end) as detractors,
        count(*) as responses,
        sum(answers) as answers
    from votes
    group by period_type, period_end, survey, scale{{ '' if cut == 'all' else ', ' ~ cut }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}

),

-- from the first period with an answer on, a period without one is a row of zeros
firsts as (

    select
        period_type,
        survey,
        scale,
        cut,
        cut_value,
        min(period_end) as first_end
    from counted
    group by period_type, survey, scale, cut, cut_value

),

filled as (

    select
        windows.period_type,
        windows.period_start,
        windows.period_end,
        windows.is_complete,
        firsts.survey,
        firsts.scale,
        firsts.cut,
        firsts.cut_value,
        coalesce(counted.promoters, 0) as promoters,
        coalesce(counted.passives, 0) as passives,
        coalesce(counted.detractors, 0) as detractors,
        coalesce(counted.responses, 0) as responses,
        coalesce(counted.answers, 0) as answers
    from firsts
    inner join windows
        on firsts.period_type = windows.period_type and firsts.first_end <= windows.period_end
    left join counted
        on
            windows.period_type = counted.period_type
            and windows.period_end = counted.period_end
            and firsts.survey = counted.survey
            and firsts.scale = counted.scale
            and firsts.cut = counted.cut
            and firsts.cut_value = counted.cut_value

),

final as (

    select
        cast(survey as {{ type_string() }}) as survey,
        cast(scale as {{ type_string() }}) as scale,
        cast(period_type as {{ type_string() }}) as period_type,
        cast(period_start as date) as period_start,
        cast(period_end as date) as period_end,
        cast(cut as {{ type_string() }}) as cut,
        cast(cut_value as {{ type_string() }}) as cut_value,
        cast(promoters as bigint) as promoters,
        cast(passives as bigint) as passives,
        cast(detractors as bigint) as detractors,
        cast(responses as bigint) as responses,
        cast(answers as bigint) as answers,
        cast(case
            when is_complete then {{ ratio('promoters - detractors', 'responses') }}
        end as {{ type_double() }}) as nps,
        cast(case
            when is_complete and responses > 0 then {{ nps_bound('promoters', 'detractors', 'responses', 'low') }}
        end as {{ type_double() }}) as ci_low,
        cast(case
            when is_complete and responses > 0 then {{ nps_bound('promoters', 'detractors', 'responses', 'high') }}
        end as {{ type_double() }}) as ci_high,
        cast(is_complete as boolean) as is_complete
    from filled

)

select * from final

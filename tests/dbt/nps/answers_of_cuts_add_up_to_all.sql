-- Every cut holds every vote once, groups make the responses, and the score lies in its interval.
with cuts as (

    select
        survey,
        scale,
        period_type,
        period_end,
        cut,
        sum(promoters) as promoters,
        sum(passives) as passives,
        sum(detractors) as detractors,
        sum(answers) as answers,
        sum(case
            when
                promoters + passives + detractors != responses
                or not coalesce(nps between ci_low and ci_high, true)
                or (nps is null) != (responses = 0 or not is_complete)
                then 1
            else 0
        end) as wrong_rows
    from {{ ref('nps') }}
    group by survey, scale, period_type, period_end, cut

),

totals as (

    select * from cuts
    where cut = 'all'

)

select
    cuts.survey,
    cuts.scale,
    cuts.period_type,
    cuts.period_end,
    cuts.cut
from cuts
left join totals
    on
        cuts.survey = totals.survey
        and cuts.scale = totals.scale
        and cuts.period_type = totals.period_type
        and cuts.period_end = totals.period_end
where
    cuts.wrong_rows > 0
    or cuts.promoters is distinct from totals.promoters
    or cuts.passives is distinct from totals.passives
    or cuts.detractors is distinct from totals.detractors
    or cuts.answers is distinct from totals.answers

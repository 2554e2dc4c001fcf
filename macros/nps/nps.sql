{#- By what NPS is cut: columns of int_nps__responses. -#}
{% macro nps_cuts() -%}{{ return(['rfm_segment', 'lifecycle_state', 'has_subscription', 'business_line']) }}{%- endmacro %}

{#- Whole months of a period, which begin a year. Trailing 90 days are no calendar period: see int_nps__windows. -#}
{% macro nps_calendar_periods() -%}{{ return({'month': 1, 'quarter': 3, 'year': 12}) }}{%- endmacro %}

{#- One end of the 95 % interval of promoters' share minus detractors' share: adjusted Wald with three answers added, ¾
    of a promoter, 1½ passive, ¾ of a detractor (B. Rocks, "Interval Estimation for the Net Promoter Score", The American
    Statistician 70(4), 2016, 365–372). The plain interval has the width 0 when all say the same, at any n; this one
    is wide for few answers (one passive: ±.60), since what is added pulls it to the middle. The variance is that of a
    difference of two shares of one multinomial: (p + d − (p − d)²) / n. Cut at −1 and 1, the ends of the scale, and
    widened where three answers more would push the score itself out of it (one or two answers, all alike). -#}
{% macro nps_bound(promoters, detractors, responses, side) -%}
{%- set n = "(cast(" ~ responses ~ " as " ~ type_double() ~ ") + 3)" -%}
{%- set p = "((" ~ promoters ~ " + 0.75) / " ~ n ~ ")" -%}
{%- set d = "((" ~ detractors ~ " + 0.75) / " ~ n ~ ")" -%}
{%- set score = ratio(promoters ~ " - " ~ detractors, responses) -%}
{%- set spread = "1.959963984540054 * sqrt((" ~ p ~ " + " ~ d ~ " - (" ~ p ~ " - " ~ d ~ ") * (" ~ p ~ " - " ~ d ~ ")) / " ~ n ~ ")" -%}
{%- if side == 'low' -%}
least({{ score }}, greatest(cast(-1 as {{ type_double() }}), {{ p }} - {{ d }} - {{ spread }}))
{%- else -%}
greatest({{ score }}, least(cast(1 as {{ type_double() }}), {{ p }} - {{ d }} + {{ spread }}))
{%- endif -%}
{%- endmacro %}

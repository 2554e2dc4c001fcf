"""Engagement: what customers say, how support keeps its promises, which channels reach them, points and referrals."""

from __future__ import annotations

import altair as alt

from ritorno.report import charts
from ritorno.report.figures import Column, Dataset, Figure, Filter, KeyNumber, Page, Section, Spec
from ritorno.report.marts import Marts

NPS = Dataset(
    "nps",
    ("nps",),
    """
    select survey || ' (' || scale || ')' as survey,
        case when cut = 'all' then 'Everyone'
            else upper(left(cut, 1)) || replace(substr(cut, 2), '_', ' ') || ': '
                || replace(replace(cut_value, '_', ' '), ': ', ' ')
        end as customers,
        period_end, nps, ci_low, ci_high, promoters, passives, detractors, responses
    from marts.nps
    where period_type = 'trailing_90d' and nps is not null and period_end > $as_of - interval 25 month
    order by survey, scale, cut <> 'all', cut, cut_value, period_end
    """,
    (
        Column("survey", "Survey"),
        Column("customers", "Answers of"),
        Column("period_end", "90 days to", "date"),
        Column("nps", "NPS", "percent"),
        Column("ci_low", "95 % interval, from", "percent"),
        Column("ci_high", "to", "percent"),
        Column("promoters", "Promoters", "int"),
        Column("passives", "Passives", "int"),
        Column("detractors", "Detractors", "int"),
        Column("responses", "People", "int"),
    ),
)

_SUPPORT = """
    from marts.support_sla where period_type = 'month' and period_start > $as_of - interval 25 month
    order by cut <> 'all', cut_value, month
"""
_PRIORITY = "case when cut = 'all' then 'All priorities' else cut_value end as priority, period_start as month"

SLA = Dataset(
    "sla",
    ("support_sla",),
    f"""
    with months as (
        select {_PRIORITY}, cut, 'first response' as promise, first_response_decided as decided,
            first_response_breached as breached, first_response_breach_rate as rate, period_type, period_start,
            is_complete
        from marts.support_sla
        union all
        select {_PRIORITY}, cut, 'resolution', resolution_decided, resolution_breached, resolution_breach_rate,
            period_type, period_start, is_complete
        from marts.support_sla
    )
    select priority, month, promise, decided, breached, rate, is_complete
    from months where period_type = 'month' and period_start > $as_of - interval 25 month
    order by cut <> 'all', priority, promise, month
    """,
    (
        Column("priority", "Priority"),
        Column("month", "Opened in", "month"),
        Column("promise", "Promise"),
        Column("decided", "In time or late", "int"),
        Column("breached", "Late", "int"),
        Column("rate", "Share late", "percent"),
        Column("is_complete", "Month over", "yes_no"),
    ),
)

BACKLOG = Dataset(
    "backlog",
    ("support_sla",),
    f"select {_PRIORITY}, opened, resolved, backlog, csat_mean, csat_n, goodwill, is_complete {_SUPPORT}",
    (
        Column("priority", "Priority"),
        Column("month", "Month", "month"),
        Column("opened", "Opened", "int"),
        Column("resolved", "Resolved", "int"),
        Column("backlog", "Open at its end", "int"),
        Column("csat_mean", "Satisfaction, mean", "number"),
        Column("csat_n", "Answers on satisfaction", "int"),
        Column("goodwill", "Goodwill", "money"),
        Column("is_complete", "Month over", "yes_no"),
    ),
)

CHANNELS = Dataset(
    "channels",
    ("channel_engagement",),
    """
    select channel, cast(sum(sent) as bigint) as sent, cast(sum(delivered) as bigint) as delivered,
        cast(sum(engaged) as bigint) as engaged,
        cast(sum(engaged) as double) / nullif(sum(delivered), 0) as engagement_rate,
        cast(sum(bounced) as bigint) as bounced, cast(sum(unsubscribed) as bigint) as unsubscribed,
        count(*) filter (where preferred_rank = 1) as preferred_by, count(*) filter (where has_consent) as consenting,
        count(*) filter (where is_reachable) as reachable
    from marts.channel_engagement group by channel order by reachable desc, channel
    """,
    (
        Column("channel", "Channel"),
        Column("sent", "Messages sent", "int"),
        Column("delivered", "Delivered", "int"),
        Column("engaged", "Opened or clicked", "int"),
        Column("engagement_rate", "Engagement rate", "percent"),
        Column("bounced", "Bounced", "int"),
        Column("unsubscribed", "Unsubscribed after", "int"),
        Column("preferred_by", "Preferred by customers", "int"),
        Column("consenting", "Customers with consent", "int"),
        Column("reachable", "Customers reachable", "int"),
    ),
)

LOYALTY = Dataset(
    "loyalty",
    ("customer_loyalty",),
    """
    select audience || ': ' || tier as tier, count(*) as members, cast(sum(balance) as bigint) as points,
        sum(liability) as liability, cast(sum(expiring_30d) as bigint) as expiring,
        count(*) filter (where not is_tier_earned) as would_lose_tier
    from marts.customer_loyalty group by audience, tier, tier_rank order by audience, tier_rank
    """,
    (
        Column("tier", "Tier"),
        Column("members", "Members", "int"),
        Column("points", "Points outstanding", "int"),
        Column("liability", "Worth", "money"),
        Column("expiring", "Points that expire in 30 days", "int"),
        Column("would_lose_tier", "Would lose the tier today", "int"),
    ),
)

REFERRALS = Dataset(
    "referrals",
    ("referral_rates",),
    """
    select month, invites, conversions, conversion_rate, k_factor, mean_days_to_convert, is_complete
    from marts.referral_rates where month > $as_of - interval 25 month order by month
    """,
    (
        Column("month", "Invited in", "month"),
        Column("invites", "Invitations that count", "int"),
        Column("conversions", "Conversions so far", "int"),
        Column("conversion_rate", "Conversion rate", "percent"),
        Column("k_factor", "K", "number"),
        Column("mean_days_to_convert", "Mean days to convert", "number"),
        Column("is_complete", "Month over", "yes_no"),
    ),
)


def nps_with_band() -> Spec:
    """The score with its interval."""
    names = NPS.names
    base = alt.Chart(charts.ROWS).encode(x=charts.time(Column("period_end", "90 days to", "month")))
    area = base.mark_area(opacity=0.18, color="@blue").encode(
        y=charts.amount(NPS.column("ci_low"), title="NPS", zero=False), y2="ci_high"
    )
    line = base.mark_line(strokeWidth=2, color="@blue", point={"color": "@blue", "size": 30}).encode(
        y=charts.amount(NPS.column("nps"), title="NPS", zero=False), tooltip=charts.tooltip(NPS, names)
    )
    return charts.spec(area + line)


def _numbers(marts: Marts) -> tuple[KeyNumber, ...]:
    found = []
    nps = marts.rows(
        """
        select nps, responses, survey from marts.nps
        where period_type = 'trailing_90d' and cut = 'all' and period_end <= $as_of
        qualify row_number() over (partition by survey, scale order by period_end desc) = 1
        order by responses desc, survey limit 1
        """,
        "nps",
    )
    if nps:
        found.append(
            KeyNumber(
                "nps_now",
                "NPS",
                nps[0][0],
                "percent",
                compared=f"{nps[0][1]:,} people in 90 days ({nps[0][2]})",
                definition=marts.definition("nps.nps"),
            )
        )
    support = marts.row(
        "select backlog, opened, first_response_breached, first_response_decided from marts.support_sla "
        "where period_type = 'month' and cut = 'all' order by period_start desc limit 1",
        "support_sla",
    )
    if support:
        found.append(
            KeyNumber("backlog_now", "Open tickets", support[0], "int", compared=f"{support[1]:,} opened this month")
        )
    members = marts.row("select count(*), sum(liability) from marts.customer_loyalty", "customer_loyalty")
    if members and members[0]:
        found.append(
            KeyNumber(
                "loyalty_liability",
                "Points outstanding are worth",
                members[1],
                "money",
                compared=f"{members[0]:,} members",
                definition=marts.definition("customer_loyalty.liability"),
            )
        )
    return tuple(found)


def page(marts: Marts) -> Page:
    """The page."""
    return Page(
        "engagement",
        "Engagement",
        "What do customers say, are promises kept, through which channel do they answer, and who brings friends?",
        (
            Section(
                "What they say",
                (
                    Figure(
                        "nps_trend",
                        "NPS over the trailing 90 days, with its 95 % interval",
                        "nps",
                        nps_with_band(),
                        NPS.names,
                        ("nps.nps", "nps.ci_low"),
                        "Shown in percent: 40 % is what is often written as 40.",
                        ("survey", "answers"),
                        wide=True,
                        empty="Nobody has answered a survey yet.",
                    ),
                ),
            ),
            Section(
                "Support",
                (
                    Figure(
                        "sla",
                        "Promises broken: share of tickets answered or solved too late",
                        "sla",
                        charts.lines(
                            SLA,
                            "month",
                            "rate",
                            "promise",
                            tooltips=("month", "promise", "decided", "breached", "rate"),
                        ),
                        SLA.names,
                        ("support_sla.first_response_breach_rate",),
                        "By the month in which tickets were opened.",
                        ("priority",),
                        empty="There is no support ticket yet.",
                    ),
                    Figure(
                        "backlog",
                        "Tickets open at the end of each month",
                        "backlog",
                        charts.bars(
                            BACKLOG,
                            "month",
                            "backlog",
                            tooltips=("month", "opened", "resolved", "backlog", "csat_mean", "goodwill"),
                        ),
                        BACKLOG.names,
                        ("support_sla.backlog", "support_sla.backlog_opening"),
                        "",
                        ("priority",),
                        empty="There is no support ticket yet.",
                    ),
                ),
            ),
            Section(
                "Channels",
                (
                    Figure(
                        "reachable",
                        "How many customers each channel reaches",
                        "channels",
                        charts.lying_bars(
                            CHANNELS,
                            "channel",
                            "reachable",
                            tooltips=("channel", "reachable", "consenting", "preferred_by"),
                            token="green",
                        ),
                        ("channel", "reachable", "consenting", "preferred_by"),
                        ("channel_engagement.is_reachable", "channel_engagement.has_consent"),
                        empty="Nobody has been written to yet.",
                    ),
                    Figure(
                        "engagement_rate",
                        "Which channel is answered: engagement rate",
                        "channels",
                        charts.lying_bars(
                            CHANNELS,
                            "channel",
                            "engagement_rate",
                            tooltips=("channel", "delivered", "engaged", "engagement_rate", "unsubscribed"),
                        ),
                        ("channel", "sent", "delivered", "engaged", "engagement_rate", "bounced", "unsubscribed"),
                        ("channel_engagement.engagement_rate",),
                        empty="Nobody has been written to yet.",
                    ),
                ),
            ),
            Section(
                "Loyalty and referrals",
                (
                    Figure(
                        "tiers",
                        "Members by tier",
                        "loyalty",
                        charts.lying_bars(LOYALTY, "tier", "members", tooltips=LOYALTY.names),
                        LOYALTY.names,
                        ("customer_loyalty.tier", "customer_loyalty.liability"),
                        empty="There is no loyalty member yet.",
                    ),
                    Figure(
                        "referrals",
                        "Invitations and what became of them",
                        "referrals",
                        charts.bars(
                            REFERRALS,
                            "month",
                            "conversions",
                            tooltips=REFERRALS.names,
                            token="green",
                        ),
                        REFERRALS.names,
                        ("referral_rates.conversion_rate", "referral_rates.k_factor"),
                        empty="Nobody has invited anybody yet.",
                    ),
                ),
            ),
        ),
        (NPS, SLA, BACKLOG, CHANNELS, LOYALTY, REFERRALS),
        (
            Filter("survey", "Survey", "nps", "survey"),
            Filter("answers", "Answers of", "nps", "customers", "Everyone"),
            Filter("priority", "Priority", "sla", "priority", "All priorities"),
        ),
        _numbers(marts),
    )

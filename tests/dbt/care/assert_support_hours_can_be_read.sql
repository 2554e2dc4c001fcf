-- The seeds are a business's to edit: a calendar has one row per weekday, its hours are HH:MM and end after they begin.
select
    calendar,
    weekday
from {{ ref('support_hours') }}
group by calendar, weekday
having
    count(*) != 1
    or min(closes_at) <= max(opens_at)
    or min(length(opens_at)) != 5
    or min(length(closes_at)) != 5
    or min(closes_at) > '24:00'

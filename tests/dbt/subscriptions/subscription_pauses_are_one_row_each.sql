select
    subscription_key,
    pause_number
from {{ ref('subscription_pauses') }}
group by subscription_key, pause_number
having count(*) > 1

{{ canonical('subscription_events') }}

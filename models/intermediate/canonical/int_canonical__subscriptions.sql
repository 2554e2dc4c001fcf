{{ canonical('subscriptions') }}

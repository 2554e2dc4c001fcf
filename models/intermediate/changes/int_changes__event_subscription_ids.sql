{{ touched_units_of('subscription_events') }}

{{ input_units_of('subscription_events') }}

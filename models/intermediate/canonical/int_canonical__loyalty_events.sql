{{ canonical('loyalty_events') }}

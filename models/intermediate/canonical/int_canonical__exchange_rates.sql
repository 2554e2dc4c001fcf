{{ canonical('exchange_rates') }}

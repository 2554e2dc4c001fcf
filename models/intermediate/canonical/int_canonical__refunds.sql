{{ canonical('refunds') }}

{{ canonical('payments') }}

{{ canonical('plans') }}

{{ canonical('campaigns') }}

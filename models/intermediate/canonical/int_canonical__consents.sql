{{ canonical('consents') }}

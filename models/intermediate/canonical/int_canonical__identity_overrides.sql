{{ canonical('identity_overrides') }}

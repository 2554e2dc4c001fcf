{{ canonical('interactions') }}

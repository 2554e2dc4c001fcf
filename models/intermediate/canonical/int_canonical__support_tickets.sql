{{ canonical('support_tickets') }}

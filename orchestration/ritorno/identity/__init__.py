"""Who is who: one customer per connected component of accounts, guests, contacts, members and subscribers."""

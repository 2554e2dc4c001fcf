"""Valid orders, money, refunds and products."""

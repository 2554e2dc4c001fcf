"""Loyalty: which lot each point came from and went out of, and which tier a member was in, day by day.

Both are folds, one decision after the other: whether a redemption is possible depends on every event before it, and a
reversal takes from the very lot that an order opened. `ledger` keeps an account's lots, `tiers` its tier; both are
pure. `step` carries them between the warehouse's tables, and only it touches a database.
"""

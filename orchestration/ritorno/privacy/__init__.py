"""Erasure: a person leaves every table and file of a home, and does not come back with an old file.

Personal ids become random tokens, addresses one token address in the reserved domain `.invalid`, everything else that
is personal becomes null; orders and amounts stay. What is remembered of the person is keyed hashes (HMAC).
"""

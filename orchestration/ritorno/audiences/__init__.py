"""Audiences: who is written to, where, and the proof of it.

An audience is a dbt exposure on a segment. A run plans (membership, consent, suppression, arms, caps, guards), writes
the plan to the outbox, sends it batch by batch, and books what the destination acknowledged. See docs/audiences.md.
"""

"""Segments: their definitions, the state that grace, cooldown and exclusive groups need, and experiments."""

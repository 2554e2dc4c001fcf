"""Campaigns as experiments: what may be concluded from who was assigned to which arm, and what they did after."""

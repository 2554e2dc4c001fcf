"""Comparing survival curves: the log-rank test and the restricted mean."""

"""Ritorno: the retention warehouse around its dbt project."""

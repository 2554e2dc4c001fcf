"""What tests share: the real dbt project's SQL on an in-memory DuckDB, at milliseconds an example."""

from tests.support.project import Project

__all__ = ["Project"]

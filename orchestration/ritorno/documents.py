"""YAML files, read by libyaml where it is: the parser written in Python takes six to ten times as long."""

from __future__ import annotations

from typing import Any

import yaml


def load_yaml(text: str) -> Any:  # noqa: ANN401  whatever the document is
    """The document, of plain values only.

    Raises:
        yaml.YAMLError: it is no YAML.
    """
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))

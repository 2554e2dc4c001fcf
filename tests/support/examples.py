"""How many examples a property is tried with: the same few in every `make test`, many fresh ones in `make soak`."""

from __future__ import annotations

import os

SOAK = os.environ.get("RITORNO_SOAK") == "1"


def many(examples: int) -> int:
    """`examples`, and forty times as many in the soak: a number named at a test overrides its profile's."""
    return 40 * examples if SOAK else examples

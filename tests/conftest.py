"""Hypothesis profiles: the same examples in every run of `make test`, fresh ones in `make soak`.

A gate that draws new examples each time fails for whoever comes by, not for who caused it: a landing was refused
because an old test at last drew an example that shows an old fault. Searching is the soak's job; its finds are kept.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("soak", derandomize=False, deadline=None, print_blob=True, max_examples=1000)
settings.load_profile(os.environ.get("RITORNO_HYPOTHESIS", "steady"))

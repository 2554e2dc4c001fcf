"""The customers of the comparison with lifetimes: .venv/bin/python -m benchmarks.peers.lifetimes_data OUT."""

from __future__ import annotations

import sys

import numpy as np

from tests.value.simulated import Shop, simulate

CUSTOMERS = [(0, 0.0, 30.0), (2, 30.43, 38.86), (9, 20.0, 50.0), (1, 1.0, 100.0)]
"""(x, t_x, T) of the customers whose predictions are compared."""


def shop(customers: int = 4_000) -> Shop:
    """Customers over two years; the same for the same number."""
    return simulate("mbg_nbd", (0.525, 6.183, 0.891, 1.614), customers=customers, seed=3, days=730)


def main(path: str, customers: int) -> None:
    """Write them as CSV."""
    data = shop(customers)
    rows = np.column_stack([data.x, data.t_x, data.T, data.mean_spend])
    np.savetxt(path, rows, delimiter=",", header="x,t_x,T,spend", comments="", fmt="%.17g")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 4_000)

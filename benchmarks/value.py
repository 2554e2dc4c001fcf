"""CPU time to fit and score customer value. On demand: .venv/bin/python -m benchmarks.value [customers]."""

from __future__ import annotations

import sys
import time

import numpy as np

from ritorno.value.fit import Statistics, fit_orders, fit_spend
from ritorno.value.models import ORDER_MODELS
from ritorno.value.score import score
from tests.value.simulated import simulate


def main(customers: int) -> None:
    """Simulate customers over three years of days, then time each step in CPU seconds."""
    shop = simulate("mbg_nbd", (0.525, 6.183, 0.891, 1.614), customers=customers, seed=1, days=1095)
    print(f"{customers:,} customers, {shop.x.sum():,} repeat order days")
    for name, model in ORDER_MODELS.items():
        start = time.process_time()
        data = Statistics.of(shop.x, shop.t_x, shop.T)
        ready = time.process_time()
        orders = fit_orders(model, data)
        fitted = time.process_time()
        spend = fit_spend(shop.x, shop.mean_spend)
        spent = time.process_time()
        if orders.usable is None:
            print(f"{name}: {orders.status}, {orders.detail}")
            continue
        score(orders.usable, spend.usable, shop.x, shop.t_x, shop.T, shop.mean_spend, 0.1)
        scored = time.process_time()
        print(
            f"{name}: {data.x.size:,} distinct in {ready - start:.2f} s, orders fitted in {fitted - ready:.2f} s, "
            f"Gamma-Gamma in {spent - fitted:.2f} s, scored in {scored - spent:.2f} s; "
            f"{orders.status} {np.round(orders.usable.values, 4).tolist()}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
